//! An exported log: a folder that says all that an auditor needs, and that later exports go on writing.
//!
//! | file | what |
//! |---|---|
//! | `entries.jsonl` | the entries' exact bytes, a line each |
//! | `checkpoint` | the newest signed note |
//! | `manifest.toml`, `manifest.toml.sig` | the project's manifest, and who has signed it |
//! | `commissions.jsonl` | what offices signed: tickets and withdrawals |
//! | `batches.jsonl` | what agencies signed: batch headers |

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hedui_protocol::messages::{CommissionProof, LogPage};
use hedui_protocol::sign::Signed;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::signatures;
use crate::staging::{private_folder, replace_private};

pub const ENTRIES: &str = "entries.jsonl";
pub const CHECKPOINT: &str = "checkpoint";
pub const MANIFEST: &str = "manifest.toml";
const COMMISSIONS: &str = "commissions.jsonl";
const BATCHES: &str = "batches.jsonl";

pub struct Logbook {
    folder: PathBuf,
    /// Of one that is being written: nobody else writes it meanwhile.
    _lock: Option<File>,
}

impl Logbook {
    /// An export that is there.
    pub fn open(folder: &Path) -> Outcome<Self> {
        if folder.join(ENTRIES).exists() {
            return Ok(Self { folder: folder.to_owned(), _lock: None });
        }
        Err(Failure::refused(format!("{}: this is no exported log", folder.display()))
            .hint("`hedui audit export` and `hedui audit fetch` write one"))
    }

    /// An export to begin, or to go on with.
    pub fn begin(folder: &Path, manifest: &[u8], signatures: &[u8]) -> Outcome<Self> {
        private_folder(folder)?;
        let lock = lock(folder)?;
        let path = folder.join(MANIFEST);
        match std::fs::read(&path) {
            Ok(known) if known != manifest => {
                return Err(Failure::refused(format!("{}: the log of another manifest is here", folder.display())));
            }
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Failure::file("read", &path, &e)),
            _ => replace_private(&path, manifest)?,
        }
        replace_private(&signatures::path_of(&path), signatures)?;
        let book = Self { folder: folder.to_owned(), _lock: Some(lock) };
        [ENTRIES, COMMISSIONS, BATCHES].iter().try_for_each(|name| book.mend(name))?;
        Ok(book)
    }

    /// Makes the file, or takes a last line away that was torn when an export was killed.
    fn mend(&self, name: &str) -> Outcome {
        let (file, path) = self.append_to(name)?;
        let failed = |e: std::io::Error| Failure::file("read", &path, &e);
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        let (mut line, mut whole) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.ends_with(b"\n") {
                whole += line.len() as u64;
            }
            line.clear();
        }
        file.set_len(whole).map_err(failed)
    }

    fn append_to(&self, name: &str) -> Outcome<(File, PathBuf)> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.map(|file| (file, path.clone())).map_err(|e| Failure::file("write", &path, &e))
    }

    /// Appends what has come; the entries last, for they are what is counted when an export goes on. `before`: the entries so
    /// far. A checkpoint of more than are here then waits for the others.
    pub fn append(&self, page: &LogPage, before: u64) -> Outcome {
        self.lines(COMMISSIONS, page.commissions.iter().map(json))?;
        self.lines(BATCHES, page.batches.iter().map(json))?;
        self.lines(ENTRIES, page.entries.iter().cloned())?;
        let here = before + page.entries.len() as u64;
        match page.checkpoint.as_ref().filter(|note| size_of(note).is_some_and(|size| size <= here)) {
            Some(note) => replace_private(&self.folder.join(CHECKPOINT), note.as_bytes()),
            None => Ok(()),
        }
    }

    fn lines(&self, name: &str, lines: impl Iterator<Item = String>) -> Outcome {
        let (mut file, path) = self.append_to(name)?;
        let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|e| Failure::file("write", &path, &e))
    }

    /// Whether a page that begins with the last entry here does so with the same.
    pub fn must_continue(&self, page: &LogPage, last: &[u8]) -> Outcome {
        let here = self.folder.display();
        match page.entries.first() {
            Some(first) if first.as_bytes() == last => Ok(()),
            Some(_) => {
                Err(Failure::refused(format!("{here}: the log does not continue the one that is here: it was forked")))
            }
            None => Err(Failure::refused(format!(
                "{here}: the log has fewer entries than are here: it was rolled back, or this is another's"
            ))),
        }
    }

    /// Lengths and moments of its files: where they are the same, nothing was written.
    pub fn stamp(&self) -> Vec<Option<(u64, SystemTime)>> {
        let of = |name: &str| {
            let data = std::fs::metadata(self.folder.join(name)).ok()?;
            Some((data.len(), data.modified().ok()?))
        };
        [ENTRIES, CHECKPOINT, COMMISSIONS, BATCHES, MANIFEST].into_iter().map(of).collect()
    }

    /// The entries, as lines; a last line that is still being written is not one.
    pub fn entries(&self) -> Outcome<Vec<Vec<u8>>> {
        let path = self.folder.join(ENTRIES);
        let bytes = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.pop();
        Ok(lines)
    }

    /// The newest signed note, if there is one.
    pub fn checkpoint(&self) -> Outcome<Option<String>> {
        let path = self.folder.join(CHECKPOINT);
        match std::fs::read_to_string(&path) {
            Ok(note) => Ok(Some(note)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Failure::file("read", &path, &e)),
        }
    }

    pub fn manifest(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    pub fn commissions(&self) -> Outcome<Vec<CommissionProof>> {
        self.parsed(COMMISSIONS)
    }

    pub fn batches(&self) -> Outcome<Vec<Signed>> {
        self.parsed(BATCHES)
    }

    fn parsed<T: DeserializeOwned>(&self, name: &str) -> Outcome<Vec<T>> {
        let path = self.folder.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::file("read", &path, &e)),
        };
        let (mut reader, mut line, mut all) = (BufReader::new(file), Vec::new(), Vec::new());
        // a last line that is still being written is not one
        while reader.read_until(b'\n', &mut line).map_err(|e| Failure::file("read", &path, &e))? > 0
            && line.ends_with(b"\n")
        {
            let wrong = |_| Failure::refused(format!("{}: line {} does not read", path.display(), all.len() + 1));
            all.push(serde_json::from_slice(&line).map_err(wrong)?);
            line.clear();
        }
        Ok(all)
    }
}

/// The folder itself is locked: no file is beside those of the log.
fn lock(folder: &Path) -> Outcome<File> {
    let file = File::open(folder).map_err(|e| Failure::file("open", folder, &e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            Err(Failure::try_again(format!("{}: another command is writing this log", folder.display()))
                .hint("run the same command again when it has ended"))
        }
        Err(e) => Err(Failure::file("lock", folder, &e.into())),
    }
}

/// How many entries a note says that it is of.
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is signed is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_checkpoint_waits_for_its_entries_and_a_torn_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join("log").join(name);
        let book = Logbook::begin(&folder.path().join("log"), b"terms", b"").unwrap();
        let note = || Some("hedui.log/x\n3\nAAAA\n\nsigned\n".to_owned());
        let entries = |count: usize| vec!["{}".to_owned(); count];
        book.append(&LogPage { entries: entries(2), checkpoint: note(), ..LogPage::default() }, 0).unwrap();
        assert_eq!(book.checkpoint().unwrap(), None, "an export that is cut short here is no rolled back log");
        book.append(&LogPage { entries: entries(1), checkpoint: note(), ..LogPage::default() }, 2).unwrap();
        assert_eq!((book.checkpoint().unwrap(), book.entries().unwrap().len()), (note(), 3));
        let second = Logbook::begin(&folder.path().join("log"), b"terms", b"").map(|_| ()).unwrap_err();
        assert!(second.message.contains("another command is writing this log") && second.exit == Exit::TryAgain);
        drop(book);
        let book = Logbook::begin(&folder.path().join("log"), b"terms", b"").unwrap();

        std::fs::write(path(BATCHES), "{\"bytes\":").unwrap();
        assert_eq!(book.batches().unwrap(), []);
        std::fs::write(path(BATCHES), "{\"bytes\":\n").unwrap();
        assert!(book.batches().unwrap_err().message.contains("line 1 does not read"));
    }
}
