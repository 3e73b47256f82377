//! `hedui audit search`: entries of an exported log by who, what, whom, and when.

use clap::Args;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::manifest::Level;
use jiff::Timestamp;

use super::{Exported, LogFolder, line};
use crate::failure::Outcome;

#[derive(Args, Debug)]
pub struct Search {
    #[command(flatten)]
    log: LogFolder,
    /// Entries of this office
    #[arg(long, value_name = "NAME")]
    office: Option<String>,
    /// Entries of this agency, or of commissions that ask it
    #[arg(long, value_name = "NAME")]
    agency: Option<String>,
    /// Entries about a commission: its id or its number, or the beginning of one
    #[arg(long, value_name = "ID|NUMBER")]
    commission: Option<String>,
    /// Commissions that ask for this level
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Entries of this kind, as `released` or `refused`; may be given several times
    #[arg(long, value_name = "WHAT")]
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
        let numbers = self.commissions(&log);
        let mut found = 0;
        for (line, entry) in log.lines.iter().zip(&log.entries) {
            let Some(entry) = entry.as_ref().filter(|entry| self.wants(entry, &numbers)) else { continue };
            found += 1;
            match self.json {
                true => println!("{}", String::from_utf8_lossy(line)),
                false => println!("{}", line::of(entry)),
            }
        }
        crate::terminal::note(format!("{found} of {} entries", log.lines.len()));
        Ok(())
    }

    /// Ids of the commissions whose id or number begins as asked.
    fn commissions(&self, log: &Exported) -> Vec<String> {
        let Some(wanted) = &self.commission else { return Vec::new() };
        let filed = log.entries.iter().flatten().filter_map(|entry| match &entry.event {
            Event::CommissionFiled { commission, commission_no, .. } => Some((commission.to_string(), commission_no)),
            _ => None,
        });
        filed.filter(|(id, number)| id.starts_with(wanted) || number.starts_with(wanted)).map(|(id, _)| id).collect()
    }

    fn wants(&self, entry: &Entry, commissions: &[String]) -> bool {
        let Self { office, agency, commission, level, what, since, until, .. } = self;
        let about = entry.event.about();
        office.as_ref().is_none_or(|office| office_of(&entry.event) == Some(office))
            && agency.as_ref().is_none_or(|agency| concerns(&entry.event, agency))
            && commission.as_ref().is_none_or(|wanted| {
                about.as_ref().is_some_and(|about| about.starts_with(wanted) || commissions.contains(about))
            })
            && level.is_none_or(|level| asks_for(&entry.event, level))
            && (what.is_empty() || what.iter().any(|what| what == entry.event.what()))
            && since.is_none_or(|since| entry.at >= since)
            && until.is_none_or(|until| entry.at < until)
    }
}

fn office_of(event: &Event) -> Option<&String> {
    match event {
        Event::CommissionFiled { office, .. } | Event::Released { office, .. } | Event::Withdrawn { office, .. } => {
            Some(office)
        }
        _ => None,
    }
}

fn concerns(event: &Event, name: &str) -> bool {
    match event {
        Event::BatchCommitted { agency, .. }
        | Event::BatchIndexed { agency, .. }
        | Event::BatchRefused { agency, .. }
        | Event::Answered { agency, .. } => agency == name,
        Event::CommissionFiled { items, .. } => items.iter().any(|asked| asked.agency == name),
        Event::CommissionMatched { against, .. } => against.contains_key(name),
        Event::Released { agencies, .. } => agencies.contains_key(name),
        _ => false,
    }
}

fn asks_for(event: &Event, level: Level) -> bool {
    matches!(event, Event::CommissionFiled { items, .. } if items.iter().any(|asked| asked.level == level))
}
