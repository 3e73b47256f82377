//! Pairs in order, in bounded memory: what does not fit is sorted on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::matching::solve::Candidate;

/// Bytes that a sorter is given at least.
pub const LEAST: u64 = 32 << 20;

/// Runs on disk at most: each needs an open file, and a buffer while they are merged.
const MOST_RUNS: usize = 128;

/// What is sorted, and how it lies on disk.
pub trait Entry: Ord + Copy {
    /// Bytes of each on disk.
    const BYTES: usize;
    fn put(&self, bytes: &mut Vec<u8>);
    /// Of exactly [`Self::BYTES`] bytes.
    fn get(bytes: &[u8]) -> Self;
}

impl Entry for Candidate {
    const BYTES: usize = 8 + 2 * 2 + 2 * 4;

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.score.to_le_bytes());
        self.files.iter().for_each(|file| bytes.extend(file.to_le_bytes()));
        self.records.iter().for_each(|record| bytes.extend(record.to_le_bytes()));
    }

    fn get(bytes: &[u8]) -> Self {
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let four = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let score = f64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self { score, files: [two(8), two(10)], records: [four(12), four(16)] }
    }
}

/// Takes entries in any order.
pub struct Sorter<E> {
    /// What came since the last run was written.
    fresh: Vec<E>,
    room: usize,
    runs: Vec<File>,
    /// Where the runs are.
    folder: PathBuf,
}

impl<E: Entry> Sorter<E> {
    /// In `memory` bytes; runs go beside `out`.
    pub fn new(memory: u64, out: &Path) -> Self {
        // a vector that grows holds its old and its new bytes for a moment
        let room = usize::try_from(memory).unwrap_or(usize::MAX) / size_of::<E>() / 3;
        Self { fresh: Vec::new(), room, runs: Vec::new(), folder: folder_of(out).to_owned() }
    }

    pub fn add(&mut self, entries: impl Iterator<Item = E>) -> Outcome {
        for entry in entries {
            self.fresh.push(entry);
            if self.fresh.len() >= self.room {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Outcome {
        self.fresh.sort_unstable();
        self.runs.push(write(&self.folder, self.fresh.iter().copied().map(Ok))?);
        self.fresh.clear();
        if self.runs.len() == MOST_RUNS {
            let merged = Sorted::<E>::of(std::mem::take(&mut self.runs), Vec::new(), &self.folder)?;
            self.runs.push(write(&self.folder, merged)?);
        }
        Ok(())
    }

    pub fn finish(mut self) -> Outcome<Sorted<E>> {
        self.fresh.sort_unstable();
        Sorted::of(self.runs, self.fresh, &self.folder)
    }
}

/// Entries in the order in which they come, to be taken when all have come.
pub fn kept_on_disk<E: Entry>(entries: impl Iterator<Item = Outcome<E>>, out: &Path) -> Outcome<Sorted<E>> {
    let folder = folder_of(out);
    Sorted::of(vec![write(folder, entries)?], Vec::new(), folder)
}

fn folder_of(out: &Path) -> &Path {
    out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A run, in a file without a name: however the program ends, nothing of it stays.
fn write<E: Entry>(folder: &Path, entries: impl Iterator<Item = Outcome<E>>) -> Outcome<File> {
    let failed = |e: io::Error| Failure::file("write", folder, &e);
    let mut out = BufWriter::new(tempfile::tempfile_in(folder).map_err(failed)?);
    let mut bytes = Vec::with_capacity(E::BYTES);
    for entry in entries {
        bytes.clear();
        entry?.put(&mut bytes);
        out.write_all(&bytes).map_err(failed)?;
    }
    let mut file = out.into_inner().map_err(|e| failed(e.into_error()))?;
    file.rewind().map_err(failed)?;
    Ok(file)
}

/// Entries in order.
enum Run<E> {
    /// With room for the bytes of one.
    Disk(BufReader<File>, Vec<u8>),
    Memory(std::vec::IntoIter<E>),
}

impl<E: Entry> Run<E> {
    fn next(&mut self) -> io::Result<Option<E>> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::Disk(input, bytes) => {
                if input.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                input.read_exact(bytes)?;
                Ok(Some(E::get(bytes)))
            }
        }
    }
}

/// The entries, the least first.
pub struct Sorted<E> {
    runs: Vec<Run<E>>,
    /// The first of each run that has one left, with the run.
    heads: BinaryHeap<Reverse<(E, usize)>>,
    folder: PathBuf,
}

impl<E: Entry> Sorted<E> {
    fn of(disk: Vec<File>, memory: Vec<E>, folder: &Path) -> Outcome<Self> {
        let disk = disk.into_iter().map(|run| Run::Disk(BufReader::new(run), vec![0; E::BYTES]));
        let runs = disk.chain([Run::Memory(memory.into_iter())]).collect();
        let mut sorted = Self { runs, heads: BinaryHeap::new(), folder: folder.to_owned() };
        (0..sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }

    fn advance(&mut self, run: usize) -> Outcome {
        let next = self.runs[run].next().map_err(|e| Failure::file("read", &self.folder, &e))?;
        self.heads.extend(next.map(|entry| Reverse((entry, run))));
        Ok(())
    }
}

impl<E: Entry> Iterator for Sorted<E> {
    type Item = Outcome<E>;

    fn next(&mut self) -> Option<Outcome<E>> {
        let Reverse((entry, run)) = self.heads.pop()?;
        Some(self.advance(run).map(|()| entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pairs.csv");
        let mut sorter = Sorter::new(3 * 24 * 20, &out);
        let pairs = (0..10_000u32).map(|n| {
            let n = n.wrapping_mul(2_654_435_761);
            Candidate { score: f64::from(n % 7) / 7.0, files: [0, (n % 3) as u16], records: [n, n >> 8] }
        });
        let mut expect: Vec<Candidate> = pairs.clone().collect();
        expect.sort_unstable();
        sorter.add(pairs).unwrap();
        assert!(sorter.runs.len() < MOST_RUNS, "{} open files", sorter.runs.len());
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
