//! The workshop: from encodings to matches. Pure but for reading the index, and the only place with `unsafe`.
//!
//! Two engines, both exact: the join of tokens ([`join`]), and the comparison of all pairs of filters
//! ([`exhaustive`]), which the record profile uses ([`record`]).

#[cfg(feature = "server")]
pub mod build;
pub mod bytes;
pub mod exhaustive;
pub mod index;
pub mod join;
pub mod postings;
pub mod record;
#[cfg(feature = "agency")]
pub mod repeats;
pub mod rows;
#[cfg(feature = "agency")]
pub mod solve;

use hedui_protocol::decision::Band;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::schema::{Profile, Schema};
use rayon::prelude::*;

use index::Index;

/// A record that matches a probe. The score stays with the matcher's caller: it never leaves a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub row: u32,
    pub score: f64,
    pub band: Band,
    /// The strongest identifying pass that agrees, and which of the record's tokens it was.
    pub via: Option<Via>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    pub pass: u8,
    /// Index among the record's tokens: it selects the wrapped data key.
    pub token: u8,
}

/// Matches probes against one index under one schema. Shared by threads.
pub struct Matcher<'m> {
    index: &'m Index,
    schema: &'m Schema,
    shape: Shape,
    filters: Option<&'m record::FilterMatrix>,
}

impl<'m> Matcher<'m> {
    pub fn new(index: &'m Index, schema: &'m Schema, shape: Shape) -> Self {
        let filters = match schema.profile {
            Profile::Cohort => None,
            Profile::Record | Profile::Clk => Some(index.filters(&shape)),
        };
        Self { index, schema, shape, filters }
    }

    /// All matches of a probe, the surest first; equal ones by record id.
    pub fn matches(&self, probe: &Encodings) -> Vec<Match> {
        self.matches_of_all(&[probe]).pop().expect("one probe")
    }

    /// The same of many probes, which together read the index once.
    pub fn matches_of_all(&self, probes: &[&Encodings]) -> Vec<Vec<Match>> {
        let mut found = match &self.filters {
            Some(filters) => probes.par_iter().map(|probe| filters.matches(self.schema, probe)).collect(),
            None => join::matches(self.index, self.schema, &self.shape, probes),
        };
        found.par_iter_mut().for_each(|found| self.sort(found));
        found
    }

    fn sort(&self, found: &mut [Match]) {
        let record = |found: &Match| self.index.row(found.row).record;
        found.sort_by(|one, other| {
            let surer = one.band.cmp(&other.band).then(other.score.total_cmp(&one.score));
            surer.then_with(|| record(one).cmp(&record(other)))
        });
    }
}

#[cfg(test)]
mod tests;
