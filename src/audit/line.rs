//! An entry in an auditor's words: who, for which commission, which agencies, which level, when.

use hedui_protocol::acts::{Actor, Counts, DataClass};
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::ticket::Asked;

/// One line, without its end. `asks`: what the commission asks that the entry is about.
pub fn of(entry: &Entry, asks: &[Asked]) -> String {
    format!("{} #{} {}", entry.at, entry.number, words(&entry.event, asks))
}

fn words(event: &Event, asks: &[Asked]) -> String {
    match event {
        Event::Opened { manifest, retention } => {
            let terms = retention.as_ref();
            let terms = terms.map(|terms| format!(", with the terms of the epoch before: {terms}")).unwrap_or_default();
            format!("the log begins, for manifest {manifest}{terms}")
        }
        Event::BatchCommitted { agency, batch, records, base } => {
            let delta = base.map(|base| format!(", a delta over {base}")).unwrap_or_default();
            format!("{agency} committed {records} records as batch {batch}{delta}")
        }
        Event::BatchIndexed { agency, batch } => format!("batch {batch} of {agency} can be matched against"),
        Event::BatchRefused { agency, batch, reason } => format!("batch {batch} of {agency} was refused: {reason}"),
        Event::CommissionFiled { office, commission, commission_no, programme, items, subjects, expires_at } => {
            let asked = list(items);
            format!(
                "{office} filed commission {commission_no} ({programme}) on {subjects} people until {expires_at}, asking {asked}: {commission}"
            )
        }
        Event::CommissionMatched { commission, against } => {
            let sets = against.iter().map(|(agency, batch)| match batch {
                Some(batch) => format!("{agency}'s {batch}"),
                None => format!("{agency}, which had submitted nothing"),
            });
            format!("commission {commission} was matched against {}", sets.collect::<Vec<_>>().join(", "))
        }
        Event::Answered { agency, commission, answered, declined } => {
            format!("{agency} answered {answered} matches and declined {declined} of commission {commission}")
        }
        Event::Released { office, commission, from, to, agencies, items } => {
            let handed = agencies.iter().map(|(agency, handed)| {
                format!("{agency}: {} deposits and {} answers", handed.deposits, handed.answers)
            });
            let handed = handed.collect::<Vec<_>>().join(", ");
            let handed = if handed.is_empty() { "no payload".to_owned() } else { handed };
            let (went_out, asked) = match (items.is_empty(), asks.is_empty()) {
                (false, _) => (format!(" ({})", list(items)), String::new()),
                (true, false) => (String::new(), format!(", which asks {}", list(asks))),
                (true, true) => (String::new(), String::new()),
            };
            format!("{office} was given {handed}{went_out} of commission {commission}{asked}, pairs {from} to {to}")
        }
        Event::Withdrawn { office, commission } => format!("{office} took commission {commission} back"),
        Event::Refused { organisation, role, request, problem, commission, subjects } => {
            let about = commission.map(|id| format!(" of commission {id}")).unwrap_or_default();
            let people = subjects.map(|count| format!(" about {count} people")).unwrap_or_default();
            format!("REFUSED {organisation} ({role}) {request}{about}{people}: {problem}")
        }
        Event::Administered { act } => format!("an operator's doing: {act}"),
        Event::Proposed { by, deed } => {
            format!("{} wants to {}; another operator is to approve it", actor(by), deed)
        }
        Event::Approved { act, by, deed } => format!("{} approved act {act}: {}", actor(by), deed),
        Event::Erased { act, deed, counts: Counts { batches, commissions, answers }, away, backups_until } => {
            format!(
                "act {act} is done ({deed}): {batches} batches, {commissions} commissions and {answers} answers are gone, from \
                 backups by {backups_until}{}",
                absent(*away)
            )
        }
        Event::Expired { ended, backups_until } => format!(
            "a term ended ({}): {} batches and {} commissions, from backups by {backups_until}",
            class(ended.class),
            ended.batches.len(),
            ended.commissions.len()
        ),
        Event::Restored { taken_at, erased, agencies } => {
            let agencies =
                if agencies.is_empty() { String::new() } else { format!(", and all of {}", agencies.join(", ")) };
            format!(
                "a backup of {taken_at} was put back; {} batches and commissions stay erased{agencies}",
                erased.len()
            )
        }
        Event::Gone { through, away, backups_until } => format!(
            "nothing is left of what had ended by its term, up to #{through}, and in backups by {backups_until}{}",
            absent(*away)
        ),
    }
}

fn absent(workers: u64) -> String {
    match workers {
        0 => String::new(),
        workers => format!("; {workers} workers were away, whose indexes go when they start"),
    }
}

fn actor(actor: &Actor) -> String {
    format!("{} of {} (key {:.8})", actor.name, actor.organisation, actor.key.to_string())
}

fn class(class: DataClass) -> &'static str {
    match class {
        DataClass::OpenBatches => "batches never committed",
        DataClass::ReplacedBatches => "replaced batches",
        DataClass::Answers => "answers",
        DataClass::Tickets => "tickets",
        DataClass::Epoch => "this epoch",
    }
}

fn list(items: &[Asked]) -> String {
    let items = items.iter().map(|Asked { agency, item, level }| format!("{agency}.{item} {level}"));
    items.collect::<Vec<_>>().join(", ")
}
