//! `hedui audit search`: entries of an exported log by who, what, whom, and when.

use std::collections::HashSet;

use clap::Args;
use clap::builder::PossibleValuesParser;
use hedui_protocol::acts::{DataClass, Deed};
use hedui_protocol::ids::{CommissionId, ContentHash};
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::ticket::Asked;
use jiff::Timestamp;

use super::asks::Asks;
use super::{Exported, LogFolder, line};
use crate::failure::{Failure, Outcome};

#[derive(Args, Debug)]
pub struct Search {
    #[command(flatten)]
    log: LogFolder,
    /// Entries of this office, and of requests that it was refused
    #[arg(long, value_name = "NAME")]
    office: Option<String>,
    /// Entries of this agency, of what it was refused, and of commissions that ask it; of releases, those with payloads of it
    #[arg(long, value_name = "NAME")]
    agency: Option<String>,
    /// Entries about a commission: its id or its number, or the beginning of one
    #[arg(long, value_name = "ID|NUMBER")]
    commission: Option<String>,
    /// Commissions that ask for this level (of --agency, where it is given), and all entries about them
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Entries of this kind; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Event::NAMES))]
    what: Vec<String>,
    /// Entries from this moment on, as 2026-11-28T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Entries before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Print the entries as they are, JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Search {
    pub fn run(self) -> Outcome {
        let log = Exported::load(&self.log.folder)?;
        self.names_are_known(&log.manifest)?;
        let commissions = self.commissions(&log)?;
        let mut asks = Asks::default();
        let mut found = 0;
        for (line, entry) in log.lines.iter().zip(&log.entries) {
            let Some(entry) = entry else { continue };
            asks.read(&entry.event);
            let asked = asks.of(&entry.event);
            if !self.wants(entry, &commissions, asked, &log.manifest) {
                continue;
            }
            found += 1;
            match self.json {
                true => println!("{}", String::from_utf8_lossy(line)),
                false => println!("{}", line::of(entry, asked)),
            }
        }
        crate::terminal::note(format!("{found} of {} entries", log.lines.len()));
        match log.entries.iter().filter(|entry| entry.is_none()).count() {
            0 => Ok(()),
            unread => {
                Err(Failure::refused(format!("{unread} entries do not read, and what they say was not looked at"))
                    .hint("`hedui audit verify` says which they are"))
            }
        }
    }

    /// A name that nobody has finds nothing, which would read as if nothing had happened.
    fn names_are_known(&self, manifest: &Manifest) -> Outcome {
        let offices = manifest.offices.iter().map(|office| office.name.as_str());
        is_known("office", "offices", self.office.as_deref(), offices.collect())?;
        let agencies = manifest.agencies.iter().map(|agency| agency.name.as_str());
        is_known("agency", "agencies", self.agency.as_deref(), agencies.collect())
    }

    /// The commissions whose id or number begins as asked; one that the log does not know would read as if nothing had happened.
    fn commissions(&self, log: &Exported) -> Outcome<HashSet<CommissionId>> {
        let Some(wanted) = &self.commission else { return Ok(HashSet::new()) };
        let named = log.entries.iter().flatten().filter_map(|entry| {
            let id = entry.event.commission()?;
            let number = match &entry.event {
                Event::CommissionFiled { commission_no, .. } => commission_no,
                _ => "",
            };
            (id.to_string().starts_with(wanted) || number.starts_with(wanted)).then_some(id)
        });
        let found: HashSet<CommissionId> = named.collect();
        match found.is_empty() {
            true => Err(Failure::usage("the log knows no commission whose id or number begins so")),
            false => Ok(found),
        }
    }

    fn wants(&self, entry: &Entry, commissions: &HashSet<CommissionId>, asked: &[Asked], manifest: &Manifest) -> bool {
        let Self { office, agency, commission, level, what, since, until, .. } = self;
        let event = &entry.event;
        office.as_ref().is_none_or(|office| is_of_office(event, office, manifest))
            && agency.as_ref().is_none_or(|agency| concerns(event, agency, asked, manifest))
            && (commission.is_none() || commissions.iter().any(|id| is_about(event, *id)))
            && level.is_none_or(|level| {
                let mut asked = asked.iter().filter(|asked| agency.as_ref().is_none_or(|name| asked.agency == *name));
                asked.any(|asked| asked.level == level)
            })
            && (what.is_empty() || what.iter().any(|what| what == event.what()))
            && since.is_none_or(|since| entry.at >= since)
            && until.is_none_or(|until| entry.at < until)
    }
}

fn is_known(kind: &str, kinds: &str, name: Option<&str>, known: Vec<&str>) -> Outcome {
    match name {
        Some(name) if !known.contains(&name) => Err(Failure::usage(format!("the manifest names no {kind} `{name}`"))
            .hint(format!("its {kinds} are {}", known.join(", ")))),
        _ => Ok(()),
    }
}

/// Whether a commission is what an event is about, or among what it erases or ends.
fn is_about(event: &Event, id: CommissionId) -> bool {
    match event {
        Event::Proposed { deed, .. } | Event::Approved { deed, .. } | Event::Erased { deed, .. } => match deed {
            Deed::EraseCommissions { commissions } => commissions.contains(&id),
            deed => *deed == Deed::EraseProject,
        },
        Event::Expired { ended, .. } => ended.class == DataClass::Epoch || ended.commissions.contains(&id),
        Event::Restored { erased, .. } => erased.contains(&ContentHash(id.0)),
        event => event.commission() == Some(id),
    }
}

fn is_of_office(event: &Event, name: &str, manifest: &Manifest) -> bool {
    match event {
        Event::CommissionFiled { office, .. } | Event::Released { office, .. } | Event::Withdrawn { office, .. } => {
            office == name
        }
        Event::Refused { organisation, role, .. } => {
            role == "office" && manifest.office(name).is_some_and(|office| office.organisation == *organisation)
        }
        _ => false,
    }
}

fn concerns(event: &Event, name: &str, asked: &[Asked], manifest: &Manifest) -> bool {
    match event {
        Event::BatchCommitted { agency, .. }
        | Event::BatchIndexed { agency, .. }
        | Event::BatchRefused { agency, .. }
        | Event::Answered { agency, .. }
        | Event::Proposed { deed: Deed::EraseAgency { agency }, .. }
        | Event::Approved { deed: Deed::EraseAgency { agency }, .. }
        | Event::Erased { deed: Deed::EraseAgency { agency }, .. } => agency == name,
        Event::CommissionMatched { against, .. } => against.contains_key(name),
        Event::Released { agencies, .. } => agencies.contains_key(name),
        Event::Refused { organisation, role, .. } if role == "agency" => {
            manifest.agency(name).is_some_and(|agency| agency.organisation == *organisation)
        }
        // of the rest, what is about a commission that asks it
        _ => asked.iter().any(|asked| asked.agency == name),
    }
}
