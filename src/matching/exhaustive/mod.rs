//! All pairs of two sets of filters whose similarity reaches a threshold: exact, and far from looking at every bit.
//!
//! Records lie in blocks, turned by a quarter ([`slices`]), in the order of their weights; a probe meets a block at once
//! ([`kernel`]). Two filters cannot be similar if their weights differ too much, and a record that lacks more of the
//! probe's bits than the threshold allows is out: both bounds are sharp, so no pair is lost.

mod filters;
mod kernel;
mod lanes;
mod limit;
#[cfg(target_arch = "aarch64")]
mod neon;
mod slices;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use filters::{Filters, MOST_BITS};
pub use kernel::Kernel;
pub use limit::{Limit, Measure, Overlap, Threshold};

use filters::ByWeight;
use kernel::Counts;
use rayon::prelude::*;
use slices::{Block, Order, Probe};

/// Probes of a tile, which are compared together: their offsets stay in the second-level cache while the blocks go by.
pub const TILE: usize = 256;

/// Two rows whose filters are similar enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub a: u32,
    pub b: u32,
    pub score: f64,
}

/// Records that probes are compared with.
pub struct Records {
    sorted: ByWeight,
    order: Order,
    blocks: Vec<Block>,
    kernel: Kernel,
}

impl Records {
    pub fn new(filters: &Filters, kernel: Kernel) -> Self {
        let (sorted, order) = rayon::join(|| ByWeight::new(filters), || Order::of(filters));
        let starts: Vec<usize> = (0..filters.len()).step_by(64 * kernel.words).collect();
        let block = |from: &usize| {
            let to = sorted.weights.len().min(from + 64 * kernel.words);
            Block::of(&sorted.filters, (*from, to), &order, kernel.words)
        };
        let blocks = starts.par_iter().map(block).collect();
        Self { sorted, order, blocks, kernel }
    }

    /// The rows that a probe (`a`) reaches the limit with.
    pub fn search(&self, probe: &[u64], limit: &Limit, mut found: impl FnMut(u32, Overlap)) {
        let probe = Sought::of(probe, &self.order, self.kernel);
        let mut counts = Counts::default();
        for number in 0..self.blocks.len() {
            self.meet(number, &probe, limit, &mut counts, |at, overlap| found(self.sorted.rows[at], overlap));
        }
    }

    /// The records of one block that a probe reaches the limit with, by their place among the sorted, with the overlap.
    #[inline]
    fn meet(
        &self,
        block: usize,
        sought: &Sought,
        limit: &Limit,
        counts: &mut Counts,
        mut found: impl FnMut(usize, Overlap),
    ) {
        let from = block * 64 * self.kernel.words;
        let to = self.sorted.weights.len().min(from + 64 * self.kernel.words);
        // the limit grows with the record's weight: what the lightest needs is the least
        let (lightest, heaviest) = (self.sorted.weights[from], self.sorted.weights[to - 1]);
        let needed = limit.overlap(sought.weight, lightest);
        if needed > sought.weight.min(heaviest) {
            return;
        }
        if !self.kernel.count(&self.blocks[block], &sought.probe, sought.weight - needed, counts) {
            return;
        }
        for (lane, lacking) in counts.within().take_while(|(lane, _)| from + lane < to) {
            let at = from + lane;
            let (a, b) = (sought.weight, self.sorted.weights[at]);
            let both = a - lacking;
            if both >= limit.overlap(a, b) {
                found(at, Overlap { a, b, both });
            }
        }
    }
}

struct Sought {
    probe: Probe,
    weight: u32,
}

impl Sought {
    fn of(filter: &[u64], order: &Order, kernel: Kernel) -> Self {
        Self { probe: Probe::of(filter, order, kernel.words), weight: filters::weight(filter) }
    }
}

/// A comparison of two sets, or of a set with itself, in tiles that can be done in any order.
pub struct Comparison {
    /// None: the records are compared with one another.
    probes: Option<ByWeight>,
    records: Records,
    limit: Limit,
}

impl Comparison {
    /// All pairs of one filter of `a` and one of `b`.
    pub fn between(a: &Filters, b: &Filters, limit: Limit, kernel: Kernel) -> Self {
        assert!(a.is_empty() || b.is_empty() || a.length() == b.length(), "filters of one length are compared");
        let (probes, records) = rayon::join(|| ByWeight::new(a), || Records::new(b, kernel));
        Self { probes: Some(probes), records, limit }
    }

    /// All pairs of two filters of one set, each once; `a` is the lower row.
    pub fn within(all: &Filters, limit: Limit, kernel: Kernel) -> Self {
        Self { probes: None, records: Records::new(all, kernel), limit }
    }

    fn probes(&self) -> &ByWeight {
        self.probes.as_ref().unwrap_or(&self.records.sorted)
    }

    pub fn tiles(&self) -> usize {
        self.probes().rows.len().div_ceil(TILE)
    }

    /// Pairs that a tile compares, whether or not a bound spares it the work.
    pub fn pairs_of(&self, tile: usize) -> u64 {
        let from = tile * TILE;
        let to = self.probes().rows.len().min(from + TILE);
        let records = self.records.sorted.rows.len() as u64;
        match self.probes {
            Some(_) => (to - from) as u64 * records,
            None => (from as u64..to as u64).map(|at| records - 1 - at).sum(),
        }
    }

    /// Hands over each pair of a tile.
    pub fn tile(&self, tile: usize, mut found: impl FnMut(Pair)) {
        let (records, probes) = (&self.records, self.probes());
        let from = tile * TILE;
        let to = probes.rows.len().min(from + TILE);
        let sought: Vec<Sought> =
            (from..to).map(|at| Sought::of(probes.filters.get(at), &records.order, records.kernel)).collect();
        // within a set a record meets those after it
        let first = if self.probes.is_none() { from / (64 * records.kernel.words) } else { 0 };
        let mut counts = Counts::default();
        for block in first..records.blocks.len() {
            for (place, sought) in (from..).zip(&sought) {
                records.meet(block, sought, &self.limit, &mut counts, |at, overlap| {
                    let (a, b) = (probes.rows[place], records.sorted.rows[at]);
                    let score = self.limit.score(overlap);
                    match self.probes {
                        Some(_) => found(Pair { a, b, score }),
                        None if at > place => found(Pair { a: a.min(b), b: a.max(b), score }),
                        None => {}
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
