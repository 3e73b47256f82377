//! `hedui office fetch`: what has been released, as it came: sealed. `report` opens it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt as _;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{AnswerPage, CommissionState, CommissionStatus, SubjectAnswer};
use hedui_protocol::problem::ProblemKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::StateFolder;
use super::commission::ticket_of;
use super::journal::{Commission, Journal, Stage};
use crate::clock::Clock;
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
    /// The commission's version of which these are the answers.
    #[serde(default)]
    pub version: u64,
    pub answers: Vec<SubjectAnswer>,
    /// A sentence, where there is no more: the server's, where it refused.
    pub refused: Option<String>,
}

/// What asking for one commission came to.
enum Came {
    New(Fetched),
    /// Nothing that was not fetched before.
    Nothing(CommissionId),
    Refused(CommissionId, String),
}

impl Fetch {
    pub async fn run(self, clock: &Clock) -> Outcome {
        let interrupt = Interrupt::listen();
        let client = self.server.client(&self.manifest.load()?)?;
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let before = versions(&self.state.state)?;
        let progress = terminal::bar(filed.len() as u64, "fetching answers");
        let mut file = AnswerFile::create(&self.state.state)?;
        let (mut kept, mut refused): (HashSet<CommissionId>, HashMap<CommissionId, String>) = Default::default();
        let now = clock.now();
        let asks =
            filed.iter().map(|commission| ask(&client, commission, before.get(&commission.commission).copied(), now));
        let mut asks = futures::stream::iter(asks).buffer_unordered(AT_ONCE);
        while let Some(came) = asks.next().await {
            interrupt.check()?;
            match came? {
                Came::New(fetched) => file.write(&fetched)?,
                Came::Nothing(commission) => drop(kept.insert(commission)),
                // what came before it was refused is the office's own: it is kept
                Came::Refused(commission, why) => drop(refused.insert(commission, why)),
            }
            progress.inc(1);
        }
        drop(asks);
        let (unchanged, count) = (kept.len(), refused.len());
        file.keep_of_before(&self.state.state, &kept, refused)?;
        file.finish()?;
        progress.finish_and_clear();
        terminal::note(format!(
            "{} commissions fetched, {count} refused by the server; {unchanged} have nothing new",
            filed.len()
        ));
        Ok(())
    }
}

/// Asks for a commission's answers where it may have others than before; `before` is the version that was fetched last.
async fn ask(client: &Client, commission: &Commission, before: Option<u64>, now: Timestamp) -> Outcome<Came> {
    let id = commission.commission;
    let ended = ticket_of(commission)?.expires_at;
    if ended <= now {
        return Ok(Came::Refused(id, format!("its ticket ended on {ended}")));
    }
    match fetch(client, id, before).await? {
        None => Ok(Came::Nothing(id)),
        Some(Fetched { refused: Some(why), .. }) => Ok(Came::Refused(id, why)),
        Some(fetched) => Ok(Came::New(fetched)),
    }
}

/// Waits until the commission is matched, then takes every page; none where it is still at the version `before`. A refusal is
/// told in the commission's report.
pub async fn fetch(client: &Client, commission: CommissionId, before: Option<u64>) -> Outcome<Option<Fetched>> {
    let refused = |why: String| Some(Fetched { commission, version: 0, answers: Vec::new(), refused: Some(why) });
    match pages(client, commission, before).await {
        Err(Failure {
            problem: Some(ProblemKind::TicketRefused | ProblemKind::NotFound | ProblemKind::Erased),
            message,
            ..
        }) => Ok(refused(message)),
        fetched => fetched,
    }
}

async fn pages(client: &Client, commission: CommissionId, before: Option<u64>) -> Outcome<Option<Fetched>> {
    let path = format!("/v1/commissions/{commission}");
    let status = loop {
        let status: CommissionStatus = client.get(&format!("{path}?wait={WAIT}")).await?;
        if status.state != CommissionState::Queued {
            break status;
        }
    };
    match status.state {
        CommissionState::Matched if before == Some(status.version) => return Ok(None),
        CommissionState::Withdrawn => return Err(over("withdrawn")),
        CommissionState::Erased => return Err(over("erased")),
        _ => {}
    }
    let (mut answers, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let says = |event: &Event| event.what() == "released" && event.commission() == Some(commission);
        let page: AnswerPage = client.get_logged(&format!("{path}/answers?from={from}"), says).await?;
        answers.extend(page.answers);
        next = page.next;
    }
    // what came while pages were read is fetched next time
    Ok(Some(Fetched { commission, version: status.version, answers, refused: None }))
}

/// What the server would say, and write down as a refusal each time.
fn over(what: &str) -> Failure {
    Failure { problem: Some(ProblemKind::Erased), ..Failure::refused(format!("the commission was {what}")) }
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

    /// What was fetched before: as it is where there is nothing new, with a sentence where it is refused now.
    fn keep_of_before(
        &mut self,
        state: &Path,
        kept: &HashSet<CommissionId>,
        mut refused: HashMap<CommissionId, String>,
    ) -> Outcome {
        for before in read_if_there(state)? {
            let before = before?;
            if let Some(why) = refused.remove(&before.commission) {
                self.write(&Fetched { refused: Some(why), ..before })?;
            } else if kept.contains(&before.commission) {
                self.write(&Fetched { refused: None, ..before })?;
            }
        }
        for (commission, why) in refused {
            self.write(&Fetched { commission, version: 0, answers: Vec::new(), refused: Some(why) })?;
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

/// The versions of which the answers were fetched.
fn versions(state: &Path) -> Outcome<HashMap<CommissionId, u64>> {
    let version = |fetched: Outcome<Fetched>| fetched.map(|fetched| (fetched.commission, fetched.version));
    read_if_there(state)?.map(version).collect()
}

fn read_if_there(state: &Path) -> Outcome<impl Iterator<Item = Outcome<Fetched>>> {
    let there = if answers_path(state).exists() { Some(read(state)?) } else { None };
    Ok(there.into_iter().flatten())
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
            let fetched =
                Fetched { commission: CommissionId([2; 32]), version: 1, answers: vec![answer], refused: None };
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
