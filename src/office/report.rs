//! `hedui office report`: one report a household, as JSON for programs and HTML for people.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::open::OpeningKey;
use hedui_protocol::schema::{Field, Schema};
use hedui_protocol::ticket::{Capacity, Ticket, Window};
use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;

use super::authorisation::Excluded;
use super::commission::Encoders;
use super::fetch::{self, Fetched};
use super::journal::{Commission, Journal, Person, Stage, Standing};
use super::opening::{AgencyAnswer, Reader};
use super::{StateFolder, html};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::options::{LinkageKeyFile, ManifestFile};
use crate::staging::{private_folder, write_private};
use crate::terminal::{self, Interrupt};

#[derive(Args, Debug)]
pub struct Report {
    #[command(flatten)]
    manifest: ManifestFile,
    /// This office's name in the manifest
    #[arg(long, value_name = "NAME")]
    office: String,
    #[command(flatten)]
    key: LinkageKeyFile,
    /// This office's opening key (32 bytes, mode 0600)
    #[arg(long, value_name = "FILE")]
    opening_key: PathBuf,
    #[command(flatten)]
    state: StateFolder,
    /// The folder to write reports into; reports in it are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// A household's report. Personal data, for the office alone.
#[derive(Serialize)]
pub struct HouseholdReport {
    pub household: String,
    pub commission: CommissionId,
    pub commission_no: String,
    pub programme: String,
    pub office: String,
    pub window: Window,
    pub issued_at: Timestamp,
    pub opened_at: Timestamp,
    /// The server's sentence, where it refused to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    pub members: Vec<MemberReport>,
}

#[derive(Serialize)]
pub struct MemberReport {
    pub row_id: String,
    /// The person's name as the office's list has it.
    pub name: String,
    pub relation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Why this person was not asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Excluded>,
    pub agencies: Vec<AgencyAnswer>,
}

impl Report {
    pub fn run(self, clock: &Clock) -> Outcome {
        let interrupt = Interrupt::listen();
        let manifest = self.manifest.load()?;
        let office = super::own(&manifest, &self.office)?;
        let linkage_key = self.key.load_for(&manifest)?;
        let key = self.load_opening_key(office.opening_key)?;
        let agencies: Vec<String> = manifest.agencies.iter().map(|agency| agency.name.clone()).collect();
        let encoders = Encoders::new(&linkage_key, &manifest, &agencies);
        let reader = Reader { manifest: &manifest, key: &key, encoders: &encoders, now: clock.now() };
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let latest = latest(&filed);
        let filed: HashMap<CommissionId, &Commission> = filed.iter().map(|c| (c.commission, c)).collect();

        private_folder(&self.out)?;
        let progress = terminal::bar(filed.len() as u64, "opening and reporting");
        let (mut written, mut unopened) = (0, 0);
        let mut answers = fetch::read(&self.state.state)?;
        loop {
            interrupt.check()?;
            let chunk: Vec<Fetched> = answers.by_ref().take(256).collect::<Outcome<_>>()?;
            if chunk.is_empty() {
                break;
            }
            let known = chunk.par_iter().filter_map(|fetched| filed.get(&fetched.commission).map(|c| (*c, fetched)));
            let reports = known.map(|(commission, fetched)| {
                let report = report(&reader, commission, fetched)?;
                self.write(&report, &manifest, &latest)?;
                Ok(report.members.iter().flat_map(|member| &member.agencies).map(|agency| agency.unopened.len()).sum())
            });
            let counts: Vec<usize> = reports.collect::<Outcome<_>>()?;
            written += counts.len();
            unopened += counts.iter().sum::<usize>();
            progress.inc(chunk.len() as u64);
        }
        progress.finish_and_clear();
        terminal::note(format!("{written} reports written to {}; {unopened} answers did not open", self.out.display()));
        Ok(())
    }

    fn load_opening_key(&self, public: hedui_protocol::sign::PublicKey) -> Outcome<OpeningKey> {
        let file = self.opening_key.display();
        let key = OpeningKey::new(&keyfile::read(&self.opening_key)?)
            .map_err(|e| Failure::refused(format!("{file}: {e}")))?;
        if key.public() == public {
            return Ok(key);
        }
        Err(Failure::refused(format!(
            "{file}: this is not the opening key that the manifest names for `{}`",
            self.office
        )))
    }

    fn write(&self, report: &HouseholdReport, manifest: &Manifest, latest: &HashSet<CommissionId>) -> Outcome {
        let mut name = format!("report-{}", file_safe(&report.household));
        if !latest.contains(&report.commission) {
            name = format!("{name}-{}", report.commission_no);
        }
        let json = serde_json::to_vec_pretty(report).expect("a report is JSON");
        write_private(&self.out.join(format!("{name}.json")), &json)?;
        write_private(&self.out.join(format!("{name}.html")), html::page(report, manifest).as_bytes())
    }
}

/// Household numbers come from a file: they do not choose where we write, and two never write to one place.
fn file_safe(number: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || c == '-' { c.to_string() } else { format!("_{:x}_", u32::from(c)) }
    };
    number.chars().map(safe).collect()
}

/// The commission that a household's report is of; reports of its earlier ones carry their numbers.
fn latest(filed: &[Commission]) -> HashSet<CommissionId> {
    let issued = |commission: &Commission| {
        serde_json::from_slice::<Ticket>(&commission.ticket.bytes).map_or(Timestamp::MIN, |ticket| ticket.issued_at)
    };
    let mut latest: HashMap<&str, (Timestamp, CommissionId)> = HashMap::new();
    for commission in filed {
        let this = (issued(commission), commission.commission);
        let known = latest.entry(&commission.household).or_insert(this);
        *known = this.max(*known);
    }
    latest.into_values().map(|(_, commission)| commission).collect()
}

fn report(reader: &Reader<'_>, commission: &Commission, fetched: &Fetched) -> Outcome<HouseholdReport> {
    let granted = reader.grant(commission)?;
    let ticket = granted.ticket();
    let name = name_position(&reader.manifest.schema);
    let mut by_subject: HashMap<_, Vec<_>> = HashMap::new();
    for answer in &fetched.answers {
        by_subject.entry(answer.subject).or_default().push(answer);
    }
    let member = |person: &Person| {
        let (capacity, excluded, agencies) = match &person.standing {
            Standing::Excluded(reason) => (None, Some(*reason), Vec::new()),
            Standing::Subject(id) => {
                let capacity = ticket.subjects.iter().find(|subject| subject.subject == *id).map(|s| s.capacity);
                let answers = by_subject.get(id).map_or(&[][..], Vec::as_slice);
                (capacity, None, reader.answers(&granted, person, *id, answers)?)
            }
        };
        let (row_id, relation) = (person.row_id.clone(), person.relation.clone());
        let name = person.cells.get(name).cloned().unwrap_or_default();
        Ok(MemberReport { row_id, name, relation, capacity, excluded, agencies })
    };
    Ok(HouseholdReport {
        household: commission.household.clone(),
        commission: commission.commission,
        commission_no: commission.commission_no.clone(),
        programme: ticket.programme.clone(),
        office: ticket.office.clone(),
        window: ticket.window,
        issued_at: ticket.issued_at,
        opened_at: reader.now,
        refused: fetched.refused.clone(),
        members: commission.people.iter().map(member).collect::<Outcome<_>>()?,
    })
}

/// The field that a person is called by: the first whose name speaks of a name.
fn name_position(schema: &Schema) -> usize {
    let present = |field: &Field| field.alias_of.is_none() && field.name.contains("name");
    schema.fields.iter().position(present).unwrap_or(0)
}
