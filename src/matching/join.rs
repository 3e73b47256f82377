//! The join: a probe's tokens lead to candidates; everything that a pair shows decides.

use hedui_protocol::decision::Seen;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::schema::{Identifies, Schema};

use super::index::Index;
use super::{Match, Via};

/// Every record that shares a token with the probe and matches it.
pub(super) fn matches(index: &Index, schema: &Schema, shape: &Shape, probe: &Encodings) -> Vec<Match> {
    let judge = |row: u32| {
        let record = Encodings::parse(index.row(row).encodings, shape).expect("rows were checked when they came in");
        judge(schema, probe, &record, row)
    };
    index.candidates(probe).into_iter().filter_map(judge).collect()
}

/// All that a pair shows.
pub struct Evidence {
    /// One entry a pass.
    pub passes: Vec<Seen>,
    /// One normalised Hamming distance a filter, where both sides have it.
    pub distances: Vec<Option<f64>>,
}

impl Evidence {
    pub fn of(schema: &Schema, probe: &Encodings, record: &Encodings) -> Self {
        let passes = seen(schema.passes.len(), probe, record);
        let distances = distances(schema, probe, record, &passes);
        Self { passes, distances }
    }
}

/// What one pair comes to; none where it is no match.
pub(super) fn judge(schema: &Schema, probe: &Encodings, record: &Encodings, row: u32) -> Option<Match> {
    let Evidence { passes, distances } = Evidence::of(schema, probe, record);
    let score = schema.score(&passes, &distances);
    let band = schema.band(score, &passes)?;
    Some(Match { row, score, band, via: via(schema, probe, record, &passes) })
}

fn seen(passes: usize, probe: &Encodings, record: &Encodings) -> Vec<Seen> {
    let see = |pass: u8| {
        let (mut ours, mut theirs) = (probe.of_pass(pass).peekable(), record.of_pass(pass).peekable());
        if ours.peek().is_none() || theirs.peek().is_none() {
            return Seen::Missing;
        }
        let meet = ours.any(|token| record.of_pass(pass).any(|other| other == token));
        if meet { Seen::Equal } else { Seen::Unequal }
    };
    (0..passes).map(|pass| see(u8::try_from(pass).expect("validated: at most 200 passes"))).collect()
}

/// A filter is compared where both sides have it and agree on its cohort; across cohorts it says nothing.
fn distances(schema: &Schema, probe: &Encodings, record: &Encodings, passes: &[Seen]) -> Vec<Option<f64>> {
    let distance = |(number, filter): (usize, &hedui_protocol::schema::Filter)| {
        if let Some(cohort) = &filter.cohort {
            let pass = schema.passes.iter().position(|pass| pass.name == *cohort)?;
            (passes[pass] == Seen::Equal).then_some(())?;
        }
        let bits = |side: &Encodings| side.filters.iter().position(|(n, _)| usize::from(*n) == number);
        let (ours, theirs) = (&probe.filters[bits(probe)?].1, &record.filters[bits(record)?].1);
        Some(f64::from(hamming(ours, theirs)) / f64::from(filter.bits))
    };
    schema.filters.iter().enumerate().map(distance).collect()
}

fn hamming(one: &[u8], other: &[u8]) -> u32 {
    let words =
        |bytes: &[u8]| -> Vec<u64> { bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect() };
    words(one).iter().zip(words(other)).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn via(schema: &Schema, probe: &Encodings, record: &Encodings, passes: &[Seen]) -> Option<Via> {
    let agrees = |kind: Identifies| {
        let mut numbered = schema.passes.iter().zip(passes).zip(0u8..);
        numbered.find(|((pass, seen), _)| pass.identifies == Some(kind) && **seen == Seen::Equal).map(|(_, pass)| pass)
    };
    let pass = agrees(Identifies::Exact).or_else(|| agrees(Identifies::Repaired))?;
    let ours: Vec<_> = probe.of_pass(pass).collect();
    let token = record.tokens.iter().position(|(p, token)| *p == pass && ours.contains(&token))?;
    Some(Via { pass, token: u8::try_from(token).expect("a row has at most 255 tokens") })
}
