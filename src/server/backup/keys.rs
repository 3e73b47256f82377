//! The keys of a backup, in a file of their own: only the newest backup's are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hedui_protocol::acts::Deed;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::messages::Blob;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::error::{ServerError, ServerResult};
use super::super::shred::ShredKey;
use super::super::store::{DumpedRow, StaysErased, Value};
use super::{KEYS, Seal, lines};
use crate::failure::{Failure, Outcome};

/// The column that holds a key; it does not go among the rows.
const COLUMN: &str = "shred_key";

/// Keys by the batch or commission that they are of, and what has none any more.
#[derive(Default)]
pub struct Keys {
    keys: HashMap<String, ShredKey>,
    agencies: Vec<ErasedAgency>,
    erased: StaysErased,
    /// The file that is not there.
    missing: Option<PathBuf>,
    /// Rows of before there were keys, and keys of after.
    of_plain_rows: bool,
}

/// An agency, and the number of the act that erased it, an entry of the log.
#[derive(Clone, Serialize, Deserialize)]
struct ErasedAgency {
    agency: String,
    act: i64,
}

impl ErasedAgency {
    /// Those of a row: of an approved act that erased one, or of the entry of a restore by which they stayed erased.
    fn by(row: &DumpedRow) -> Vec<Self> {
        let value = |name: &str| row.row.get(name);
        match (row.table.as_str(), value("act"), value("approved_at"), value("deed")) {
            ("acts", Some(Value::Number(act)), Some(_), Some(Value::Text(deed))) => match serde_json::from_str(deed) {
                Ok(Deed::EraseAgency { agency }) => vec![Self { agency, act: *act }],
                _ => Vec::new(),
            },
            ("log_entries", ..) => match (value("what"), value("number"), value("entry")) {
                (Some(Value::Text(what)), Some(Value::Number(act)), Some(Value::Bytes { base64 }))
                    if what == "restored" =>
                {
                    let event = Entry::parse(&base64.0).map(|entry| entry.event);
                    let Some(Event::Restored { agencies, .. }) = event else { return Vec::new() };
                    agencies.into_iter().map(|agency| Self { agency, act: *act }).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// The first line of the file; then a key a line.
#[derive(Serialize, Deserialize)]
struct Head {
    taken_at: Timestamp,
    erased_agencies: Vec<ErasedAgency>,
    #[serde(flatten)]
    erased: StaysErased,
}

#[derive(Serialize, Deserialize)]
struct KeyLine {
    of: String,
    key: Blob,
}

impl Keys {
    pub fn of(&self, unit: &str) -> Option<&ShredKey> {
        self.keys.get(unit)
    }

    /// The key of what is sealed; none where it was erased since. Without any keys, nobody knows what was erased.
    pub fn of_sealed(&self, unit: &str) -> ServerResult<Option<&ShredKey>> {
        match &self.missing {
            Some(path) => Err(ServerError::Failed(format!(
                "{} is not there, and the rows are sealed: `--keys` names that of the newest backup",
                path.display()
            ))),
            None => Ok(self.of(unit)),
        }
    }

    /// Whether a row that is not sealed was erased since: with its agency, or, where it was written before there were keys, by
    /// having none by now.
    pub fn was_erased(&self, row: &DumpedRow) -> bool {
        let agency = matches!(row.table.as_str(), "matches" | "batches") && self.is_of_an_erased_agency(row);
        agency || self.of_plain_rows && lines::unit(row).is_some_and(|unit| self.of(unit).is_none())
    }

    pub fn is_of_an_erased_agency(&self, row: &DumpedRow) -> bool {
        matches!(row.row.get("agency"), Some(Value::Text(name)) if self.agencies.iter().any(|erased| erased.agency == *name))
    }

    /// A row of the backup's own. An act that was approved by then took away what there was, and what has come after it stays:
    /// whether it was, its number says, not the clocks.
    pub fn see_done(&mut self, row: &DumpedRow) {
        for done in ErasedAgency::by(row) {
            self.agencies.retain(|erased| erased.act != done.act);
        }
    }

    /// Agencies that were erased since.
    pub fn erased_agencies(&self) -> Vec<String> {
        self.agencies.iter().map(|erased| erased.agency.clone()).collect()
    }

    /// What is to stay erased though it was not when the rows were written.
    pub fn stays_erased(&self) -> &StaysErased {
        &self.erased
    }

    /// Takes a row's key out of it, and notes what it says of what was erased.
    pub fn take(&mut self, row: &mut DumpedRow) -> ServerResult<()> {
        let text = |name: &str| match row.row.get(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let number = |name: &str| match row.row.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        match row.table.as_str() {
            "commissions" if text("state") == "erased" => self.erased.commissions.push(row.clone()),
            "project" => self.erased.erased_at = number("erased_at"),
            "acts" | "log_entries" => self.agencies.extend(ErasedAgency::by(row)),
            _ => {}
        }
        if let Some(Value::Bytes { base64 }) = row.row.remove(COLUMN)
            && let Some(unit) = lines::unit(row)
        {
            self.keys.insert(unit.to_owned(), ShredKey::of(&base64.0)?);
        }
        Ok(())
    }

    /// Puts it back.
    pub fn give(&self, row: &mut DumpedRow) {
        if matches!(row.table.as_str(), "batches" | "commissions")
            && let Some(key) = lines::unit(row).and_then(|unit| self.of(unit))
        {
            let base64 = Blob(key.bytes().to_vec());
            row.row.insert(COLUMN.to_owned(), Value::Bytes { base64 });
        }
    }

    /// The keys of a backup, or of a later one. A backup of before there were keys has none.
    pub fn read(path: &Path, seal: &Seal) -> Outcome<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.ends_with(KEYS) => {
                return Ok(Self { missing: Some(path.to_owned()), ..Self::default() });
            }
            Err(e) => return Err(Failure::file("read", path, &e)),
        };
        let damaged = |number: usize| Failure::refused(format!("{}: line {number} does not read", path.display()));
        let mut lines = text.lines();
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default()).map_err(|_| damaged(1))?;
        if head.taken_at < seal.taken_at {
            return Err(Failure::refused(format!(
                "{}: these keys are of {}, older than the backup: what came after has none",
                path.display(),
                head.taken_at
            )));
        }
        let mut keys = HashMap::new();
        for (number, line) in (2..).zip(lines) {
            let KeyLine { of, key } = serde_json::from_str(line).map_err(|_| damaged(number))?;
            keys.insert(of, ShredKey::of(&key.0).map_err(|_| damaged(number))?);
        }
        Ok(Self {
            keys,
            agencies: head.erased_agencies,
            erased: head.erased,
            missing: None,
            of_plain_rows: seal.id.is_empty(),
        })
    }

    /// Whether the file is there.
    pub fn are_here(&self) -> bool {
        self.missing.is_none()
    }

    pub fn to_bytes(&self, taken_at: Timestamp) -> Vec<u8> {
        let head = Head { taken_at, erased_agencies: self.agencies.clone(), erased: self.erased.clone() };
        let mut text = serde_json::to_string(&head).expect("it has only string keys");
        for (of, key) in &self.keys {
            let line = KeyLine { of: of.clone(), key: Blob(key.bytes().to_vec()) };
            text.push('\n');
            text.push_str(&serde_json::to_string(&line).expect("it has only string keys"));
        }
        text.push('\n');
        text.into_bytes()
    }
}
