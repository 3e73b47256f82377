//! How many rows share a token: beyond the manifest's cap a token is left out (SPEC 5.5).
//!
//! A token that very many rows share finds nobody and shows the server a common value.

use std::collections::{HashMap, HashSet};

use hedui_protocol::encodings::{Encodings, Token};
use hedui_protocol::part::{StoredRecord, WRAP_BYTES};
use hedui_protocol::schema::Schema;

/// 2^22 counters: 16 MiB, whatever the number of rows.
const COUNTERS: usize = 1 << 22;

/// A first, coarse count while encoding: a counter a group of tokens.
pub struct CoarseCounts(Vec<u32>);

impl CoarseCounts {
    pub fn new() -> Self {
        Self(vec![0; COUNTERS])
    }

    pub fn count(&mut self, encodings: &Encodings) {
        for (_, token) in &encodings.tokens {
            let counter = &mut self.0[slot(token)];
            *counter = counter.saturating_add(1);
        }
    }

    /// Whether any token can be over the cap at all.
    pub fn any_over(&self, cap: u32) -> bool {
        self.0.iter().any(|count| *count > cap)
    }

    fn over(&self, token: &Token, cap: u32) -> bool {
        self.0[slot(token)] > cap
    }
}

/// The exact count of those tokens that the coarse count could not clear.
pub struct ExactCounts<'c> {
    coarse: &'c CoarseCounts,
    cap: u32,
    counts: HashMap<Token, u32>,
}

impl<'c> ExactCounts<'c> {
    pub fn new(coarse: &'c CoarseCounts, cap: u32) -> Self {
        Self { coarse, cap, counts: HashMap::new() }
    }

    pub fn count(&mut self, encodings: &Encodings) {
        for (_, token) in &encodings.tokens {
            if self.coarse.over(token, self.cap) {
                *self.counts.entry(*token).or_default() += 1;
            }
        }
    }

    pub fn oversize(self) -> HashSet<Token> {
        self.counts.into_iter().filter(|(_, count)| *count > self.cap).map(|(token, _)| token).collect()
    }
}

/// Takes the oversize tokens out of a record, with their wraps and the filters of their cohorts.
///
/// Returns how many tokens were left out.
pub fn leave_out(
    record: &mut StoredRecord,
    mut encodings: Encodings,
    oversize: &HashSet<Token>,
    schema: &Schema,
) -> u64 {
    let kept: Vec<usize> =
        (0..encodings.tokens.len()).filter(|i| !oversize.contains(&encodings.tokens[*i].1)).collect();
    let left_out = encodings.tokens.len() - kept.len();
    if left_out == 0 {
        return 0;
    }
    record.wraps = renumbered(&record.wraps, &kept);
    // of a pass's tokens the first keys the filters (SPEC 5.6)
    let first_is_left = |pass: &str| {
        let number = schema.passes.iter().position(|other| other.name == pass);
        let first = encodings.tokens.iter().find(|(pass, _)| Some(usize::from(*pass)) == number);
        first.is_some_and(|(_, token)| !oversize.contains(token))
    };
    let keeps_cohort = |filter: u8| schema.filters[usize::from(filter)].cohort.as_deref().is_none_or(first_is_left);
    let filters = std::mem::take(&mut encodings.filters).into_iter();
    let filters = filters.filter(|(filter, _)| keeps_cohort(*filter)).collect();
    encodings = Encodings { tokens: kept.iter().map(|i| encodings.tokens[*i]).collect(), filters };
    record.encodings = encodings.to_bytes();
    left_out as u64
}

/// Wraps name their token by its index, which has changed.
fn renumbered(wraps: &[u8], kept: &[usize]) -> Vec<u8> {
    let mut renumbered = Vec::with_capacity(wraps.len());
    for entry in wraps.chunks_exact(1 + WRAP_BYTES) {
        if let Some(index) = kept.iter().position(|old| *old == usize::from(entry[0])) {
            renumbered.push(u8::try_from(index).expect("no more tokens than before"));
            renumbered.extend_from_slice(&entry[1..]);
        }
    }
    renumbered
}

fn slot(token: &Token) -> usize {
    let [a, b, c, ..] = token.0;
    (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)) % COUNTERS
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::RecordId;

    use super::*;

    fn row(tokens: &[u8]) -> (StoredRecord, Encodings) {
        let tokens: Vec<_> = tokens.iter().enumerate().map(|(pass, byte)| (pass as u8, Token([*byte; 16]))).collect();
        let wraps = (0..tokens.len()).flat_map(|i| [vec![i as u8], vec![i as u8 + 100; WRAP_BYTES]].concat()).collect();
        let encodings = Encodings { tokens, filters: vec![] };
        let record = RecordId([0; 16]);
        (StoredRecord { record, encodings: encodings.to_bytes(), wraps, locked: vec![] }, encodings)
    }

    #[test]
    fn a_token_over_the_cap_is_found_exactly() {
        let mut coarse = CoarseCounts::new();
        let rows: Vec<_> = (0..5).map(|n| row(&[1, n + 10])).collect();
        rows.iter().for_each(|(_, encodings)| coarse.count(encodings));
        assert!(!coarse.any_over(5));
        assert!(coarse.any_over(4));
        let mut exact = ExactCounts::new(&coarse, 4);
        rows.iter().for_each(|(_, encodings)| exact.count(encodings));
        assert_eq!(exact.oversize(), HashSet::from([Token([1; 16])]));
    }

    /// How many filters are left for a row with two tokens of that pass.
    fn filters_left_without(oversize: u8) -> usize {
        let schema = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        let cohort =
            schema.passes.iter().position(|pass| schema.filters[0].cohort.as_ref() == Some(&pass.name)).unwrap();
        let (mut record, mut encodings) = row(&[1, 2]);
        encodings.tokens.iter_mut().for_each(|(pass, _)| *pass = cohort as u8);
        encodings.filters.push((0, vec![7; usize::from(schema.filters[0].bits) / 8]));
        leave_out(&mut record, encodings, &HashSet::from([Token([oversize; 16])]), &schema);
        let shape = hedui_protocol::encodings::Shape {
            passes: schema.passes.len() as u8,
            filter_bytes: schema.filters.iter().map(|filter| usize::from(filter.bits) / 8).collect(),
        };
        Encodings::parse(&record.encodings, &shape).unwrap().filters.len()
    }

    #[test]
    fn a_filter_goes_with_the_token_that_keys_it() {
        assert_eq!(filters_left_without(1), 0, "the first of the pass's tokens keys the filter");
        assert_eq!(filters_left_without(2), 1, "the second, a former name's, does not");
    }

    #[test]
    fn wraps_follow_their_tokens() {
        let schema = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap();
        let (mut record, encodings) = row(&[1, 2, 3]);
        assert_eq!(leave_out(&mut record, encodings, &HashSet::from([Token([2; 16])]), &schema), 1);
        assert_eq!(
            StoredRecord::wrap_of(&record.wraps, 1),
            Some(&[102; WRAP_BYTES][..]),
            "the third is now the second"
        );
        assert_eq!(StoredRecord::wrap_of(&record.wraps, 2), None);
    }
}
