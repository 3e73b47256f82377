//! Builds an index in a folder, part by part: any part at any time, on any thread, and again after a kill.
//!
//! A part's rows and its run of tokens are two files; a third, written last, holds their checksums and a note of the caller: a
//! part without it is not done. When all are, the runs are merged into the table of postings, and go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use hedui_protocol::encodings::Encodings;
use hedui_protocol::ids::{ContentHash, RecordId};

use super::bytes::Bytes;
use super::postings::{Merged, Run, WrittenRun, merge};
use super::rows::{RowTable, RowWriter};

/// The table of postings.
pub const POSTINGS: &str = "postings";
const BUFFER: usize = 1 << 20;

/// The rows of a part.
pub fn rows_file(part: u32) -> String {
    format!("rows-{part:05}")
}

fn run_file(part: u32) -> String {
    format!("run-{part:05}")
}

fn done_file(part: u32) -> String {
    format!("done-{part:05}")
}

/// What was built.
pub struct Finished {
    pub parts: Vec<Done>,
    pub postings: ContentHash,
    pub merged: Merged,
}

/// A part that is done.
pub struct Done {
    pub rows: ContentHash,
    run: ContentHash,
    /// As it was given.
    pub note: Vec<u8>,
}

impl Done {
    /// The note, the checksums, and the checksum of these.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.note[..], &self.rows.0, &self.run.0].concat();
        bytes.extend(ContentHash::of(&bytes).0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (bytes, own) = bytes.split_last_chunk::<32>()?;
        (ContentHash::of(bytes).0 == *own).then_some(())?;
        let (bytes, run) = bytes.split_last_chunk::<32>()?;
        let (note, rows) = bytes.split_last_chunk::<32>()?;
        Some(Self { rows: ContentHash(*rows), run: ContentHash(*run), note: note.to_vec() })
    }
}

/// A folder in which an index is built.
pub struct Building {
    folder: PathBuf,
    passes: u8,
}

impl Building {
    /// `passes`: how many the schema has.
    pub fn new(folder: &Path, passes: u8) -> Self {
        Self { folder: folder.to_owned(), passes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether a part is done, by its checksums.
    pub fn is_done(&self, part: u32) -> bool {
        let holds = |name: &str, hash: &ContentHash| {
            Bytes::map(&self.path(name)).is_ok_and(|bytes| ContentHash::of(&bytes) == *hash)
        };
        let done = self.done(part);
        done.is_ok_and(|done| holds(&rows_file(part), &done.rows) && holds(&run_file(part), &done.run))
    }

    fn done(&self, part: u32) -> io::Result<Done> {
        Done::parse(&std::fs::read(self.path(&done_file(part)))?).ok_or_else(damaged)
    }

    /// Begins a part, whose first row has this number.
    pub fn part(&self, part: u32, first_row: u32) -> io::Result<PartBuilder> {
        let rows = RowWriter::new(Hashing::create(&self.path(&rows_file(part)))?, self.passes);
        let (run, done) = (self.path(&run_file(part)), self.path(&done_file(part)));
        Ok(PartBuilder { rows, tokens: Run::default(), next_row: first_row, run, done })
    }

    /// Merges the parts, which are all done, with this much memory.
    pub fn finish(&self, parts: u32, room: u64) -> io::Result<Finished> {
        let done: Vec<Done> = (0..parts).map(|part| self.done(part)).collect::<io::Result<_>>()?;
        let mut rows = 0u32;
        let mut runs = Vec::new();
        for part in 0..parts {
            let table = RowTable::new(Bytes::map(&self.path(&rows_file(part)))?).ok_or_else(damaged)?;
            rows = rows.checked_add(table.count()).ok_or_else(|| io::Error::other("more than 2^32 rows"))?;
            runs.push(WrittenRun::open(&self.path(&run_file(part)))?.ok_or_else(damaged)?);
        }
        let mut out = Hashing::create(&self.path(POSTINGS))?;
        let merged = merge(&runs, rows, room, &mut out)?;
        let postings = out.finish()?;
        for part in 0..parts {
            std::fs::remove_file(self.path(&run_file(part)))?;
            std::fs::remove_file(self.path(&done_file(part)))?;
        }
        Ok(Finished { parts: done, postings, merged })
    }
}

fn damaged() -> io::Error {
    io::Error::other("a part of an index in the making is damaged")
}

/// A part in the making.
pub struct PartBuilder {
    rows: RowWriter<Hashing>,
    tokens: Run,
    next_row: u32,
    run: PathBuf,
    done: PathBuf,
}

impl PartBuilder {
    pub fn row(&mut self, record: RecordId, encodings: &Encodings, wraps: &[u8], locked: &[u8]) -> io::Result<()> {
        self.rows.write(record, encodings, wraps, locked)?;
        self.tokens.add(self.next_row, encodings);
        self.next_row = self.next_row.checked_add(1).ok_or_else(|| io::Error::other("more than 2^32 rows"))?;
        Ok(())
    }

    /// The note comes back when all parts are merged.
    pub fn finish(self, note: &[u8]) -> io::Result<()> {
        let rows = self.rows.finish()?.finish()?;
        let mut out = Hashing::create(&self.run)?;
        self.tokens.write(&mut out)?;
        let run = out.finish()?;
        std::fs::write(&self.done, Done { rows, run, note: note.to_vec() }.to_bytes())
    }
}

/// A file that is hashed as it is written.
struct Hashing {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Hashing {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(BUFFER, File::create(path)?), hasher: blake3::Hasher::new() })
    }

    fn finish(mut self) -> io::Result<ContentHash> {
        self.out.flush()?;
        Ok(ContentHash(*self.hasher.finalize().as_bytes()))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::encodings::Token;

    use super::*;
    use crate::matching::index::Index;

    fn encodings(row: u8) -> Encodings {
        Encodings { tokens: vec![(0, Token([row; 16])), (1, Token([row / 4; 16]))], filters: vec![(0, vec![row; 8])] }
    }

    fn build(building: &Building, part: u32) {
        let mut builder = building.part(part, 10 * part).unwrap();
        for row in 10 * part as u8..10 * (part as u8 + 1) {
            builder.row(RecordId([row; 16]), &encodings(row), &[row], &[row, row]).unwrap();
        }
        builder.finish(&[part as u8]).unwrap();
    }

    #[test]
    fn parts_in_any_order_make_one_index() {
        let folder = tempfile::tempdir().unwrap();
        let building = Building::new(folder.path(), 2);
        [2, 0, 1].into_iter().for_each(|part| build(&building, part));
        let finished = building.finish(3, 0).unwrap();
        assert_eq!((finished.merged.entries, finished.merged.largest_cohort), (60, 4));
        assert_eq!(finished.parts.iter().map(|done| done.note[0]).collect::<Vec<_>>(), [0, 1, 2]);
        let table = |part| RowTable::new(Bytes::map(&folder.path().join(rows_file(part))).unwrap()).unwrap();
        let postings = Bytes::map(&folder.path().join(POSTINGS)).unwrap();
        assert_eq!(ContentHash::of(&postings), finished.postings);
        let index = Index::new((0..3).map(table).collect(), postings).unwrap();
        for row in 0..30u8 {
            let view = index.row(u32::from(row));
            assert_eq!((view.record, view.part, view.wraps), (RecordId([row; 16]), u32::from(row) / 10, &[row][..]));
            assert_eq!((view.locked, view.filter(0, &[8])), (&[row, row][..], Some(&[row; 8][..])));
            let alike = (0..30).filter(|other| other / 4 == row / 4).map(u32::from);
            assert_eq!(index.candidates(&encodings(row)), alike.collect::<Vec<_>>());
        }
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 4, "three parts' rows and the postings");
    }

    #[test]
    fn a_part_is_done_when_its_files_are_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let building = Building::new(folder.path(), 2);
        assert!(!building.is_done(0));
        drop(building.part(0, 0).unwrap());
        assert!(!building.is_done(0), "begun");
        build(&building, 0);
        assert!(building.is_done(0));
        for name in [rows_file(0), run_file(0), done_file(0)] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            damaged[7] ^= 1;
            for bytes in [&damaged[..], &whole[..whole.len() - 1]] {
                std::fs::write(&path, bytes).unwrap();
                assert!(!building.is_done(0), "{}", path.display());
            }
            std::fs::write(&path, whole).unwrap();
        }
        assert!(building.is_done(0));
    }
}
