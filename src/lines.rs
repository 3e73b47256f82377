//! A file of lines that a party appends to for years, with several processes at once, and that a crash cannot tear.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::{Failure, Outcome};
use crate::staging::replace_private;

/// What is read at once from the end.
const BLOCK: u64 = 1 << 17;

/// Whoever reads or writes has the file to itself for as long as that takes: a line is whole, or not there.
pub struct LineFile {
    path: PathBuf,
    file: File,
    read: Read,
}

/// How far a file was read.
#[derive(Clone, Copy, Default)]
struct Read {
    bytes: u64,
    lines: u64,
}

impl LineFile {
    /// Opens the file, or begins one that only this user can read.
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = opened(path).map_err(|e| Failure::file("open", path, &e))?;
        Ok(Self { path: path.to_owned(), file, read: Read::default() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every line, with its end.
    pub fn read(&mut self, mut each: impl FnMut(&[u8]) -> Outcome) -> Outcome {
        let held = self.hold()?;
        let mut reader = BufReader::with_capacity(1 << 18, &*held);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(|e| held.failed("read", &e))? > 0 {
            each(&line)?;
            line.clear();
        }
        Ok(())
    }

    /// The lines that came since this was called last, each with its number and its end. Whether it began with the first: so it
    /// does again where another has taken lines away.
    pub fn read_on(&mut self, mut each: impl FnMut(u64, &[u8]) -> Outcome) -> Outcome<bool> {
        let held = self.hold()?;
        let before = held.read;
        let mut read = before;
        let mut file = held.file;
        file.seek(SeekFrom::Start(read.bytes)).map_err(|e| held.failed("read", &e))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(|e| held.failed("read", &e))? > 0 {
            read = Read { bytes: read.bytes + line.len() as u64, lines: read.lines + 1 };
            each(read.lines, &line)?;
            line.clear();
        }
        drop(held);
        self.read = read;
        Ok(before.bytes == 0)
    }

    /// The last lines, then those before them, until it is enough: a file of years is not read whole.
    pub fn read_from_the_end(&mut self, mut is_enough: impl FnMut(&[u8]) -> Outcome<bool>) -> Outcome {
        let held = self.hold()?;
        let mut end = held.metadata().map_err(|e| held.failed("read", &e))?.len();
        // the end of a line whose beginning is in the block before
        let mut rest = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let mut block = vec![0; usize::try_from(end - start).expect("a block fits into memory")];
            held.read_at(start, &mut block)?;
            block.append(&mut rest);
            let first = match start {
                0 => 0,
                _ => block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1),
            };
            if first < block.len() && is_enough(&block[first..])? {
                return Ok(());
            }
            block.truncate(first);
            (rest, end) = (block, start);
        }
        Ok(())
    }

    /// Appends whole lines; on disk when this returns, where that is asked for.
    pub fn append(&mut self, lines: &[u8], on_disk: bool) -> Outcome {
        let held = self.hold()?;
        let mut file: &File = &held;
        let written = file.write_all(lines).and_then(|()| if on_disk { held.sync_data() } else { Ok(()) });
        written.map_err(|e| held.failed("write", &e))
    }

    /// Takes lines away. Whoever has the file open goes on with what is left.
    pub fn keep(&mut self, mut is_kept: impl FnMut(&[u8]) -> bool) -> Outcome {
        let held = self.hold()?;
        let mut lines = Vec::new();
        let mut file: &File = &held;
        file.read_to_end(&mut lines).map_err(|e| held.failed("read", &e))?;
        let lines = lines.split_inclusive(|byte| *byte == b'\n').filter(|line| is_kept(line));
        replace_private(held.path, &lines.collect::<Vec<_>>().concat())
    }

    /// The file that stands under its name, at its beginning, without a last line that a crash has torn.
    fn hold(&mut self) -> Outcome<Held<'_>> {
        let failed = |e: std::io::Error| Failure::file("open", &self.path, &e);
        loop {
            flock(&self.file, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
            let named = std::fs::metadata(&self.path).ok().map(|named| (named.dev(), named.ino()));
            let own = self.file.metadata().map_err(failed)?;
            if named == Some((own.dev(), own.ino())) {
                break;
            }
            // another has replaced it
            (self.file, self.read) = (opened(&self.path).map_err(failed)?, Read::default());
        }
        let held = Held { file: &self.file, path: &self.path, read: self.read };
        held.mend()?;
        Ok(held)
    }
}

fn opened(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Nobody else's until it is dropped.
struct Held<'f> {
    file: &'f File,
    path: &'f Path,
    read: Read,
}

impl Deref for Held<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        self.file
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // it ends with the process at the latest
        let _ = flock(self.file, FlockOperation::Unlock);
    }
}

impl Held<'_> {
    fn failed(&self, what: &str, why: &std::io::Error) -> Failure {
        Failure::file(what, self.path, why)
    }

    fn read_at(&self, start: u64, bytes: &mut [u8]) -> Outcome {
        let mut file = self.file;
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(bytes));
        read.map_err(|e| self.failed("read", &e))
    }

    /// Drops what stands behind the last line's end, and goes to the beginning.
    fn mend(&self) -> Outcome {
        let length = self.metadata().map_err(|e| self.failed("read", &e))?.len();
        let (mut whole, mut end) = (0, length);
        while end > 0 {
            let start = end.saturating_sub(4096);
            let mut block = vec![0; usize::try_from(end - start).expect("a block fits into memory")];
            self.read_at(start, &mut block)?;
            if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
                whole = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if whole < length {
            self.set_len(whole).map_err(|e| self.failed("write", &e))?;
        }
        let mut file = self.file;
        file.seek(SeekFrom::Start(0)).map(drop).map_err(|e| self.failed("read", &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &mut LineFile) -> Vec<String> {
        let mut lines = Vec::new();
        let each = |line: &[u8]| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        };
        file.read(each).unwrap();
        lines
    }

    #[test]
    fn what_another_appends_is_never_cut_and_a_torn_line_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let threads: Vec<_> = (0..8)
            .map(|writer| {
                let path = path.clone();
                std::thread::spawn(move || {
                    for number in 0..20 {
                        // each opens it anew, as commands do
                        let mut file = LineFile::open(&path).unwrap();
                        lines(&mut file);
                        file.append(format!("{writer}-{number}-{}\n", "x".repeat(300_000)).as_bytes(), false).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut file = LineFile::open(&path).unwrap();
        assert_eq!(lines(&mut file).len(), 160);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[b'y'; 9000]).unwrap();
        assert_eq!(lines(&mut file).len(), 160, "torn");
        file.append(b"z\n", true).unwrap();
        assert_eq!(lines(&mut file)[160], "z\n");
    }

    #[test]
    fn whoever_has_it_open_goes_on_when_lines_are_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut one, mut other) = (LineFile::open(&path).unwrap(), LineFile::open(&path).unwrap());
        one.append(b"a\nb\n", false).unwrap();
        other.keep(|line| line != b"a\n").unwrap();
        one.append(b"c\n", false).unwrap();
        assert_eq!(
            (lines(&mut one), lines(&mut other)),
            (vec!["b\n".into(), "c\n".into()], vec!["b\n".into(), "c\n".into()])
        );
    }

    #[test]
    fn what_was_read_is_not_read_again_but_where_lines_were_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut one, mut other) = (LineFile::open(&path).unwrap(), LineFile::open(&path).unwrap());
        let mut on = || {
            let mut lines = Vec::new();
            let each = |number, line: &[u8]| {
                lines.push((number, String::from_utf8(line.to_vec()).unwrap()));
                Ok(())
            };
            (one.read_on(each).unwrap(), lines)
        };
        other.append(b"a\nb\n", false).unwrap();
        assert_eq!(on(), (true, vec![(1, "a\n".into()), (2, "b\n".into())]));
        other.append(b"c\n", false).unwrap();
        assert_eq!(on(), (false, vec![(3, "c\n".into())]));
        other.keep(|line| line != b"a\n").unwrap();
        assert_eq!(on(), (true, vec![(1, "b\n".into()), (2, "c\n".into())]));
    }

    proptest::proptest! {
        #[test]
        fn from_the_end_it_reads_as_from_the_beginning(lengths in proptest::collection::vec(0usize..700_000, 0..8), torn in 0usize..9000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lines");
            let whole: String = lengths.iter().zip(0..).map(|(length, number)| format!("{number}{}\n", "x".repeat(*length))).collect();
            std::fs::write(&path, format!("{whole}{}", "t".repeat(torn))).unwrap();
            let mut file = LineFile::open(&path).unwrap();
            let mut read = Vec::new();
            let each = |block: &[u8]| {
                read.splice(0..0, block.iter().copied());
                Ok(false)
            };
            file.read_from_the_end(each).unwrap();
            proptest::prop_assert_eq!(read, whole.as_bytes());
            proptest::prop_assert_eq!(lines(&mut file).concat(), whole);
        }
    }
}
