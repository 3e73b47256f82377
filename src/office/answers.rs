//! What was fetched, as it came: a file of lines that is replaced as a whole, by one process at a time.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hedui_protocol::ids::CommissionId;
use hedui_protocol::messages::SubjectAnswer;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::journal::{Journal, Stage};
use crate::failure::{Failure, Outcome};

/// What came for one commission.
#[derive(Serialize, Deserialize)]
pub struct Fetched {
    pub commission: CommissionId,
    /// The commission's version of which these are the answers.
    #[serde(default)]
    pub version: u64,
    pub answers: Vec<SubjectAnswer>,
    /// A sentence, where there is no more: the server's, where it refused.
    pub refused: Option<String>,
}

impl Fetched {
    pub fn refused(commission: CommissionId, why: String) -> Self {
        Self { commission, version: 0, answers: Vec::new(), refused: Some(why) }
    }
}

/// What came in one run, until it is kept.
pub struct Arrived<'s> {
    state: &'s Path,
    /// New answers, in a file without a name: a process that is killed leaves nothing of it.
    new: BufWriter<File>,
    versions: HashMap<CommissionId, u64>,
    /// Of these nothing came that was not fetched before.
    pub unchanged: HashSet<CommissionId>,
    /// The server's sentence, of each that it refused.
    pub refused: HashMap<CommissionId, String>,
}

impl<'s> Arrived<'s> {
    pub fn none(state: &'s Path) -> Outcome<Self> {
        let new = tempfile::tempfile_in(state).map_err(|e| Failure::file("write", state, &e))?;
        let (versions, unchanged, refused) = Default::default();
        Ok(Self { state, new: BufWriter::new(new), versions, unchanged, refused })
    }

    pub fn add(&mut self, fetched: &Fetched) -> Outcome {
        self.versions.insert(fetched.commission, fetched.version);
        write(&mut self.new, fetched).map_err(|e| Failure::file("write", self.state, &e))
    }

    /// Puts what came to what is there: of each commission that is filed by now the higher version, with a sentence where it is
    /// refused now. What came before a refusal is the office's own, and is kept.
    pub fn keep(mut self) -> Outcome {
        let state = self.state;
        let held = hold(state)?;
        let journal = Journal::open(state)?;
        let is_filed = |commission| journal.stage(commission) == Some(Stage::Filed);
        let there = versions(state)?;
        let mut file = AnswerFile::create(&held)?;
        for before in read_if_there(state)? {
            let mut before: Fetched = before?;
            let commission = before.commission;
            let is_replaced = self.versions.get(&commission).is_some_and(|version| *version >= before.version);
            if is_replaced || !is_filed(commission) {
                continue;
            }
            if self.unchanged.contains(&commission) {
                before.refused = None;
            }
            before.refused = self.refused.remove(&commission).or(before.refused);
            file.write(&before)?;
        }
        let new = self.new.into_inner().map_err(std::io::IntoInnerError::into_error);
        let new = new.and_then(|mut new| new.rewind().map(|()| new)).map_err(|e| Failure::file("read", state, &e))?;
        for fetched in lines(new, state.to_owned()) {
            let fetched: Fetched = fetched?;
            let is_newer = there.get(&fetched.commission).is_none_or(|there| *there <= fetched.version);
            if is_newer && is_filed(fetched.commission) {
                file.write(&fetched)?;
            }
        }
        for (commission, why) in self.refused.into_iter().filter(|(commission, _)| is_filed(*commission)) {
            file.write(&Fetched::refused(commission, why))?;
        }
        file.finish()
    }
}

/// The answers of a state folder, held by whoever replaces them; dropped, another may.
pub struct Held<'s> {
    state: &'s Path,
    _lock: File,
}

/// Waits until no other process holds the answers.
pub fn hold(state: &Path) -> Outcome<Held<'_>> {
    let path = state.join("answers.lock");
    let file = File::options().append(true).create(true).mode(0o600).open(&path);
    let lock = file.and_then(|file| flock(&file, FlockOperation::LockExclusive).map(|()| file).map_err(Into::into));
    let lock = lock.map_err(|e| Failure::file("lock", &path, &e))?;
    Ok(Held { state, _lock: lock })
}

/// Answers as JSON lines; replaced in one step when all have come.
struct AnswerFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
}

fn answers_path(state: &Path) -> PathBuf {
    state.join("answers.jsonl")
}

/// What answers are called until they are whole.
const PARTIAL: &str = ".answers.";

fn write(out: &mut impl Write, fetched: &Fetched) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(fetched).expect("answers are JSON");
    line.push(b'\n');
    out.write_all(&line)
}

impl AnswerFile {
    fn create(held: &Held<'_>) -> Outcome<Self> {
        let path = answers_path(held.state);
        let made = remove_partial(held.state).and_then(|()| NamedTempFile::with_prefix_in(PARTIAL, held.state));
        Ok(Self { out: BufWriter::new(made.map_err(|e| Failure::file("write", &path, &e))?), path })
    }

    fn write(&mut self, fetched: &Fetched) -> Outcome {
        write(&mut self.out, fetched).map_err(|e| Failure::file("write", &self.path, &e))
    }

    fn finish(self) -> Outcome {
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error);
        let synced = file.and_then(|file| file.as_file().sync_all().map(|()| file));
        let replaced = synced.and_then(|file| file.persist(&self.path).map_err(|e| e.error));
        replaced.map(drop).map_err(|e| Failure::file("write", &self.path, &e))
    }
}

/// What processes that were killed have left: whoever makes such a file holds the answers.
fn remove_partial(state: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Takes away what was fetched of some commissions.
pub fn forget(held: &Held<'_>, commissions: &[CommissionId]) -> Outcome {
    let mut file = AnswerFile::create(held)?;
    if !answers_path(held.state).exists() {
        return Ok(());
    }
    for fetched in read(held.state)? {
        let fetched: Fetched = fetched?;
        if !commissions.contains(&fetched.commission) {
            file.write(&fetched)?;
        }
    }
    file.finish()
}

/// The versions of which the answers were fetched.
pub fn versions(state: &Path) -> Outcome<HashMap<CommissionId, u64>> {
    #[derive(Deserialize)]
    struct Version {
        commission: CommissionId,
        #[serde(default)]
        version: u64,
    }
    let version = |fetched: Outcome<Version>| fetched.map(|fetched| (fetched.commission, fetched.version));
    read_if_there(state)?.map(version).collect()
}

fn read_if_there<T: DeserializeOwned>(state: &Path) -> Outcome<impl Iterator<Item = Outcome<T>>> {
    let there = if answers_path(state).exists() { Some(read(state)?) } else { None };
    Ok(there.into_iter().flatten())
}

/// What was fetched last, commission by commission.
pub fn read<T: DeserializeOwned>(state: &Path) -> Outcome<impl Iterator<Item = Outcome<T>>> {
    let path = answers_path(state);
    let file = File::open(&path)
        .map_err(|e| Failure::file("read", &path, &e).hint("`hedui office fetch` brings what has been released"))?;
    Ok(lines(file, path))
}

fn lines<T: DeserializeOwned>(file: File, path: PathBuf) -> impl Iterator<Item = Outcome<T>> {
    BufReader::with_capacity(1 << 18, file).lines().map(move |line| {
        let line = line.map_err(|e| Failure::file("read", &path, &e))?;
        serde_json::from_str(&line).map_err(|_| Failure::refused(format!("{}: a line does not read", path.display())))
    })
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::SubjectId;
    use hedui_protocol::messages::Blob;
    use proptest::prelude::*;

    use super::*;
    use crate::office::journal::tests::commission;

    #[test]
    fn of_what_two_fetch_the_higher_version_stays_and_of_what_is_forgotten_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let id = |byte| CommissionId([byte; 32]);
        let fetched = |byte, version| Fetched { commission: id(byte), version, answers: vec![], refused: None };
        let mut journal = Journal::open_or_begin(state).unwrap();
        journal.prepare(&[1, 2, 3].map(commission)).unwrap();
        journal.filed(&[1, 2, 3].map(id)).unwrap();
        let (mut slow, mut quick) = (Arrived::none(state).unwrap(), Arrived::none(state).unwrap());
        for (arrived, all) in [(&mut slow, [(1, 1), (2, 2), (3, 1)]), (&mut quick, [(1, 2), (2, 1), (3, 1)])] {
            all.into_iter().for_each(|(byte, version)| arrived.add(&fetched(byte, version)).unwrap());
        }
        quick.keep().unwrap();
        forget(&hold(state).unwrap(), &[id(3)]).unwrap();
        journal.forget(&[id(3)]).unwrap();
        slow.keep().unwrap();
        assert_eq!(versions(state).unwrap(), HashMap::from([(id(1), 2), (id(2), 2)]));
    }

    proptest! {
        #[test]
        fn answers_are_read_as_written_and_other_bytes_refused(slots in proptest::collection::vec(any::<u8>(), 0..300), other in proptest::collection::vec(any::<u8>(), 1..300)) {
            let folder = tempfile::tempdir().unwrap();
            let answer = SubjectAnswer { subject: SubjectId([3; 16]), agency: "bank".into(), slots: Blob(slots.clone()) };
            let fetched =
                Fetched { commission: CommissionId([2; 32]), version: 1, answers: vec![answer], refused: None };
            let held = hold(folder.path()).unwrap();
            let mut file = AnswerFile::create(&held).unwrap();
            file.write(&fetched).unwrap();
            file.finish().unwrap();
            let back: Vec<Fetched> = read(folder.path()).unwrap().collect::<Outcome<_>>().unwrap();
            prop_assert_eq!(&back[0].answers[0].slots.0, &slots);

            std::fs::write(answers_path(folder.path()), &other).unwrap();
            let read = read::<Fetched>(folder.path()).unwrap().collect::<Outcome<Vec<_>>>();
            prop_assert!(read.is_err(), "random bytes are no answer");
        }
    }
}
