//! From candidates to an answer: which of the pairs over the threshold are kept.

mod greedy;
mod optimal;

pub use greedy::{Groups, Member};
pub use optimal::{Components, MEMORY, Optimal, optimal};

use std::cmp::Ordering;
use std::collections::HashMap;

/// A pair over the threshold: of which files, which records, how similar.
///
/// Candidates are ordered surest first; of equally sure ones by file, then by record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub score: f64,
    pub files: [u16; 2],
    pub records: [u32; 2],
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |pair: &Self| (pair.files, pair.records);
        other.score.total_cmp(&self.score).then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A record of one of the files.
type Record = (u16, u32);

impl Candidate {
    fn record(&self, side: usize) -> Record {
        (self.files[side], self.records[side])
    }
}

/// Keeps, of candidates that come surest first, the first one of each record of the second file.
#[derive(Default)]
pub struct Best(std::collections::HashSet<Record>);

impl Best {
    pub fn keeps(&mut self, pair: &Candidate) -> bool {
        self.0.insert(pair.record(1))
    }
}

/// Keeps, of candidates that come surest first, those of two records that no earlier one has taken: one to one.
#[derive(Default)]
pub struct OneToOne(std::collections::HashSet<Record>);

impl OneToOne {
    pub fn keeps(&mut self, pair: &Candidate) -> bool {
        let free = !self.0.contains(&pair.record(0)) && !self.0.contains(&pair.record(1));
        if free {
            self.0.extend([pair.record(0), pair.record(1)]);
        }
        free
    }
}

/// Keeps, of candidates that come surest first, those among the first `most` of both their records.
///
/// A record's pairs with each other file are counted apart.
pub struct Top {
    most: u32,
    seen: HashMap<(Record, u16), u32>,
}

impl Top {
    pub fn new(most: u32) -> Self {
        Self { most, seen: HashMap::new() }
    }

    pub fn keeps(&mut self, pair: &Candidate) -> bool {
        let mut among = |side: usize| {
            let seen = self.seen.entry((pair.record(side), pair.files[1 - side])).or_default();
            *seen += 1;
            *seen <= self.most
        };
        let both = [among(0), among(1)];
        both == [true, true]
    }
}

#[cfg(test)]
mod tests;
