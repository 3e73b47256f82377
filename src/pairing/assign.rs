//! The optimal solution of more pairs than memory holds: they are put in order once more, by component.

use std::path::Path;

use crate::failure::Outcome;
use crate::matching::solve::{Candidate, Components, Optimal, optimal};

use crate::terminal::Interrupt;

use super::sorter::{Entry, Sorter, kept_on_disk};

impl Entry for (u32, Candidate) {
    const BYTES: usize = 4 + Candidate::BYTES;

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.to_le_bytes());
        self.1.put(bytes);
    }

    fn get(bytes: &[u8]) -> Self {
        let (component, pair) = bytes.split_at(4);
        (u32::from_le_bytes(component.try_into().expect("four bytes")), Candidate::get(pair))
    }
}

/// Solves candidates of two files in `memory` bytes, on disk beside `out`.
pub fn assign(
    candidates: impl Iterator<Item = Outcome<Candidate>>,
    memory: u64,
    out: &Path,
    interrupt: &Interrupt,
) -> Outcome<Optimal> {
    let mut components = Components::default();
    let linked = candidates.map(|pair| pair.inspect(|pair| components.link(pair)));
    let pairs = kept_on_disk(linked, out)?;
    let mut sorter = Sorter::new(memory, out);
    for pair in pairs {
        let pair = interrupt.check().and(pair)?;
        sorter.add([(components.of(&pair), pair)].into_iter())?;
    }
    optimal(sorter.finish()?.map(|pair| interrupt.check().and(pair)))
}
