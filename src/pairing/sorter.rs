//! Candidates in order, in bounded memory: what does not fit is sorted on disk.

use std::io::{self, Read, Write};
use std::path::Path;

use extsort::{ExternalSorter, PushExternalSorter, Sortable};
use tempfile::TempDir;

use crate::failure::{Failure, Outcome};
use crate::matching::solve::Candidate;

/// Bytes that candidates are given at least.
pub const LEAST: u64 = 32 << 20;

/// Of a candidate on disk.
pub const BYTES: usize = 8 + 2 * 2 + 2 * 4;

impl Sortable for Candidate {
    fn encode<W: Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(&to_bytes(self))
    }

    fn decode<R: Read>(input: &mut R) -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        input.read_exact(&mut bytes)?;
        Ok(from_bytes(&bytes))
    }
}

pub fn to_bytes(pair: &Candidate) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&pair.score.to_le_bytes());
    bytes[8..10].copy_from_slice(&pair.files[0].to_le_bytes());
    bytes[10..12].copy_from_slice(&pair.files[1].to_le_bytes());
    bytes[12..16].copy_from_slice(&pair.records[0].to_le_bytes());
    bytes[16..].copy_from_slice(&pair.records[1].to_le_bytes());
    bytes
}

pub fn from_bytes(bytes: &[u8; BYTES]) -> Candidate {
    let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let four = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let score = f64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    Candidate { score, files: [two(8), two(10)], records: [four(12), four(16)] }
}

type Compare = fn(&Candidate, &Candidate) -> std::cmp::Ordering;

/// Takes candidates in any order.
pub struct CandidateSorter {
    sorter: PushExternalSorter<Candidate, Compare>,
    /// Beside the output, readable by its owner; gone with the sorter.
    folder: TempDir,
}

impl CandidateSorter {
    pub fn new(memory: u64, out: &Path) -> Outcome<Self> {
        let beside = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = TempDir::with_prefix_in(".pairs.", beside).map_err(|e| Failure::file("write", out, &e))?;
        // a vector that grows holds its old and its new bytes for a moment
        let segment = usize::try_from(memory).unwrap_or(usize::MAX) / size_of::<Candidate>() / 3;
        let options = ExternalSorter::new().with_segment_size(segment).with_sort_dir(folder.path().to_owned());
        Ok(Self { sorter: options.pushed_by(Candidate::cmp as Compare), folder })
    }

    pub fn add(&mut self, pairs: impl Iterator<Item = Candidate>) -> Outcome {
        self.sorter.push_iter(pairs).map_err(|e| Failure::file("write", self.folder.path(), &e))
    }

    pub fn finish(self) -> Outcome<Sorted> {
        let folder = self.folder;
        let sorted = self.sorter.done().map_err(|e| Failure::file("write", folder.path(), &e))?;
        Ok(Sorted { sorted, folder })
    }
}

/// The candidates, surest first.
pub struct Sorted {
    sorted: extsort::SortedIterator<Candidate, Compare>,
    folder: TempDir,
}

impl Iterator for Sorted {
    type Item = Outcome<Candidate>;

    fn next(&mut self) -> Option<Outcome<Candidate>> {
        let next = self.sorted.next()?;
        Some(next.map_err(|e| Failure::file("read", self.folder.path(), &e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pairs.csv");
        let mut sorter = CandidateSorter::new(3 * 24 * 100, &out).unwrap();
        let pairs = (0..10_000u32).map(|n| {
            let n = n.wrapping_mul(2_654_435_761);
            Candidate { score: f64::from(n % 7) / 7.0, files: [0, (n % 3) as u16], records: [n, n >> 8] }
        });
        let mut expect: Vec<Candidate> = pairs.clone().collect();
        expect.sort_unstable();
        sorter.add(pairs).unwrap();
        let sorted = sorter.finish().unwrap();
        assert!(std::fs::read_dir(sorted.folder.path()).unwrap().count() > 10, "it went to disk");
        assert_eq!(sorted.collect::<Outcome<Vec<_>>>().unwrap(), expect);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays");
    }
}
