//! `hedui office fetch`: what has been released, as it came: sealed. `report` opens it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::messages::{AnswerPage, CommissionState, CommissionStatus, SubjectAnswer};
use serde::{Deserialize, Serialize};

use super::StateFolder;
use super::journal::{Journal, Stage};
use crate::failure::{Exit, Failure, Outcome};
use crate::options::ServerAddress;
use crate::terminal::{self, Interrupt};
use crate::transport::client::Client;

/// Commissions under way at once.
const AT_ONCE: usize = 8;
const POLL: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub struct Fetch {
    #[command(flatten)]
    state: StateFolder,
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
        let client = self.server.client()?;
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let progress = terminal::bar(filed.len() as u64, "fetching answers");
        let mut file = AnswerFile::create(&self.state.state)?;
        let mut refused = 0;
        let mut fetches = futures::stream::iter(filed.iter().map(|commission| fetch(&client, commission.commission)))
            .buffer_unordered(AT_ONCE);
        while let Some(fetched) = fetches.next().await {
            interrupt.check()?;
            let fetched = fetched?;
            refused += u64::from(fetched.refused.is_some());
            file.write(&fetched)?;
            progress.inc(1);
        }
        drop(fetches);
        file.finish()?;
        progress.finish_and_clear();
        terminal::note(format!("{} commissions fetched, {refused} refused by the server", filed.len()));
        Ok(())
    }
}

/// Waits until the commission is matched, then takes every page. A refusal of one is told in its report.
async fn fetch(client: &Client, commission: CommissionId) -> Outcome<Fetched> {
    match pages(client, commission).await {
        Ok(answers) => Ok(Fetched { commission, answers, refused: None }),
        Err(Failure { exit: Exit::Refused, message, .. }) => {
            Ok(Fetched { commission, answers: Vec::new(), refused: Some(message) })
        }
        Err(failure) => Err(failure),
    }
}

async fn pages(client: &Client, commission: CommissionId) -> Outcome<Vec<SubjectAnswer>> {
    let path = format!("/v1/commissions/{commission}");
    while client.get::<CommissionStatus>(&path).await?.state == CommissionState::Queued {
        tokio::time::sleep(POLL).await;
    }
    let (mut answers, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page: AnswerPage = client.get(&format!("{path}/answers?from={from}")).await?;
        answers.extend(page.answers);
        next = page.next;
    }
    Ok(answers)
}

/// Answers as JSON lines; replaced in one step when all have come.
struct AnswerFile {
    out: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
}

fn answers_path(state: &Path) -> PathBuf {
    state.join("answers.jsonl")
}

impl AnswerFile {
    fn create(state: &Path) -> Outcome<Self> {
        let path = answers_path(state);
        let partial = path.with_extension("partial");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = file.map_err(|e| Failure::file("write", &partial, &e))?;
        Ok(Self { out: BufWriter::new(file), partial, path })
    }

    fn write(&mut self, fetched: &Fetched) -> Outcome {
        let mut line = serde_json::to_vec(fetched).expect("answers are JSON");
        line.push(b'\n');
        self.out.write_all(&line).map_err(|e| Failure::file("write", &self.partial, &e))
    }

    fn finish(mut self) -> Outcome {
        let synced = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        let replaced = synced.and_then(|()| std::fs::rename(&self.partial, &self.path));
        replaced.map_err(|e| Failure::file("write", &self.path, &e))
    }
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
