//! The office's own record of its commissions.

use std::collections::BTreeMap;
use std::path::Path;

use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::sign::Signed;
use serde::{Deserialize, Serialize};

use super::authorisation::Excluded;
use crate::failure::{Failure, Outcome};
use crate::lines::LineFile;
use crate::staging::private_folder;

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
    /// Taken back before the server had it.
    Unsent(CommissionId),
    Withdrawn(CommissionId),
}

impl Event {
    fn about(&self) -> CommissionId {
        match self {
            Self::Prepared(commission) => commission.commission,
            Self::Filed(commission) | Self::Unsent(commission) | Self::Withdrawn(commission) => *commission,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Prepared,
    Filed,
    /// Taken back before the server had it, and not sent.
    Unsent,
    Withdrawn,
}

/// The journal, replayed as far as it was read.
pub struct Journal {
    file: LineFile,
    commissions: BTreeMap<CommissionId, (Stage, Commission)>,
}

const JOURNAL: &str = "commissions.jsonl";

impl Journal {
    /// Opens the journal of a state folder. One that nobody has asked from is refused: its name may be mistyped.
    pub fn open(folder: &Path) -> Outcome<Self> {
        if !folder.join(JOURNAL).exists() {
            return Err(Failure::refused(format!("{}: no commission was ever prepared here", folder.display()))
                .hint("`--state` names the folder that `hedui office request` was given"));
        }
        Self::open_or_begin(folder)
    }

    /// Opens the journal of a state folder, or begins one.
    pub fn open_or_begin(folder: &Path) -> Outcome<Self> {
        private_folder(folder)?;
        let mut journal = Self { file: LineFile::open(&folder.join(JOURNAL))?, commissions: BTreeMap::new() };
        journal.read_on()?;
        Ok(journal)
    }

    /// Reads what other processes have written since.
    pub fn read_on(&mut self) -> Outcome {
        let path = self.file.path().to_owned();
        let mut events = Vec::new();
        let all = self.file.read_on(|number, line| {
            let event = serde_json::from_slice(line)
                .map_err(|_| Failure::refused(format!("{}: line {number} does not read", path.display())))?;
            events.push(event);
            Ok(())
        })?;
        if all {
            self.commissions.clear();
        }
        events.into_iter().for_each(|event| apply(&mut self.commissions, event));
        Ok(())
    }

    /// On disk when this returns.
    pub fn prepare(&mut self, commissions: &[Commission]) -> Outcome {
        self.append(commissions.iter().cloned().map(Event::Prepared))
    }

    pub fn filed(&mut self, commissions: &[CommissionId]) -> Outcome {
        self.append(commissions.iter().copied().map(Event::Filed))
    }

    pub fn unsent(&mut self, commission: CommissionId) -> Outcome {
        self.append(std::iter::once(Event::Unsent(commission)))
    }

    pub fn withdrawn(&mut self, commission: CommissionId) -> Outcome {
        self.append(std::iter::once(Event::Withdrawn(commission)))
    }

    /// Takes everything of some commissions away.
    pub fn forget(&mut self, commissions: &[CommissionId]) -> Outcome {
        let is_about =
            |line: &[u8]| serde_json::from_slice::<Event>(line).is_ok_and(|event| commissions.contains(&event.about()));
        self.file.keep(|line| !is_about(line))?;
        self.commissions.retain(|id, _| !commissions.contains(id));
        Ok(())
    }

    fn append(&mut self, events: impl Iterator<Item = Event>) -> Outcome {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, &event).expect("a journal event is JSON");
            lines.push(b'\n');
        }
        self.file.append(&lines, true)?;
        // what others have written before it counts before it
        self.read_on()
    }

    pub fn all(&self) -> impl Iterator<Item = (Stage, &Commission)> {
        self.commissions.values().map(|(stage, commission)| (*stage, commission))
    }

    /// None: it was forgotten.
    pub fn stage(&self, commission: CommissionId) -> Option<Stage> {
        self.commissions.get(&commission).map(|(stage, _)| *stage)
    }

    /// Withdrawn, or forgotten: it is not to be at the server.
    pub fn is_taken_back(&self, commission: CommissionId) -> bool {
        !matches!(self.stage(commission), Some(Stage::Prepared | Stage::Filed))
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
        Event::Filed(id) => from_prepared(commissions, id, Stage::Filed),
        Event::Unsent(id) => from_prepared(commissions, id, Stage::Unsent),
        Event::Withdrawn(id) => {
            if let Some((stage, _)) = commissions.get_mut(&id) {
                *stage = Stage::Withdrawn;
            }
        }
    }
}

/// What is taken back stays so, whatever another clerk who was sending it writes later.
fn from_prepared(commissions: &mut BTreeMap<CommissionId, (Stage, Commission)>, id: CommissionId, to: Stage) {
    if let Some((stage @ Stage::Prepared, _)) = commissions.get_mut(&id) {
        *stage = to;
    }
}

#[cfg(test)]
pub mod tests {
    use hedui_protocol::sign::{Purpose, SigningKey};

    use super::*;

    pub fn commission(byte: u8) -> Commission {
        let ticket = Signed::new(&SigningKey::from_seed(&[byte; 32]), Purpose::Ticket, vec![byte]);
        let (commission_no, household) = (format!("WT-{byte}"), format!("H{byte}"));
        Commission { commission: CommissionId([byte; 32]), commission_no, household, ticket, people: vec![] }
    }

    #[test]
    fn what_was_written_is_replayed_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open_or_begin(folder.path()).unwrap();
        journal.prepare(&[commission(1), commission(2)]).unwrap();
        journal.filed(&[CommissionId([1; 32])]).unwrap();
        drop(journal);
        let path = folder.path().join(JOURNAL);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"{\"filed\":\"0202").unwrap();

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

    #[test]
    fn what_is_taken_back_stays_so_whatever_its_sender_writes_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut sender = Journal::open_or_begin(folder.path()).unwrap();
        sender.prepare(&[commission(1), commission(2), commission(3)]).unwrap();
        let mut other = Journal::open(folder.path()).unwrap();
        other.withdrawn(CommissionId([1; 32])).unwrap();
        other.unsent(CommissionId([2; 32])).unwrap();
        sender.filed(&[1, 2, 3].map(|byte| CommissionId([byte; 32]))).unwrap();
        for journal in [sender, Journal::open(folder.path()).unwrap()] {
            let stages: Vec<Stage> = journal.all().map(|(stage, _)| stage).collect();
            assert_eq!(stages, [Stage::Withdrawn, Stage::Unsent, Stage::Filed]);
        }
    }

    #[test]
    fn what_another_forgets_is_gone_here_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open_or_begin(folder.path()).unwrap();
        journal.prepare(&[commission(1), commission(2)]).unwrap();
        Journal::open(folder.path()).unwrap().forget(&[CommissionId([1; 32])]).unwrap();
        journal.read_on().unwrap();
        assert_eq!(journal.stage(CommissionId([1; 32])), None);
        assert_eq!(journal.stage(CommissionId([2; 32])), Some(Stage::Prepared));
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
