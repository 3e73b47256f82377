//! `hedui agency answer`: checks each commission's authorisation, and seals the current payload to its office.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use hedui_protocol::ids::RecordId;
use hedui_protocol::keys::RecordKey;
use hedui_protocol::manifest::{Agency, Manifest};
use hedui_protocol::messages::{self, Answers, Notice, Notices, Stored};
use hedui_protocol::problem::ProblemKind;
use hedui_protocol::seal::AnswerSealer;
use hedui_protocol::sign::SigningKey;
use hedui_protocol::ticket::{Asked, Granted, Refusal};
use jiff::Timestamp;
use jiff::civil::Date;

use super::OwnFile;
use super::absent::Absent;
use super::rows::{AgencyTable, Layout};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{ServerAddress, SigningKeyFile};
use crate::table::Row;
use crate::terminal::{self, Interrupt};
use crate::transport::client::Client;

const BLOCK: usize = 4096;
/// For so long the server is asked to wait for matches, and then those that were left open are looked at again.
const WAIT: Duration = Duration::from_secs(30);
/// Until a file that is being written is read again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub struct Answer {
    #[command(flatten)]
    own: OwnFile,
    #[command(flatten)]
    signing_key: SigningKeyFile,
    #[command(flatten)]
    server: ServerAddress,
    /// Answer that there is no record any more where the file lacks one; without it such matches stay open
    #[arg(long)]
    decline_missing: bool,
    /// Go on until interrupted: new matches are answered as they come
    #[arg(long)]
    follow: bool,
    /// The day that the rows speak of; today where it is not given
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
}

impl Answer {
    pub async fn run(self, clock: &Clock) -> Outcome {
        let interrupt = Interrupt::listen();
        if self.follow && self.own.data.data == Path::new("-") {
            return Err(Failure::usage(
                "`--follow` reads the file again and again, and standard input can be read once",
            )
            .hint("name a file; a newer one takes its place by `mv`"));
        }
        let manifest = self.own.manifest.load()?;
        let agency = self.own.agency(&manifest)?;
        let (signing_key, seed) = self.signing_key.load_for(&agency.name, agency.signing_key)?;
        let record_key = RecordKey::from_signing_seed(&seed);
        let client = self.server.client(&manifest)?;
        let (mut totals, mut told) = (Totals::default(), String::new());
        let (mut absent, mut begun) = (Absent::default(), Instant::now());
        loop {
            // what stays open stands first in the next round
            let skip = totals.open();
            let wait = if self.follow { WAIT.as_secs() } else { 0 };
            let notices: Notices = client.get(&format!("/v1/notices?skip={skip}&wait={wait}")).await?;
            let (is_last, mut has_sent, mut has_left_out) = (!notices.more, false, false);
            if !notices.notices.is_empty() {
                let as_of = self.as_of.unwrap_or_else(|| clock.today());
                let file = &self.own.data.data;
                absent.are_of(file);
                let matches = notices.notices.iter().flat_map(|notice| &notice.matches);
                let wanted = absent.others(matches.map(|noticed| noticed.record));
                let rows = self.current_rows(&wanted, &manifest, agency, &record_key, as_of, &interrupt);
                let (is_the_same, is_settled) = (absent.is_still_of(file), absent.is_settled());
                let rows = match rows {
                    Ok(rows) if is_the_same => rows,
                    // half a file says nothing of what is not in it
                    rows if self.follow && !(is_the_same && is_settled) => {
                        interrupt.check()?;
                        let failure = rows.err().unwrap_or_else(|| written_meanwhile(file));
                        if told != failure.message {
                            terminal::note(format!("{}: is it just being written? it is read again", failure.message));
                            told = failure.message;
                        }
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Ok(_) => return Err(written_meanwhile(file)),
                    Err(failure) => return Err(failure),
                };
                absent.records.extend(wanted.iter().filter(|record| !rows.rows.contains_key(record)));
                let decline_missing = self.decline_missing && (is_settled || !self.follow);
                let (key, now) = (&signing_key, clock.now());
                let desk = Desk { manifest: &manifest, agency, key, now, decline_missing };
                let answers = desk.answers(&notices.notices, &rows, &mut totals)?;
                let ready = answers.answers.len();
                let sent = desk.send(&client, skip, answers).await?;
                totals.count(&sent);
                (has_sent, has_left_out) = (!sent.answers.is_empty(), sent.answers.len() < ready);
            }
            if self.follow && (is_last || has_sent) && told != totals.to_string() {
                told = totals.to_string();
                terminal::note(format!("`{}`: {told}", agency.name));
            }
            if is_last && !has_left_out && !self.follow {
                break;
            }
            // others stand in the place of what was left out; what was left open may be in the file by now, or may have ended
            if has_left_out || is_last && begun.elapsed() >= WAIT {
                totals.begin_anew();
                begun = Instant::now();
            }
        }
        terminal::note(format!("`{}`: {totals}", agency.name));
        totals.verdict(&self.own.data.data.display())
    }

    /// The current rows of records, as far as the file has them: one pass over it.
    fn current_rows(
        &self,
        wanted: &HashSet<RecordId>,
        manifest: &Manifest,
        agency: &Agency,
        record_key: &RecordKey,
        as_of: Date,
        interrupt: &Interrupt,
    ) -> Outcome<Wanted> {
        let AgencyTable { mut table, layout, .. } =
            AgencyTable::open(&self.own.data, &manifest.schema, &agency.items, as_of)?;
        let mut rows = HashMap::with_capacity(wanted.len());
        loop {
            interrupt.check()?;
            let block = table.next_rows(BLOCK)?;
            if block.is_empty() || rows.len() == wanted.len() {
                return table.refuse_empty().map(|()| Wanted { rows, layout });
            }
            for row in block {
                let record = record_key.record_id(manifest.id(), layout.ids.of(&row)?);
                if wanted.contains(&record) {
                    rows.insert(record, row);
                }
            }
        }
    }
}

struct Wanted {
    rows: HashMap<RecordId, Row>,
    layout: Layout,
}

fn written_meanwhile(file: &Path) -> Failure {
    Failure::try_again(format!("{}: it was written while it was read", file.display()))
        .hint("run the same command again when it is whole; a newer file takes its place by `mv`")
}

#[derive(Default)]
struct Totals {
    answered: u64,
    declined: u64,
    // of the matches that wait, gone through once:
    /// Matches of records that the file does not have.
    missing: u64,
    /// Matches under tickets that do not hold yet, by this machine's clock.
    early: u64,
}

impl Totals {
    fn open(&self) -> u64 {
        self.missing + self.early
    }

    fn begin_anew(&mut self) {
        (self.missing, self.early) = (0, 0);
    }

    fn count(&mut self, sent: &Answers) {
        for answer in &sent.answers {
            *if answer.sealed.is_some() { &mut self.answered } else { &mut self.declined } += 1;
        }
    }

    fn verdict(&self, file: &impl std::fmt::Display) -> Outcome {
        if self.early > 0 {
            return Err(Failure::try_again(format!("{} matches are of commissions that begin later", self.early))
                .hint("is this machine's clock right? they stay open"));
        }
        if self.missing == 0 {
            return Ok(());
        }
        Err(Failure::refused(format!("{file}: {} matched records are not in it; they stay open", self.missing)).hint(
            "is this the file that was submitted? with `--decline-missing` the offices are told that the records are gone",
        ))
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} matches answered, {} declined", self.answered, self.declined)?;
        match self.open() {
            0 => Ok(()),
            open => write!(f, ", {open} left open ({} are not in the file)", self.missing),
        }
    }
}

/// Where one round of notices is decided.
struct Desk<'d> {
    manifest: &'d Manifest,
    agency: &'d Agency,
    key: &'d SigningKey,
    now: Timestamp,
    decline_missing: bool,
}

impl Desk<'_> {
    fn answers(&self, notices: &[Notice], wanted: &Wanted, totals: &mut Totals) -> Outcome<Answers> {
        let mut answers = Vec::new();
        for notice in notices {
            // the proof of authorisation is the agency's to check, whatever the server says
            let ticket = Granted::check(&notice.ticket, self.manifest).map_err(doubtful)?;
            let office = self.manifest.office(&ticket.ticket().office).expect("a granted ticket names an office");
            let sealer =
                AnswerSealer::new(self.manifest, self.agency, office, ticket.id()).map_err(Failure::refused)?;
            for noticed in &notice.matches {
                let covered = ticket.covers(noticed.subject, &self.agency.name, self.now);
                let row = wanted.rows.get(&noticed.record);
                let sealed = match (covered, row) {
                    (Ok(_), Some(row)) => {
                        let payloads = self.payloads(&ticket, &wanted.layout, row)?;
                        let sealed = sealer.answer(self.key, noticed.subject, noticed.record, &payloads);
                        Some(sealed.map_err(|e| wanted.layout.ids.error_at(row, &e.to_string()))?)
                    }
                    (Err(Refusal::NotYet(_)), _) => {
                        totals.early += 1;
                        continue;
                    }
                    (Err(why), _) => {
                        terminal::note(format!("declined a match of commission {}: {why}", ticket.id()));
                        None
                    }
                    (Ok(_), None) if self.decline_missing => None,
                    (Ok(_), None) => {
                        totals.missing += 1;
                        continue;
                    }
                };
                let (commission, subject, record) = (ticket.id(), noticed.subject, noticed.record);
                answers.push(messages::Answer { commission, subject, record, sealed });
            }
        }
        Ok(Answers { answers })
    }

    /// Sends answers, but for those that nobody waits for any more: commissions are withdrawn, and others answer, while a file
    /// is read. What was sent.
    async fn send(&self, client: &Client, skip: u64, mut answers: Answers) -> Outcome<Answers> {
        use ProblemKind::{Erased, Forbidden, NotFound, TicketRefused};
        while !answers.answers.is_empty() {
            let refused = match client.post::<Stored>("/v1/answers", &answers).await {
                Ok(_) => break,
                Err(failure) => failure,
            };
            if !matches!(refused.problem, Some(NotFound | Forbidden | TicketRefused | Erased)) {
                return Err(refused);
            }
            let notices: Notices = client.get(&format!("/v1/notices?skip={skip}")).await?;
            let mut waiting = HashSet::new();
            for Notice { ticket, matches } in &notices.notices {
                let commission = Granted::check(ticket, self.manifest).map_err(doubtful)?.id();
                waiting.extend(matches.iter().map(|noticed| (commission, noticed.subject, noticed.record)));
            }
            let before = answers.answers.len();
            answers.answers.retain(|answer| waiting.contains(&(answer.commission, answer.subject, answer.record)));
            if answers.answers.len() == before {
                return Err(refused);
            }
        }
        Ok(answers)
    }

    fn payloads<'t>(&'t self, ticket: &'t Granted, layout: &Layout, row: &Row) -> Outcome<Vec<(&'t Asked, Vec<u8>)>> {
        let payload = |asked: &'t Asked| {
            let item = self.agency.item(&asked.item).expect("a granted ticket asks only what is offered");
            layout.payload(row, item, asked.level).map(|bytes| (asked, bytes))
        };
        ticket.asked(&self.agency.name).map(payload).collect()
    }
}

fn doubtful(why: Refusal) -> Failure {
    Failure::refused(format!("the server asks for an answer without a valid ticket: {why}"))
        .hint("nothing was answered; tell the project's operator and auditor")
}
