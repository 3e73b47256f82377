//! What should have been released, what was, and whether it is what the agency's own row says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use hedui_protocol::ids::RecordId;
use hedui_protocol::keys::RecordKey;
use hedui_protocol::manifest::Manifest;
use serde_json::Value;

use super::parties::{AGENCIES, Files};
use crate::failure::{Failure, Outcome};
use crate::keyfile;

#[derive(Default)]
pub struct Measured {
    pub subjects: u64,
    pub authorised_pairs: u64,
    pub released: u64,
    pub correct: u64,
    pub payload_mismatches: u64,
    pub unauthorised: u64,
}

/// An agency's own rows, by the ids that only it can derive.
struct AgencyRows {
    true_pairs: HashSet<(String, String)>,
    rows: HashMap<RecordId, (String, BTreeMap<String, String>)>,
}

pub fn measure(files: &Files) -> Outcome<Measured> {
    let manifest = Manifest::parse(&super::read(&files.manifest)?).map_err(Failure::refused)?;
    let authorised = authorised(files)?;
    let mut measured = Measured { subjects: authorised.len() as u64, ..Measured::default() };
    let mut agencies = HashMap::new();
    for agency in AGENCIES {
        let rows = agency_rows(files, &manifest, agency)?;
        let covered = |person: &str| authorised.get(person).is_some_and(|agencies| agencies.contains(&agency));
        measured.authorised_pairs += rows.true_pairs.iter().filter(|(person, _)| covered(person)).count() as u64;
        agencies.insert(agency, rows);
    }
    for report in reports(&files.reports)? {
        for member in list(&report["members"]) {
            let person = member["row_id"].as_str().unwrap_or_default();
            for answer in list(&member["agencies"]) {
                let Some(name) = AGENCIES.into_iter().find(|name| answer["agency"] == *name) else { continue };
                let covered = authorised.get(person).is_some_and(|agencies| agencies.contains(&name));
                for record in list(&answer["records"]) {
                    measured.released += 1;
                    measured.unauthorised += u64::from(!covered);
                    judge(&mut measured, &agencies[name], person, record);
                }
            }
        }
    }
    Ok(measured)
}

fn judge(measured: &mut Measured, agency: &AgencyRows, person: &str, record: &Value) {
    let id = record["record"].as_str().and_then(|text| text.parse::<RecordId>().ok());
    let Some((row_id, own)) = id.and_then(|id| agency.rows.get(&id)) else {
        measured.payload_mismatches += 1;
        return;
    };
    measured.correct += u64::from(agency.true_pairs.contains(&(person.to_owned(), row_id.clone())));
    let values = list(&record["items"]).filter_map(|item| item["payload"]["values"].as_object());
    let mut told = 0;
    for (column, value) in values.flatten() {
        told += 1;
        measured.payload_mismatches += u64::from(value.as_str() != own.get(column).map(String::as_str));
    }
    measured.payload_mismatches += u64::from(told == 0);
}

/// The agencies that may be asked about each person, from the office's own list.
fn authorised(files: &Files) -> Outcome<HashMap<String, Vec<&'static str>>> {
    let letters = ["B", "T", "H", "V"].into_iter().zip(AGENCIES);
    let mut authorised = HashMap::new();
    for row in rows(&files.table("office"))? {
        let covered: Vec<&str> = letters
            .clone()
            .filter(|(letter, _)| row["consent_scope"].contains(letter))
            .map(|(_, agency)| agency)
            .collect();
        if row["consent_status"] == "valid" && !covered.is_empty() {
            authorised.insert(row["id"].clone(), covered);
        }
    }
    Ok(authorised)
}

fn agency_rows(files: &Files, manifest: &Manifest, agency: &str) -> Outcome<AgencyRows> {
    let seed = keyfile::read(&files.signing_key(agency))?;
    let seed = seed.as_slice().try_into().expect("the demo's own keys have 32 bytes");
    let key = RecordKey::from_signing_seed(seed);
    let own = rows(&files.table(agency))?;
    let truth = rows(&files.table(&format!("truth_{agency}")))?;
    Ok(AgencyRows {
        true_pairs: truth.into_iter().map(|pair| (pair["id_a"].clone(), pair["id_b"].clone())).collect(),
        rows: own.into_iter().map(|row| (key.record_id(manifest.id(), &row["id"]), (row["id"].clone(), row))).collect(),
    })
}

pub fn rows(path: &Path) -> Outcome<Vec<BTreeMap<String, String>>> {
    let unreadable = |e: csv::Error| Failure::refused(format!("{}: {e}", path.display()));
    csv::Reader::from_path(path).map_err(unreadable)?.deserialize().collect::<Result<_, _>>().map_err(unreadable)
}

pub fn reports(folder: &Path) -> Outcome<Vec<Value>> {
    let unreadable = |e: &std::io::Error| Failure::file("read", folder, e);
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(&e))? {
        let path = entry.map_err(|e| unreadable(&e))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            reports.push(serde_json::from_slice(&super::read(&path)?).map_err(Failure::refused)?);
        }
    }
    Ok(reports)
}

pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
