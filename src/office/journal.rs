//! The office's own record of its commissions: an append-only file that a crash cannot tear.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::sign::Signed;
use serde::{Deserialize, Serialize};

use super::authorisation::Excluded;
use crate::failure::{Failure, Outcome};
use crate::staging::{private_folder, replace_private};

/// A commission as this office knows it. Personal data: not `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Commission {
    pub commission: CommissionId,
    pub commission_no: String,
    pub household: String,
    pub ticket: Signed,
    pub people: Vec<Person>,
}

/// A member of the household: asked about as a subject, or left out for a reason.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    pub row_id: String,
    pub relation: String,
    pub cells: Vec<String>,
    pub standing: Standing,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Subject(SubjectId),
    Excluded(Excluded),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    /// Written before the server is asked: the same ticket can be sent again.
    Prepared(Commission),
    Filed(CommissionId),
    Withdrawn(CommissionId),
}

impl Event {
    fn about(&self) -> CommissionId {
        match self {
            Self::Prepared(commission) => commission.commission,
            Self::Filed(commission) | Self::Withdrawn(commission) => *commission,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Prepared,
    Filed,
    Withdrawn,
}

/// The journal, replayed.
pub struct Journal {
    file: File,
    path: PathBuf,
    commissions: BTreeMap<CommissionId, (Stage, Commission)>,
}

const JOURNAL: &str = "commissions.jsonl";

impl Journal {
    /// Opens the journal of a state folder, or begins one.
    pub fn open(folder: &Path) -> Outcome<Self> {
        private_folder(folder)?;
        let path = folder.join(JOURNAL);
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(|e| Failure::file("open", &path, &e))?;
        let mut journal = Self { file, path, commissions: BTreeMap::new() };
        journal.replay()?;
        Ok(journal)
    }

    /// A last line without its end was torn by a crash before anything was sent; it is dropped.
    fn replay(&mut self) -> Outcome {
        let unreadable = |e: &std::io::Error| Failure::file("read", &self.path, e);
        let mut reader = BufReader::new(self.file.try_clone().map_err(|e| unreadable(&e))?);
        let (mut line, mut whole, mut number) = (Vec::new(), 0, 0);
        while reader.read_until(b'\n', &mut line).map_err(|e| unreadable(&e))? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            whole += line.len() as u64;
            let event = serde_json::from_slice(&line)
                .map_err(|_| Failure::refused(format!("{}: line {number} does not read", self.path.display())))?;
            apply(&mut self.commissions, event);
            line.clear();
        }
        self.file.set_len(whole).map_err(|e| Failure::file("write", &self.path, &e))
    }

    /// On disk when this returns.
    pub fn prepare(&mut self, commissions: &[Commission]) -> Outcome {
        self.append(commissions.iter().cloned().map(Event::Prepared))
    }

    pub fn filed(&mut self, commissions: &[CommissionId]) -> Outcome {
        self.append(commissions.iter().copied().map(Event::Filed))
    }

    pub fn withdrawn(&mut self, commission: CommissionId) -> Outcome {
        self.append(std::iter::once(Event::Withdrawn(commission)))
    }

    /// Takes everything of some commissions away.
    pub fn forget(&mut self, commissions: &[CommissionId]) -> Outcome {
        let failed = |e: &std::io::Error| Failure::file("read", &self.path, e);
        let bytes = std::fs::read(&self.path).map_err(|e| failed(&e))?;
        let mut kept = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let event: Event = serde_json::from_slice(line).expect("it was read when the journal was opened");
            if !commissions.contains(&event.about()) {
                kept.extend_from_slice(line);
            }
        }
        replace_private(&self.path, &kept)?;
        self.file = OpenOptions::new().read(true).append(true).open(&self.path).map_err(|e| failed(&e))?;
        self.commissions.retain(|id, _| !commissions.contains(id));
        Ok(())
    }

    fn append(&mut self, events: impl Iterator<Item = Event>) -> Outcome {
        let mut lines = Vec::new();
        let events: Vec<Event> = events.collect();
        for event in &events {
            serde_json::to_writer(&mut lines, event).expect("a journal event is JSON");
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(|e| Failure::file("write", &self.path, &e))?;
        events.into_iter().for_each(|event| apply(&mut self.commissions, event));
        Ok(())
    }

    pub fn all(&self) -> impl Iterator<Item = (Stage, &Commission)> {
        self.commissions.values().map(|(stage, commission)| (*stage, commission))
    }

    pub fn at(&self, wanted: Stage) -> Vec<Commission> {
        self.all().filter(|(stage, _)| *stage == wanted).map(|(_, commission)| commission.clone()).collect()
    }
}

fn apply(commissions: &mut BTreeMap<CommissionId, (Stage, Commission)>, event: Event) {
    match event {
        Event::Prepared(commission) => {
            commissions.insert(commission.commission, (Stage::Prepared, commission));
        }
        Event::Filed(id) => set_stage(commissions, id, Stage::Filed),
        Event::Withdrawn(id) => set_stage(commissions, id, Stage::Withdrawn),
    }
}

fn set_stage(commissions: &mut BTreeMap<CommissionId, (Stage, Commission)>, id: CommissionId, to: Stage) {
    if let Some((stage, _)) = commissions.get_mut(&id) {
        *stage = to;
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::sign::{Purpose, SigningKey};

    use super::*;

    fn commission(byte: u8) -> Commission {
        let ticket = Signed::new(&SigningKey::from_seed(&[byte; 32]), Purpose::Ticket, vec![byte]);
        let (commission_no, household) = (format!("WT-{byte}"), format!("H{byte}"));
        Commission { commission: CommissionId([byte; 32]), commission_no, household, ticket, people: vec![] }
    }

    #[test]
    fn what_was_written_is_replayed_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.prepare(&[commission(1), commission(2)]).unwrap();
        journal.filed(&[CommissionId([1; 32])]).unwrap();
        drop(journal);
        let path = folder.path().join(JOURNAL);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"filed\":\"0202").unwrap();

        let mut journal = Journal::open(folder.path()).unwrap();
        let stages: Vec<Stage> = journal.all().map(|(stage, _)| stage).collect();
        assert_eq!(stages, [Stage::Filed, Stage::Prepared]);
        journal.filed(&[CommissionId([2; 32])]).unwrap();
        assert_eq!(Journal::open(folder.path()).unwrap().at(Stage::Filed).len(), 2, "the torn bytes are gone");
        journal.forget(&[CommissionId([2; 32])]).unwrap();
        journal.prepare(&[commission(3)]).unwrap();
        let left: Vec<Stage> = Journal::open(folder.path()).unwrap().all().map(|(stage, _)| stage).collect();
        assert_eq!(left, [Stage::Filed, Stage::Prepared]);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("WT-2"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_journal_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(JOURNAL), &bytes).unwrap();
            let _ = Journal::open(folder.path());
        }
    }
}
