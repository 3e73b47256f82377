//! What a report says that the one before it did not: of standing commissions only this is news.

use std::collections::BTreeMap;
use std::path::Path;

use hedui_protocol::ids::{CommissionId, RecordId};
use serde::Serialize;
use serde_json::Value;

use super::report::HouseholdReport;

/// A report beside the one of the same commission that was written before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// There is none, or it does not read.
    First,
    Same,
    Other(Vec<Change>),
}

/// A difference to the household's report that was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The person's id in the office's list.
    pub row_id: String,
    pub agency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A record that was not told before.
    New,
    /// Its content differs.
    Changed,
    /// The agency has it no more, or it is another's by now.
    Gone,
    /// No record differs: the answer's state does, or what of it did not fit or open.
    Answer,
}

/// What is new in a report; the moment at which it was opened and the days of which it speaks are not.
pub fn since(path: &Path, report: &HouseholdReport) -> Since {
    let before = read(path).filter(|before| before["commission"] == report.commission.to_string());
    let Some(before) = before else { return Since::First };
    let (before, now) = (told(before), told(serde_json::to_value(report).expect("a report is JSON")));
    if before == now {
        return Since::Same;
    }
    let (before, now) = (answers(&before), answers(&now));
    Since::Other(now.iter().flat_map(|(place, answer)| changes(place, before.get(place), answer)).collect())
}

/// The commission that a report in a folder is of; none where there is no report, or it does not read.
pub fn commission(path: &Path) -> Option<CommissionId> {
    read(path)?["commission"].as_str()?.parse().ok()
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// What a report tells of its members, and why there is no more.
#[derive(PartialEq)]
struct Told {
    members: Value,
    refused: Value,
}

fn told(mut report: Value) -> Told {
    for member in each(&mut report, "members") {
        for agency in each(member, "agencies") {
            for record in each(agency, "records") {
                for item in each(record, "items") {
                    take(item.get_mut("payload"), "as_of");
                }
            }
        }
    }
    Told { members: take(Some(&mut report), "members"), refused: take(Some(&mut report), "refused") }
}

fn each<'v>(of: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    of.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn take(of: Option<&mut Value>, name: &str) -> Value {
    of.and_then(Value::as_object_mut).and_then(|of| of.remove(name)).unwrap_or_default()
}

/// Person, agency.
type Place = (String, String);

/// What an agency says about a person: record by record, and besides.
#[derive(Default)]
struct Answer {
    records: BTreeMap<String, Value>,
    besides: Value,
}

fn answers(told: &Told) -> BTreeMap<Place, Answer> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut answers = BTreeMap::new();
    for member in told.members.as_array().into_iter().flatten() {
        for agency in member["agencies"].as_array().into_iter().flatten() {
            let mut besides = agency.clone();
            let records = take(Some(&mut besides), "records");
            let records = records.as_array().into_iter().flatten();
            let records = records.map(|record| (text(&record["record"]), record.clone())).collect();
            answers.insert((text(&member["row_id"]), text(&agency["agency"])), Answer { records, besides });
        }
    }
    answers
}

fn changes((row_id, agency): &Place, before: Option<&Answer>, now: &Answer) -> Vec<Change> {
    let nothing = Answer::default();
    let before = before.unwrap_or(&nothing);
    let mut changes = Vec::new();
    let mut change = |record: Option<&String>, what| {
        let record = record.and_then(|record| record.parse().ok());
        changes.push(Change { row_id: row_id.clone(), agency: agency.clone(), record, what });
    };
    for (record, content) in &now.records {
        match before.records.get(record) {
            None => change(Some(record), What::New),
            Some(known) if known != content => change(Some(record), What::Changed),
            Some(_) => {}
        }
    }
    let gone = before.records.keys().filter(|record| !now.records.contains_key(*record));
    gone.for_each(|record| change(Some(record), What::Gone));
    if before.records == now.records && before.besides != now.besides {
        change(None, What::Answer);
    }
    changes
}
