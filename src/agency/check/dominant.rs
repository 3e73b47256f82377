//! A value that many rows share: a default of some form, a clerk's stand-in for "unknown".
//!
//! Counted in constant memory (Misra and Gries, "Finding repeated elements", 1982): a count is never too high, and too
//! low by at most a share of 1 in [`COUNTERS`] + 1.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::trouble::Trouble;

const COUNTERS: usize = 32;
/// A value in fewer rows than one in so many is not worth a word.
const ONE_IN: u64 = 10;

/// Counts of a column's likely most frequent values, by their hash: no value is kept unless it is to be shown.
#[derive(Default)]
pub struct Dominant {
    counters: HashMap<u64, Trouble>,
}

impl Dominant {
    pub fn count(&mut self, row: u64, cell: &str, shown: Option<&str>) {
        let mut hasher = DefaultHasher::new();
        cell.trim().hash(&mut hasher);
        let hash = hasher.finish();
        if self.counters.len() < COUNTERS || self.counters.contains_key(&hash) {
            let counter = self.counters.entry(hash).or_default();
            counter.rows += 1;
            if counter.first.is_empty() {
                counter.first.push(row);
                counter.values.extend(shown.map(str::to_owned));
            }
            return;
        }
        self.counters.retain(|_, counter| {
            counter.rows -= 1;
            counter.rows > 0
        });
    }

    /// The most frequent value of `filled` cells where at least one in [`ONE_IN`] holds it.
    pub fn most(self, filled: u64) -> Trouble {
        let most = self.counters.into_values().max_by_key(|counter| counter.rows);
        most.filter(|counter| counter.rows > 1 && counter.rows * ONE_IN >= filled).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_in_five_holds_is_found_among_ever_new_values() {
        let mut dominant = Dominant::default();
        for row in 0..10_000 {
            let cell = if row % 5 == 3 { "unknown".to_owned() } else { row.to_string() };
            dominant.count(row, &cell, Some(&cell));
        }
        let most = dominant.most(10_000);
        assert!((1_700..=2_000).contains(&most.rows), "{}", most.rows);
        assert_eq!(most.values, ["unknown"]);
    }

    #[test]
    fn different_values_and_a_single_one_are_nothing() {
        for rows in [0, 1, 5, 1000] {
            let mut dominant = Dominant::default();
            (0..rows).for_each(|row| dominant.count(row, &row.to_string(), None));
            assert_eq!(dominant.most(rows).rows, 0, "{rows} rows");
        }
    }
}
