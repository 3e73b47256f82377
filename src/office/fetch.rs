//! `hedui office fetch`: what has been released, as it came: sealed. `report` opens it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{AnswerPage, CommissionState, CommissionStatus};
use hedui_protocol::problem::ProblemKind;
use jiff::Timestamp;

use super::StateFolder;
use super::answers::{self, Arrived, Fetched};
use super::commission::ticket_of;
use super::journal::{Commission, Journal, Stage};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{ManifestFile, ServerAddress};
use crate::terminal::{self, Interrupt};
use crate::transport::client::Client;

/// Commissions under way at once.
const AT_ONCE: usize = 8;
/// How long the server is asked to wait for a commission to be matched.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
pub struct Fetch {
    #[command(flatten)]
    state: StateFolder,
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
}

/// What asking for one commission came to.
pub enum Came {
    New(Fetched),
    /// Nothing that was not fetched before.
    Nothing,
    Refused(String),
    /// It is not matched yet.
    Queued,
}

impl Fetch {
    pub async fn run(self, clock: &Clock) -> Outcome {
        let interrupt = Interrupt::listen();
        let client = self.server.client(&self.manifest.load()?)?;
        let state = &self.state.state;
        let filed = Journal::open(state)?.at(Stage::Filed);
        let before = answers::versions(state)?;
        let progress = terminal::bar(filed.len() as u64, "fetching answers");
        let (now, patience) = (clock.now(), Patience::new(client.patience()));
        let asks = filed.iter().map(async |commission| {
            let before = before.get(&commission.commission).copied();
            (commission.commission, ask(&client, commission, before, now, &patience).await)
        });
        let mut asks = futures::stream::iter(asks).buffer_unordered(AT_ONCE);
        let (mut arrived, mut queued) = (Arrived::none(state)?, 0);
        while let Some((commission, came)) = asks.next().await {
            interrupt.check()?;
            match came? {
                Came::New(fetched) => arrived.add(&fetched)?,
                Came::Nothing => drop(arrived.unchanged.insert(commission)),
                Came::Refused(why) => drop(arrived.refused.insert(commission, why)),
                Came::Queued => queued += 1,
            }
            progress.inc(1);
        }
        drop(asks);
        let (unchanged, refused) = (arrived.unchanged.len(), arrived.refused.len());
        arrived.keep()?;
        progress.finish_and_clear();
        terminal::note(format!(
            "{} commissions fetched, {refused} refused by the server; {unchanged} have nothing new",
            filed.len() - queued
        ));
        if queued > 0 {
            return Err(Failure::try_again(format!("{queued} commissions are not matched yet"))
                .hint("run the same command again; `--wait` is how long it waits for one to be matched"));
        }
        Ok(())
    }
}

/// How long to wait for commissions to be matched: while one comes now and then.
pub struct Patience {
    longest: Duration,
    since: Cell<Instant>,
}

impl Patience {
    pub fn new(longest: Duration) -> Self {
        Self { longest, since: Cell::new(Instant::now()) }
    }

    fn left(&self) -> Duration {
        self.longest.saturating_sub(self.since.get().elapsed())
    }

    /// One has come. Patience that has ended does not begin anew: one that hangs holds up the others once, not each time.
    fn renew(&self) {
        if !self.left().is_zero() {
            self.since.set(Instant::now());
        }
    }
}

/// Asks for a commission's answers where it may have others than before; `before` is the version that was fetched last.
async fn ask(
    client: &Client,
    commission: &Commission,
    before: Option<u64>,
    now: Timestamp,
    patience: &Patience,
) -> Outcome<Came> {
    let ended = ticket_of(commission)?.expires_at;
    if ended <= now {
        return Ok(Came::Refused(format!("its ticket ended on {ended}")));
    }
    fetch(client, commission.commission, before, patience).await
}

/// Waits until the commission is matched, then takes every page; nothing where it is still at the version `before`. A refusal
/// is told in the commission's report.
pub async fn fetch(
    client: &Client,
    commission: CommissionId,
    before: Option<u64>,
    patience: &Patience,
) -> Outcome<Came> {
    match pages(client, commission, before, patience).await {
        Err(Failure {
            problem: Some(ProblemKind::TicketRefused | ProblemKind::NotFound | ProblemKind::Erased),
            message,
            ..
        }) => Ok(Came::Refused(message)),
        came => came,
    }
}

async fn pages(client: &Client, commission: CommissionId, before: Option<u64>, patience: &Patience) -> Outcome<Came> {
    let path = format!("/v1/commissions/{commission}");
    let status = loop {
        let left = patience.left();
        let wait = left.min(WAIT).as_secs_f64().ceil();
        let status: CommissionStatus = client.get(&format!("{path}?wait={wait}")).await?;
        if status.state != CommissionState::Queued {
            break status;
        }
        if left.is_zero() {
            return Ok(Came::Queued);
        }
    };
    patience.renew();
    match status.state {
        CommissionState::Matched if before == Some(status.version) => return Ok(Came::Nothing),
        CommissionState::Withdrawn => return Ok(Came::Refused("the commission was withdrawn".into())),
        CommissionState::Erased => return Ok(Came::Refused("the commission was erased".into())),
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
    Ok(Came::New(Fetched { commission, version: status.version, answers, refused: None }))
}
