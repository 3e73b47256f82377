//! What candidate pairs show, as features of a regression; and a regression's coefficients, as a schema's weights.

use hedui_protocol::decision::Seen;
use hedui_protocol::encodings::Encodings;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;

use super::regression::Model;
use crate::failure::{Failure, Outcome};
use crate::matching::index::Index;
use crate::matching::join::Evidence;

/// A pair of rows, and what it shows.
pub struct Pair {
    pub a: u32,
    pub b: u32,
    pub features: Vec<u16>,
}

/// Every pair of rows that meet in some pass.
pub fn candidates(schema: &Schema, a: &[Encodings], b: &[Encodings]) -> Outcome<Vec<Pair>> {
    let index = Index::of_encodings(b.iter()).map_err(Failure::refused)?;
    let pairs = a.par_iter().enumerate().flat_map_iter(|(at, probe)| {
        let found = index.candidates(probe).into_iter();
        found.map(move |row| {
            let features = features(schema, &Evidence::of(schema, probe, &b[row as usize]));
            Pair { a: u32::try_from(at).expect("files of fewer than 2^32 rows"), b: row, features }
        })
    });
    Ok(pairs.collect())
}

/// How many features a schema's pairs can have.
pub fn count(schema: &Schema) -> usize {
    2 * schema.passes.len() + schema.filters.iter().map(|filter| filter.bands.len() + 1).sum::<usize>()
}

/// Passes: equal, unequal; then filters: one a band, and beyond. What is missing has no feature.
fn features(schema: &Schema, evidence: &Evidence) -> Vec<u16> {
    let number = |at: usize| u16::try_from(at).expect("a schema has a few hundred features");
    let passes = evidence.passes.iter().enumerate().filter_map(|(at, seen)| match seen {
        Seen::Missing => None,
        Seen::Equal => Some(number(2 * at)),
        Seen::Unequal => Some(number(2 * at + 1)),
    });
    let mut first = 2 * schema.passes.len();
    let filters = schema.filters.iter().zip(&evidence.distances).filter_map(|(filter, distance)| {
        let start = first;
        first += filter.bands.len() + 1;
        let distance = (*distance)?;
        let band = filter.bands.iter().position(|band| distance <= band.at_most).unwrap_or(filter.bands.len());
        Some(number(start + band))
    });
    passes.chain(filters).collect()
}

/// The schema with a model's coefficients as weights, in bits, rounded as people write them; how common its values were
/// where it had its former weights says nothing of these.
pub fn with_weights(schema: &Schema, model: &Model) -> Schema {
    let mut numbers = 0u16..;
    let mut next = || bits(model.coefficient(numbers.next().expect("as many coefficients as features")));
    let mut schema = schema.clone();
    for pass in &mut schema.passes {
        (pass.equal, pass.unequal) = (next(), next());
        pass.strangers = None;
    }
    for filter in &mut schema.filters {
        filter.bands.iter_mut().for_each(|band| band.weight = next());
        filter.beyond = next();
    }
    schema.decision.bias = bits(model.bias());
    schema.decision.strangers = None;
    schema
}

fn bits(natural: f64) -> f64 {
    (natural / std::f64::consts::LN_2 * 100.0).round() / 100.0
}
