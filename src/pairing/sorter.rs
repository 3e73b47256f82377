//! Candidates in order, in bounded memory: what does not fit is sorted on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::matching::solve::Candidate;

/// Bytes that candidates are given at least.
pub const LEAST: u64 = 32 << 20;

/// Of a candidate on disk.
pub const BYTES: usize = 8 + 2 * 2 + 2 * 4;

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

/// Takes candidates in any order.
pub struct CandidateSorter {
    /// What came since the last run was written.
    fresh: Vec<Candidate>,
    room: usize,
    runs: Vec<File>,
    /// Where the runs are.
    folder: PathBuf,
}

impl CandidateSorter {
    pub fn new(memory: u64, out: &Path) -> Self {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // a vector that grows holds its old and its new bytes for a moment
        let room = usize::try_from(memory).unwrap_or(usize::MAX) / size_of::<Candidate>() / 3;
        Self { fresh: Vec::new(), room, runs: Vec::new(), folder: folder.to_owned() }
    }

    pub fn add(&mut self, pairs: impl Iterator<Item = Candidate>) -> Outcome {
        for pair in pairs {
            self.fresh.push(pair);
            if self.fresh.len() >= self.room {
                self.fresh.sort_unstable();
                let run = write(&self.folder, &self.fresh).map_err(|e| Failure::file("write", &self.folder, &e))?;
                self.runs.push(run);
                self.fresh.clear();
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Outcome<Sorted> {
        self.fresh.sort_unstable();
        let runs = self.runs.into_iter().map(|run| Run::Disk(BufReader::new(run)));
        let runs = runs.chain([Run::Memory(self.fresh.into_iter())]).collect();
        let mut sorted = Sorted { runs, heads: BinaryHeap::new(), folder: self.folder };
        (0..sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }
}

/// A run, in a file without a name: however the program ends, nothing of it stays.
fn write(folder: &Path, pairs: &[Candidate]) -> io::Result<File> {
    let mut out = BufWriter::new(tempfile::tempfile_in(folder)?);
    pairs.iter().try_for_each(|pair| out.write_all(&to_bytes(pair)))?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// Candidates in order.
enum Run {
    Disk(BufReader<File>),
    Memory(std::vec::IntoIter<Candidate>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Candidate>> {
        match self {
            Self::Memory(pairs) => Ok(pairs.next()),
            Self::Disk(input) => {
                if input.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                let mut bytes = [0; BYTES];
                input.read_exact(&mut bytes)?;
                Ok(Some(from_bytes(&bytes)))
            }
        }
    }
}

/// The candidates, surest first.
pub struct Sorted {
    runs: Vec<Run>,
    /// The first of each run that has one left, with the run.
    heads: BinaryHeap<Reverse<(Candidate, usize)>>,
    folder: PathBuf,
}

impl Sorted {
    fn advance(&mut self, run: usize) -> Outcome {
        let next = self.runs[run].next().map_err(|e| Failure::file("read", &self.folder, &e))?;
        self.heads.extend(next.map(|pair| Reverse((pair, run))));
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = Outcome<Candidate>;

    fn next(&mut self) -> Option<Outcome<Candidate>> {
        let Reverse((pair, run)) = self.heads.pop()?;
        Some(self.advance(run).map(|()| pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pairs.csv");
        let mut sorter = CandidateSorter::new(3 * 24 * 100, &out);
        let pairs = (0..10_000u32).map(|n| {
            let n = n.wrapping_mul(2_654_435_761);
            Candidate { score: f64::from(n % 7) / 7.0, files: [0, (n % 3) as u16], records: [n, n >> 8] }
        });
        let mut expect: Vec<Candidate> = pairs.clone().collect();
        expect.sort_unstable();
        sorter.add(pairs).unwrap();
        let sorted = sorter.finish().unwrap();
        assert!(sorted.runs.len() > 10, "it went to disk");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing would stay if the program ended here"
        );
        assert_eq!(sorted.collect::<Outcome<Vec<_>>>().unwrap(), expect);
    }
}
