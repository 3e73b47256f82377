//! `hedui office report`: one report a household, as JSON for programs and HTML for people.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
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

use super::answers::{self, Fetched};
use super::authorisation::Excluded;
use super::changes::{self, Change, Since};
use super::commission::Encoders;
use super::journal::{Commission, Journal, Person, Stage, Standing};
use super::opening::{AgencyAnswer, Reader};
use super::{StateFolder, html};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::options::{LinkageKeyFile, ManifestFile};
use crate::staging::{private_folder, replace_private};
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
        let mut filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let versions = answers::versions(&self.state.state)?;
        filed.retain(|commission| versions.contains_key(&commission.commission));
        let latest = latest(&filed);
        let filed: HashMap<CommissionId, &Commission> = filed.iter().map(|c| (c.commission, c)).collect();

        private_folder(&self.out)?;
        self.move_earlier(&filed, &latest)?;
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
                let since = self.write(&mut report, &manifest, &latest)?;
                let agencies = report.members.iter().flat_map(|member| &member.agencies);
                Ok((since, agencies.map(|agency| agency.unopened.len()).sum::<usize>()))
            });
            for (since, failed) in reports.collect::<Outcome<Vec<_>>>()? {
                written += usize::from(self.is_written(&since));
                unopened += failed;
                changed += usize::from(matches!(since, Since::Other(_)));
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

    /// Gives reports of commissions that were the latest of their households, and are no more, the names of earlier ones.
    fn move_earlier(&self, filed: &HashMap<CommissionId, &Commission>, latest: &HashSet<CommissionId>) -> Outcome {
        for commission in latest.iter().filter_map(|commission| filed.get(commission)) {
            let path = self.path(&commission.household, None);
            let there = changes::commission(&path.with_extension("json"));
            let there = there.filter(|there| *there != commission.commission).and_then(|there| filed.get(&there));
            let Some(earlier) = there else { continue };
            let aside = self.path(&earlier.household, Some(&earlier.commission_no));
            // the JSON last: where it stands, both are still to be moved
            for kind in ["html", "json"] {
                match std::fs::rename(path.with_extension(kind), aside.with_extension(kind)) {
                    Err(e) if e.kind() != ErrorKind::NotFound => return Err(Failure::file("move", &path, &e)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Writes a report where it is to be written; what it is beside the one that was there.
    fn write(
        &self,
        report: &mut HouseholdReport,
        manifest: &Manifest,
        latest: &HashSet<CommissionId>,
    ) -> Outcome<Since> {
        let is_earlier = !latest.contains(&report.commission);
        let path = self.path(&report.household, is_earlier.then_some(&report.commission_no));
        let since = changes::since(&path.with_extension("json"), report);
        if self.is_written(&since) {
            if let Since::Other(changes) = &since {
                report.changes.clone_from(changes);
            }
            let json = serde_json::to_vec_pretty(report).expect("a report is JSON");
            // the JSON last: the next one is compared to it
            replace_private(&path.with_extension("html"), html::page(report, manifest).as_bytes())?;
            replace_private(&path.with_extension("json"), &json)?;
        }
        Ok(since)
    }

    /// With `--changes`, only what is new is written.
    fn is_written(&self, since: &Since) -> bool {
        !self.changes || *since != Since::Same
    }

    /// Where a household's report is written, without the ending; an earlier commission's carries its number.
    fn path(&self, household: &str, earlier: Option<&String>) -> PathBuf {
        let household = file_safe(household);
        self.out.join(match earlier {
            None => format!("report-{household}"),
            Some(number) => format!("report-{household}-{number}"),
        })
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
