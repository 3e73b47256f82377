//! `hedui office report`: one report a household, as JSON for programs and HTML for people.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::manifest::{Manifest, Office};
use hedui_protocol::open::OpeningKey;
use hedui_protocol::schema::{Field, Schema};
use hedui_protocol::ticket::{Capacity, Ticket, Window};
use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;

use super::authorisation::Excluded;
use super::answers::{self, Fetched};
use super::changes::{self, Change};
use super::commission::Encoders;
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
    /// Write only reports that are new, or say what the ones in the folder do not
    #[arg(long)]
    changes: bool,
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
    /// What the report before this one did not say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
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
        let key = load_opening_key(&self.opening_key, office)?;
        let agencies: Vec<String> = manifest.agencies.iter().map(|agency| agency.name.clone()).collect();
        let encoders = Encoders::new(&linkage_key, &manifest, &agencies);
        let reader = Reader { manifest: &manifest, key: &key, encoders: &encoders, now: clock.now() };
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let latest = latest(&filed);
        let filed: HashMap<CommissionId, &Commission> = filed.iter().map(|c| (c.commission, c)).collect();

        private_folder(&self.out)?;
        let progress = terminal::bar(filed.len() as u64, "opening and reporting");
        let (mut written, mut unopened, mut changed) = (0, 0, 0);
        let mut fetched = answers::read(&self.state.state)?;
        loop {
            interrupt.check()?;
            let chunk: Vec<Fetched> = fetched.by_ref().take(256).collect::<Outcome<_>>()?;
            if chunk.is_empty() {
                break;
            }
            let known = chunk.par_iter().filter_map(|fetched| filed.get(&fetched.commission).map(|c| (*c, fetched)));
            let reports = known.map(|(commission, fetched)| {
                let mut report = report(&reader, commission, fetched)?;
                let wrote = self.write(&mut report, &manifest, &latest)?;
                let agencies = report.members.iter().flat_map(|member| &member.agencies);
                Ok((wrote, agencies.map(|agency| agency.unopened.len()).sum::<usize>(), !report.changes.is_empty()))
            });
            for (wrote, failed, has_changed) in reports.collect::<Outcome<Vec<_>>>()? {
                written += usize::from(wrote);
                unopened += failed;
                changed += usize::from(has_changed);
            }
            progress.inc(chunk.len() as u64);
        }
        progress.finish_and_clear();
        let out = self.out.display();
        terminal::note(format!("{written} reports written to {out}; {unopened} answers did not open"));
        if changed > 0 {
            terminal::note(format!("{changed} of them say something that the ones before did not"));
        }
        Ok(())
    }

    /// Whether it was written: with `--changes`, only what is new is.
    fn write(
        &self,
        report: &mut HouseholdReport,
        manifest: &Manifest,
        latest: &HashSet<CommissionId>,
    ) -> Outcome<bool> {
        let mut name = format!("report-{}", file_safe(&report.household));
        if !latest.contains(&report.commission) {
            name = format!("{name}-{}", report.commission_no);
        }
        let path = self.out.join(format!("{name}.json"));
        report.changes = changes::since(&path, report);
        if self.changes && report.changes.is_empty() && path.exists() {
            return Ok(false);
        }
        let json = serde_json::to_vec_pretty(report).expect("a report is JSON");
        write_private(&path, &json)?;
        write_private(&self.out.join(format!("{name}.html")), html::page(report, manifest).as_bytes())?;
        Ok(true)
    }
}

/// The office's opening key, if it is the one that the manifest names.
pub fn load_opening_key(path: &Path, office: &Office) -> Outcome<OpeningKey> {
    let file = path.display();
    let key = OpeningKey::new(&keyfile::read(path)?).map_err(|e| Failure::refused(format!("{file}: {e}")))?;
    if key.public() == office.opening_key {
        return Ok(key);
    }
    let name = &office.name;
    Err(Failure::refused(format!("{file}: this is not the opening key that the manifest names for `{name}`")))
}

/// Household numbers come from a file: they do not choose where we write, and two never write to one place.
fn file_safe(number: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || c == '-' { c.to_string() } else { format!("_{:x}_", u32::from(c)) }
    };
    number.chars().map(safe).collect()
}

/// The commission that a household's report is of; reports of its earlier ones carry their numbers.
pub fn latest(filed: &[Commission]) -> HashSet<CommissionId> {
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

pub fn report(reader: &Reader<'_>, commission: &Commission, fetched: &Fetched) -> Outcome<HouseholdReport> {
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
        changes: Vec::new(),
    })
}

/// The field that a person is called by: the first whose name speaks of a name.
fn name_position(schema: &Schema) -> usize {
    let present = |field: &Field| field.alias_of.is_none() && field.name.contains("name");
    schema.fields.iter().position(present).unwrap_or(0)
}
