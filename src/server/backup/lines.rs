//! A line of a backup's rows: as it is, or sealed under the key of the batch or commission that it is about.

use hedui_protocol::messages::Blob;
use serde::{Deserialize, Serialize};

use super::super::error::{ServerError, ServerResult};
use super::super::store::{DumpedRow, Value};
use super::keys::Keys;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Sealed { of: String, sealed: Blob },
    Plain(DumpedRow),
}

/// The batch or commission that a row is about.
pub fn unit(row: &DumpedRow) -> Option<&str> {
    let column = match row.table.as_str() {
        "batches" | "parts" => "batch",
        "commissions" | "encodings" | "matched_against" | "matches" => "commission",
        "jobs" => "target",
        _ => return None,
    };
    match row.row.get(column) {
        Some(Value::Text(unit)) => Some(unit),
        _ => None,
    }
}

impl Line {
    pub fn of(row: DumpedRow, keys: &Keys, backup: &str, number: u64) -> ServerResult<Self> {
        let Some((of, key)) = unit(&row).and_then(|unit| Some((unit.to_owned(), keys.of(unit)?))) else {
            return Ok(Self::Plain(row));
        };
        let mut sealed = serde_json::to_vec(&row).expect("rows are JSON");
        key.seal(&name(backup, number), &mut sealed)?;
        Ok(Self::Sealed { of, sealed: Blob(sealed) })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("lines are JSON")
    }

    pub fn parse(line: &[u8]) -> ServerResult<Self> {
        serde_json::from_slice(line).map_err(ServerError::failed)
    }

    /// The batch or commission that it is about.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Sealed { of, .. } => Some(of),
            Self::Plain(row) => unit(row),
        }
    }

    /// The row; none where it was erased since.
    pub fn open(self, keys: &Keys, backup: &str, number: u64) -> ServerResult<Option<DumpedRow>> {
        let mut row = match self {
            Self::Plain(row) if keys.was_erased(&row) => return Ok(None),
            Self::Plain(row) => row,
            Self::Sealed { of, sealed } => {
                let Some(key) = keys.of_sealed(&of)? else { return Ok(None) };
                let bytes = key.open(&name(backup, number), sealed.0)?;
                serde_json::from_slice(&bytes).map_err(ServerError::failed)?
            }
        };
        if keys.is_of_an_erased_agency(&row) {
            match row.table.as_str() {
                "matches" => return Ok(None),
                "matched_against" => drop(row.row.remove("batch")),
                _ => {}
            }
        }
        keys.give(&mut row);
        Ok(Some(row))
    }
}

fn name(backup: &str, number: u64) -> String {
    format!("row {number} of backup {backup}")
}
