//! What a report says that the one before it did not: of standing commissions only this is news.

use std::collections::BTreeMap;
use std::path::Path;

use hedui_protocol::ids::RecordId;
use serde::Serialize;
use serde_json::Value;

use super::report::HouseholdReport;

/// A difference to the household's report that was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The person's id in the office's list.
    pub row_id: String,
    pub agency: String,
    pub record: RecordId,
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
}

/// What is new in a report; nothing where there was none of this commission before.
pub fn since(path: &Path, report: &HouseholdReport) -> Vec<Change> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let Ok(before) = serde_json::from_slice::<Value>(&bytes) else { return Vec::new() };
    if before["commission"] != report.commission.to_string() {
        return Vec::new();
    }
    let now = serde_json::to_value(report).expect("a report is JSON");
    let (before, now) = (records(&before), records(&now));
    let mut changes: Vec<Change> = Vec::new();
    let mut change = |(row_id, agency, record): &Place, what| {
        if let Ok(record) = record.parse() {
            changes.push(Change { row_id: row_id.clone(), agency: agency.clone(), record, what });
        }
    };
    for (place, content) in &now {
        match before.get(place) {
            None => change(place, What::New),
            Some(known) if known != content => change(place, What::Changed),
            Some(_) => {}
        }
    }
    before.keys().filter(|place| !now.contains_key(*place)).for_each(|place| change(place, What::Gone));
    changes
}

/// Person, agency, record.
type Place = (String, String, String);

/// Every record of a report, with its content; the day of which it speaks is no content.
fn records(report: &Value) -> BTreeMap<Place, Vec<Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut records = BTreeMap::new();
    for member in list(&report["members"]) {
        for agency in list(&member["agencies"]) {
            for record in list(&agency["records"]) {
                let mut items = list(&record["items"]);
                for item in &mut items {
                    if let Some(payload) = item["payload"].as_object_mut() {
                        payload.remove("as_of");
                    }
                }
                let place = (text(&member["row_id"]), text(&agency["agency"]), text(&record["record"]));
                records.insert(place, items);
            }
        }
    }
    records
}
