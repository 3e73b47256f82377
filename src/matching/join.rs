//! The join: a probe's tokens lead to candidates; everything that a pair shows decides.

use hedui_protocol::decision::Seen;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::schema::{Filter, Identifies, Schema};
use rayon::prelude::*;

use super::index::{Hit, Index};
use super::{Match, Via};

/// What rounding may make of a sum of weights.
const ROUNDING: f64 = 1e-6;

/// For each probe every record that shares a token with it and matches it.
pub(super) fn matches(index: &Index, schema: &Schema, shape: &Shape, probes: &[&Encodings]) -> Vec<Vec<Match>> {
    let hits = index.hits(probes.iter().copied());
    let by_probe: Vec<&[Hit]> = hits.chunk_by(|one, next| one.probe == next.probe).collect();
    let join = Join { index, schema, shape };
    let found = by_probe.par_iter().map(|hits| (hits[0].probe, join.probe(probes[hits[0].probe as usize], hits)));
    let mut matches = vec![Vec::new(); probes.len()];
    found.collect::<Vec<_>>().into_iter().for_each(|(probe, found)| matches[probe as usize] = found);
    matches
}

struct Join<'j> {
    index: &'j Index,
    schema: &'j Schema,
    shape: &'j Shape,
}

impl Join<'_> {
    /// `hits` are all that the probe has, in order.
    fn probe(&self, probe: &Encodings, hits: &[Hit]) -> Vec<Match> {
        let mut evidence = Evidence::of_passes(vec![Seen::Missing; self.schema.passes.len()], self.schema);
        let mut asks = vec![false; self.schema.passes.len()];
        probe.tokens.iter().for_each(|(pass, _)| asks[usize::from(*pass)] = true);
        let by_row = hits.chunk_by(|one, next| one.row == next.row);
        by_row.filter_map(|hits| self.judge(probe, &asks, hits, &mut evidence)).collect()
    }

    fn judge(&self, probe: &Encodings, asks: &[bool], hits: &[Hit], evidence: &mut Evidence) -> Option<Match> {
        let (schema, row) = (self.schema, hits[0].row);
        // what the probe asks and the row has is unequal, unless it led here
        let has_pass = self.index.has_pass(row);
        for (pass, seen) in evidence.passes.iter_mut().enumerate() {
            *seen = if asks[pass] && has_pass(pass) { Seen::Unequal } else { Seen::Missing };
        }
        hits.iter().for_each(|hit| evidence.passes[usize::from(hit.pass)] = Seen::Equal);
        evidence.distances.fill(None);
        let without = schema.score(&evidence.passes, &evidence.distances);
        if without + most_of_filters(schema, &evidence.passes) < schema.decision.possible - ROUNDING {
            return None;
        }
        let view = (!schema.filters.is_empty()).then(|| self.index.row(row));
        if let Some(view) = view {
            evidence.compare(schema, probe, |number| view.filter(number, &self.shape.filter_bytes));
        }
        let score = schema.score(&evidence.passes, &evidence.distances);
        let band = schema.band(score, &evidence.passes)?;
        Some(Match { row, score, band, via: via(schema, &evidence.passes, hits) })
    }
}

/// The most that the filters of the cohorts that agree can add.
fn most_of_filters(schema: &Schema, passes: &[Seen]) -> f64 {
    let most = |filter: &Filter| filter.bands.iter().map(|band| band.weight).fold(filter.beyond, f64::max).max(0.0);
    schema.filters.iter().filter(|filter| agrees_on_cohort(schema, filter, passes)).map(most).sum()
}

/// Across cohorts a filter says nothing.
fn agrees_on_cohort(schema: &Schema, filter: &Filter, passes: &[Seen]) -> bool {
    filter.cohort.as_ref().is_none_or(|cohort| {
        let mut named = schema.passes.iter().zip(passes);
        named.any(|(pass, seen)| pass.name == *cohort && *seen == Seen::Equal)
    })
}

fn via(schema: &Schema, passes: &[Seen], hits: &[Hit]) -> Option<Via> {
    let agrees = |kind: Identifies| {
        let mut numbered = schema.passes.iter().zip(passes).zip(0u8..);
        numbered.find(|((pass, seen), _)| pass.identifies == Some(kind) && **seen == Seen::Equal).map(|(_, pass)| pass)
    };
    let pass = agrees(Identifies::Exact).or_else(|| agrees(Identifies::Repaired))?;
    let token = hits.iter().filter(|hit| hit.pass == pass).map(|hit| hit.token).min()?;
    Some(Via { pass, token })
}

/// All that a pair shows.
pub struct Evidence {
    /// One entry a pass.
    pub passes: Vec<Seen>,
    /// One normalised Hamming distance a filter, where both sides have it.
    pub distances: Vec<Option<f64>>,
}

impl Evidence {
    /// From both sides' encodings, without an index.
    pub fn of(schema: &Schema, probe: &Encodings, record: &Encodings) -> Self {
        let mut evidence = Self::of_passes(seen(schema.passes.len(), probe, record), schema);
        let filter = |number: usize| {
            let (_, bits) = record.filters.iter().find(|(own, _)| usize::from(*own) == number)?;
            Some(bits.as_slice())
        };
        evidence.compare(schema, probe, filter);
        evidence
    }

    fn of_passes(passes: Vec<Seen>, schema: &Schema) -> Self {
        Self { passes, distances: vec![None; schema.filters.len()] }
    }

    /// A filter is compared where both sides have it and agree on its cohort.
    fn compare<'r>(&mut self, schema: &Schema, probe: &Encodings, record: impl Fn(usize) -> Option<&'r [u8]>) {
        for (number, bits) in &probe.filters {
            let number = usize::from(*number);
            let filter = &schema.filters[number];
            if agrees_on_cohort(schema, filter, &self.passes) {
                let distance = |theirs| f64::from(hamming(bits, theirs)) / f64::from(filter.bits);
                self.distances[number] = record(number).map(distance);
            }
        }
    }
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

fn hamming(one: &[u8], other: &[u8]) -> u32 {
    let words = |bytes: &'_ [u8; 8]| u64::from_le_bytes(*bytes);
    let pairs = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    pairs.map(|(a, b)| (words(a) ^ words(b)).count_ones()).sum()
}
