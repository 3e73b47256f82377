//! What a person reads after the demo: the figures, one household, and what the server saw of one of its members.

use std::path::{Path, PathBuf};

use hedui_protocol::ids::RecordId;
use hedui_protocol::part::StoredRecord;
use serde_json::Value;

use super::parties::Files;
use super::{Figures, search, truth};
use crate::failure::{Failure, Outcome};
use crate::parts::PartReader;

pub fn print(files: &Files, figures: &Figures) -> Outcome {
    figures_table(figures);
    let reports = truth::reports(&files.reports)?;
    if let Some(report) = reports.iter().max_by_key(|report| tellingness(report)) {
        household(report);
        if let Some((name, record)) = deposit_of(report) {
            seen_by_server(files, name, record)?;
        }
        let number = report["household"].as_str().unwrap_or_default();
        println!("\nThe page of this report: {}", files.reports.join(format!("report-{number}.html")).display());
    }
    println!("\nFiles");
    for (what, place) in search::places(files) {
        println!("  {what:28} {place}");
    }
    Ok(())
}

fn figures_table(figures: &Figures) {
    println!("\n{} people, {} applicant households, {} subjects", figures.people, figures.households, figures.subjects);
    for agency in &figures.agencies {
        println!(
            "  {:8} {:>8} records   encoded in {:5.2} s   submitted and indexed in {:5.2} s",
            agency.name, agency.records, agency.encode_s, agency.submit_s
        );
    }
    println!(
        "released {} of {} authorised true pairs; precision {:.4}, recall {:.4}",
        figures.pairs_correct, figures.pairs_true, figures.precision, figures.recall
    );
    println!(
        "payload mismatches {} · released without authorisation {} · planted values found at the server {}",
        figures.payload_mismatches, figures.unauthorised_released, figures.server_plaintext_hits
    );
    println!("{:.1} s in all", figures.wall_s);
}

/// Households whose reports show the most: several agencies, several people, one who was not asked about.
fn tellingness(report: &Value) -> usize {
    let members: Vec<&Value> = truth::list(&report["members"]).collect();
    let answered = members.iter().flat_map(|member| truth::list(&member["agencies"]));
    let answered = answered.filter(|answer| answer["state"] == "answered").count();
    let excluded = members.iter().any(|member| !member["excluded"].is_null());
    answered * 2 + usize::from(excluded) * 3
}

fn household(report: &Value) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!("\nHousehold {} as the office sees it ({})", word(&report["household"]), word(&report["commission_no"]));
    for member in truth::list(&report["members"]) {
        println!("  {} · {}", word(&member["name"]), word(&member["relation"]));
        if let Some(reason) = member["excluded"].as_str() {
            println!("    not asked about: {reason}");
        }
        for answer in truth::list(&member["agencies"]) {
            let (agency, state) = (word(&answer["agency"]), word(&answer["state"]));
            if truth::list(&answer["records"]).next().is_none() {
                println!("    {agency:8} {state}");
            }
            for record in truth::list(&answer["records"]) {
                println!("    {agency:8} {:9} {}", word(&record["band"]), contents(record));
            }
        }
    }
}

fn contents(record: &Value) -> String {
    let mut words = Vec::new();
    for item in truth::list(&record["items"]) {
        let payload = &item["payload"];
        if let Some(over) = payload["over_limit"].as_bool() {
            words.push(if over { "over the limit".to_owned() } else { "within the limit".to_owned() });
        }
        for (name, value) in payload["values"].as_object().into_iter().flatten() {
            words.push(format!("{name} {}", value.as_str().unwrap_or_default()));
        }
    }
    words.join(" · ")
}

/// A record of the report that lies with the server as a deposit.
fn deposit_of(report: &Value) -> Option<(&str, RecordId)> {
    let members = truth::list(&report["members"]);
    let answers = members.flat_map(|member| {
        truth::list(&member["agencies"]).map(move |answer| (member["name"].as_str().unwrap_or_default(), answer))
    });
    let banks = answers.filter(|(_, answer)| answer["agency"] == "bank");
    banks.filter_map(|(name, answer)| Some((name, answer["records"].get(0)?["record"].as_str()?.parse().ok()?))).next()
}

/// Finds the record among the parts that the server stored, and shows its bytes as they are.
fn seen_by_server(files: &Files, name: &str, record: RecordId) -> Outcome {
    let mut parts = Vec::new();
    find_parts(&files.server, &mut parts)?;
    for part in &parts {
        if let Some(row) = find_record(part, record)? {
            println!("\nWhat the server holds of {name}'s record at the bank ({} bytes)", stored_bytes(&row));
            println!("  record     {record}");
            println!("  encodings  {}", hex(&row.encodings));
            println!("  data key   {} (wrapped)", hex(&row.wraps));
            println!("  payload    {} (sealed and locked)", hex(&row.locked));
            return Ok(());
        }
    }
    Ok(())
}

fn stored_bytes(row: &StoredRecord) -> usize {
    row.encodings.len() + row.wraps.len() + row.locked.len()
}

fn hex(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    format!("{shown}… {} bytes", bytes.len())
}

fn find_parts(folder: &Path, parts: &mut Vec<PathBuf>) -> Outcome {
    for entry in std::fs::read_dir(folder).map_err(|e| Failure::file("read", folder, &e))? {
        let path = entry.map_err(|e| Failure::file("read", folder, &e))?.path();
        if path.is_dir() {
            find_parts(&path, parts)?;
        } else {
            parts.push(path);
        }
    }
    Ok(())
}

/// Files that are no parts (the database, the index) have no such record.
fn find_record(path: &Path, record: RecordId) -> Outcome<Option<StoredRecord>> {
    let file = std::fs::File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let Ok(mut reader) = PartReader::open(file) else { return Ok(None) };
    while let Some(rows) = reader.next_rows().map_err(Failure::refused)? {
        if let Some(row) = rows.into_iter().find(|row| row.record == record) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
