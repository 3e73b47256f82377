//! The office under load: households are encoded, signed, filed, waited for, and their answers taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hedui::table::columns::Columns;
use hedui::table::{Source, Table};
use hedui::transport::client::Client;
use hedui::transport::witness::Witness;
use hedui_protocol::basis::Basis;
use hedui_protocol::encodings::subject_hash;
use hedui_protocol::ids::{ContentHash, SubjectId};
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::log::Event;
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::messages::{AnswerPage, Blob, CommissionRequest, CommissionStatus, SubjectEncodings};
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Capacity, Subject, Ticket, Window};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::city::{AGENCIES, City, OFFICE, Server};

/// People of a household.
const PEOPLE: usize = 4;
/// Households that saturate the server.
const AT_ONCE: usize = 32;

pub struct Office {
    manifest: Manifest,
    key: SigningKey,
    encoders: Vec<RowEncoder>,
    client: Client,
    /// People, a cell a field of the schema.
    people: Vec<Vec<String>>,
    next: AtomicU64,
}

/// How long households took.
pub struct Timings {
    milliseconds: Vec<f64>,
    errors: usize,
}

impl std::fmt::Display for Timings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| {
            let last = self.milliseconds.len().saturating_sub(1);
            self.milliseconds.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
        };
        write!(
            f,
            "{} households, p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, longest {:.0} ms, {} errors",
            self.milliseconds.len(),
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            self.errors
        )
    }
}

impl Office {
    pub fn new(city: &City, server: &Server) -> Self {
        let manifest = Manifest::parse(&std::fs::read(city.path("manifest.toml")).unwrap()).unwrap();
        let linkage = LinkageKey::new(&std::fs::read(city.path("linkage.key")).unwrap()).unwrap();
        let encoder = |name: &str| RowEncoder::new(&linkage, manifest.id(), &manifest.schema, name);
        let source = Source { path: city.path("rows.csv"), encoding: None, separator: None };
        let mut table = Table::open(&source).unwrap();
        let columns = Columns::find(&table, &manifest.schema, &[]).unwrap();
        let rows = table.next_rows(20_000).unwrap();
        let people = rows.iter().map(|row| columns.cells(row).into_iter().map(str::to_owned).collect()).collect();
        let witness = Witness::open(&city.path("pki/office.receipts.jsonl"), &manifest).unwrap();
        let client = Client::new(&server.url, &city.identity(OFFICE), Duration::from_secs(60), || Ok(witness)).unwrap();
        Self {
            key: SigningKey::try_from(std::fs::read(city.path("office.key")).unwrap().as_slice()).unwrap(),
            encoders: AGENCIES.map(encoder).into(),
            manifest,
            client,
            people,
            next: AtomicU64::new(1),
        }
    }

    /// Files households at an even rate, whether or not earlier ones have their answers.
    pub async fn quick_checks(self: &Arc<Self>, length: Duration, rate: u32) -> Timings {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
        let (started, mut checks) = (Instant::now(), JoinSet::new());
        while started.elapsed() < length {
            tick.tick().await;
            let office = Arc::clone(self);
            checks.spawn(async move { office.household().await });
        }
        let (mut milliseconds, mut errors) = (Vec::new(), 0);
        for check in checks.join_all().await {
            match check {
                Ok(took) => milliseconds.push(took.as_secs_f64() * 1e3),
                Err(why) => {
                    eprintln!("{why}");
                    errors += 1;
                }
            }
        }
        milliseconds.sort_by(f64::total_cmp);
        Timings { milliseconds, errors }
    }

    /// As many households as go through, and the share of a core that the server has meanwhile.
    pub async fn saturate(self: &Arc<Self>, length: Duration, server: &Server) -> (f64, f64) {
        let (started, before) = (Instant::now(), server.processor());
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let office = Arc::clone(self);
            workers.spawn(async move {
                let mut done = 0u64;
                while started.elapsed() < length {
                    Arc::clone(&office).household().await.unwrap();
                    done += 1;
                }
                done
            });
        }
        let done: u64 = workers.join_all().await.into_iter().sum();
        let seconds = started.elapsed().as_secs_f64();
        (done as f64 / seconds, 100.0 * (server.processor() - before) / seconds)
    }

    /// One household from its rows to its answers: encoded, signed, filed, matched, taken, with every receipt checked.
    async fn household(self: Arc<Self>) -> Result<Duration, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let office = Arc::clone(&self);
        let request = tokio::task::spawn_blocking(move || office.request(number)).await.map_err(|e| e.to_string())?;
        let told = |failure: hedui::failure::Failure| failure.message;
        let filed = |event: &Event| event.what() == "commission-filed";
        let status: CommissionStatus =
            self.client.post_logged("/v1/commissions", &request, filed).await.map_err(told)?;
        let path = format!("/v1/commissions/{}", status.commission);
        let status: CommissionStatus = self.client.get(&format!("{path}?wait=30")).await.map_err(told)?;
        if status.version == 0 {
            return Err("a household was not matched in 30 s".into());
        }
        let released = |event: &Event| event.what() == "released";
        let page: AnswerPage = self.client.get_logged(&format!("{path}/answers"), released).await.map_err(told)?;
        match page.answers.len() == PEOPLE * AGENCIES.len() {
            true => Ok(started.elapsed()),
            false => Err(format!("{} answers", page.answers.len())),
        }
    }

    fn request(&self, number: u64) -> CommissionRequest {
        let now = Timestamp::now();
        let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
        let (mut subjects, mut encodings) = (Vec::new(), Vec::new());
        for member in 0..PEOPLE {
            let person = &self.people[(number as usize * PEOPLE + member) % self.people.len()];
            let cells: Vec<&str> = person.iter().map(String::as_str).collect();
            let encode = |encoder: &RowEncoder| encoder.encode(&cells).unwrap().encodings.to_bytes();
            let own: Vec<Vec<u8>> = self.encoders.iter().map(encode).collect();
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id[8] = member as u8;
            let pairs = AGENCIES.into_iter().zip(own.iter().map(Vec::as_slice));
            subjects.push(Subject {
                subject: SubjectId(id),
                capacity: Capacity::CoResident,
                agencies: AGENCIES.map(str::to_owned).into(),
                evidence: ContentHash([2; 32]),
                valid_until: today,
                encodings: subject_hash(pairs),
            });
            let entry = |(agency, bytes): (&str, Vec<u8>)| SubjectEncodings {
                subject: SubjectId(id),
                agency: agency.into(),
                encodings: Blob(bytes),
            };
            encodings.extend(AGENCIES.into_iter().zip(own).map(entry));
        }
        let asked = |agency: &str| Asked { agency: agency.into(), item: "deposits".into(), level: Level::L3 };
        let ticket = Ticket {
            manifest: self.manifest.id(),
            office: OFFICE.into(),
            commission_no: format!("WT-{number}"),
            programme: "dibao".into(),
            window: Window { from: today, to: today },
            issued_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            standing: false,
            items: AGENCIES.map(asked).into(),
            subjects,
        };
        let ticket = Signed::new(&self.key, Purpose::Ticket, ticket.to_bytes());
        CommissionRequest { basis: Basis::of(&self.manifest), ticket, encodings }
    }
}
