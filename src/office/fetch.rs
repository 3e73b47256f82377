//! `hedui office fetch`: what has been released, as it came: sealed. `report` opens it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt as _;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{AnswerPage, CommissionState, CommissionStatus, SubjectAnswer};
use hedui_protocol::problem::ProblemKind;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::StateFolder;
use super::journal::{Journal, Stage};
use crate::failure::{Failure, Outcome};
use crate::options::{ManifestFile, ServerAddress};
use crate::terminal::{self, Interrupt};
use crate::transport::client::Client;

/// Commissions under way at once.
const AT_ONCE: usize = 8;
/// Seconds that the server is asked to wait for a commission to be matched.
const WAIT: u64 = 30;

#[derive(Args, Debug)]
pub struct Fetch {
    #[command(flatten)]
    state: StateFolder,
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
}

/// What came for one commission.
#[derive(Serialize, Deserialize)]
pub struct Fetched {
    pub commission: CommissionId,
    pub answers: Vec<SubjectAnswer>,
    /// The server's sentence, where it refused.
    pub refused: Option<String>,
}

impl Fetch {
    pub async fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let client = self.server.client(&self.manifest.load()?)?;
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let progress = terminal::bar(filed.len() as u64, "fetching answers");
        let mut file = AnswerFile::create(&self.state.state)?;
        let mut refused: HashMap<CommissionId, String> = HashMap::new();
        let mut fetches = futures::stream::iter(filed.iter().map(|commission| fetch(&client, commission.commission)))
            .buffer_unordered(AT_ONCE);
        while let Some(fetched) = fetches.next().await {
            interrupt.check()?;
            let fetched = fetched?;
            match fetched.refused {
                // what came before it was refused is the office's own: it is kept
                Some(why) => drop(refused.insert(fetched.commission, why)),
                None => file.write(&fetched)?,
            }
            progress.inc(1);
        }
        drop(fetches);
        let count = refused.len();
        file.keep_of_before(&self.state.state, refused)?;
        file.finish()?;
        progress.finish_and_clear();
        terminal::note(format!("{} commissions fetched, {count} refused by the server", filed.len()));
        Ok(())
    }
}

/// Waits until the commission is matched, then takes every page. A refusal of one is told in its report.
pub async fn fetch(client: &Client, commission: CommissionId) -> Outcome<Fetched> {
    match pages(client, commission).await {
        Ok(answers) => Ok(Fetched { commission, answers, refused: None }),
        Err(Failure {
            problem: Some(ProblemKind::TicketRefused | ProblemKind::NotFound | ProblemKind::Erased),
            message,
            ..
        }) => Ok(Fetched { commission, answers: Vec::new(), refused: Some(message) }),
        Err(failure) => Err(failure),
    }
}

async fn pages(client: &Client, commission: CommissionId) -> Outcome<Vec<SubjectAnswer>> {
    let path = format!("/v1/commissions/{commission}");
    while client.get::<CommissionStatus>(&format!("{path}?wait={WAIT}")).await?.state == CommissionState::Queued {}
    let (mut answers, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let says = |event: &Event| event.what() == "released" && event.commission() == Some(commission);
        let page: AnswerPage = client.get_logged(&format!("{path}/answers?from={from}"), says).await?;
        answers.extend(page.answers);
        next = page.next;
    }
    Ok(answers)
}

/// Answers as JSON lines; replaced in one step when all have come.
struct AnswerFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
}

fn answers_path(state: &Path) -> PathBuf {
    state.join("answers.jsonl")
}

impl AnswerFile {
    fn create(state: &Path) -> Outcome<Self> {
        let path = answers_path(state);
        let file = NamedTempFile::with_prefix_in(".answers.", state).map_err(|e| Failure::file("write", &path, &e))?;
        Ok(Self { out: BufWriter::new(file), path })
    }

    fn write(&mut self, fetched: &Fetched) -> Outcome {
        let mut line = serde_json::to_vec(fetched).expect("answers are JSON");
        line.push(b'\n');
        self.out.write_all(&line).map_err(|e| Failure::file("write", &self.path, &e))
    }

    /// Commissions that the server refuses now, with the answers that were fetched before.
    fn keep_of_before(&mut self, state: &Path, mut refused: HashMap<CommissionId, String>) -> Outcome {
        if !refused.is_empty() && self.path.exists() {
            for before in read(state)? {
                let before = before?;
                if let Some(why) = refused.remove(&before.commission) {
                    self.write(&Fetched { refused: Some(why), ..before })?;
                }
            }
        }
        for (commission, why) in refused {
            self.write(&Fetched { commission, answers: Vec::new(), refused: Some(why) })?;
        }
        Ok(())
    }

    fn finish(self) -> Outcome {
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error);
        let synced = file.and_then(|file| file.as_file().sync_all().map(|()| file));
        let replaced = synced.and_then(|file| file.persist(&self.path).map_err(|e| e.error));
        replaced.map(drop).map_err(|e| Failure::file("write", &self.path, &e))
    }
}

/// Takes away what was fetched of some commissions.
pub fn forget(state: &Path, commissions: &[CommissionId]) -> Outcome {
    if !answers_path(state).exists() {
        return Ok(());
    }
    let mut file = AnswerFile::create(state)?;
    for fetched in read(state)? {
        let fetched = fetched?;
        if !commissions.contains(&fetched.commission) {
            file.write(&fetched)?;
        }
    }
    file.finish()
}

/// What was fetched last, commission by commission.
pub fn read(state: &Path) -> Outcome<impl Iterator<Item = Outcome<Fetched>>> {
    let path = answers_path(state);
    let file = File::open(&path)
        .map_err(|e| Failure::file("read", &path, &e).hint("`hedui office fetch` brings what has been released"))?;
    let lines = BufReader::with_capacity(1 << 18, file).lines();
    Ok(lines.map(move |line| {
        let line = line.map_err(|e| Failure::file("read", &path, &e))?;
        serde_json::from_str(&line).map_err(|_| Failure::refused(format!("{}: a line does not read", path.display())))
    }))
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::SubjectId;
    use hedui_protocol::messages::Blob;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_are_read_as_written_and_other_bytes_refused(slots in proptest::collection::vec(any::<u8>(), 0..300), other in proptest::collection::vec(any::<u8>(), 1..300)) {
            let folder = tempfile::tempdir().unwrap();
            let answer = SubjectAnswer { subject: SubjectId([3; 16]), agency: "bank".into(), slots: Blob(slots.clone()) };
            let fetched = Fetched { commission: CommissionId([2; 32]), answers: vec![answer], refused: None };
            let mut file = AnswerFile::create(folder.path()).unwrap();
            file.write(&fetched).unwrap();
            file.finish().unwrap();
            let back: Vec<Fetched> = read(folder.path()).unwrap().collect::<Outcome<_>>().unwrap();
            prop_assert_eq!(&back[0].answers[0].slots.0, &slots);

            std::fs::write(answers_path(folder.path()), &other).unwrap();
            let read = read(folder.path()).unwrap().collect::<Outcome<Vec<Fetched>>>();
            prop_assert!(read.is_err(), "random bytes are no answer");
        }
    }
}
