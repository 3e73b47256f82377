//! The keys of a backup, in a file of their own: only the newest backup's are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hedui_protocol::messages::Blob;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::error::{ServerError, ServerResult};
use super::super::shred::ShredKey;
use super::super::store::{DumpedRow, Value};
use super::{KEYS, lines};
use crate::failure::{Failure, Outcome};

/// The column that holds a key; it does not go among the rows.
const COLUMN: &str = "shred_key";

/// Keys by the batch or commission that they are of.
#[derive(Default)]
pub struct Keys {
    keys: HashMap<String, ShredKey>,
    /// Agencies that were erased after the rows were written.
    erased: Vec<String>,
    /// The file that is not there.
    missing: Option<PathBuf>,
}

/// An agency that was erased, and when.
pub type ErasedAgency = (String, Timestamp);

/// The first line, and then a key a line.
pub struct KeysFile<'k> {
    pub taken_at: Timestamp,
    pub erased: Vec<ErasedAgency>,
    pub keys: &'k Keys,
}

#[derive(Serialize, Deserialize)]
struct Head {
    taken_at: Timestamp,
    erased_agencies: Vec<ErasedAgency>,
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

    /// Whether what a row says was erased with its agency.
    pub fn was_erased(&self, agency: &str) -> bool {
        self.erased.iter().any(|erased| erased == agency)
    }

    /// Takes a row's key out of it.
    pub fn take(&mut self, row: &mut DumpedRow) -> ServerResult<()> {
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

    /// The keys of a backup, or of a later one: of rows that were written at `written_at`. A backup of before there were keys
    /// has none.
    pub fn read(path: &Path, written_at: Timestamp) -> Outcome<Self> {
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
        if head.taken_at < written_at {
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
        let later = head.erased_agencies.into_iter().filter(|(_, at)| *at > written_at);
        Ok(Self { keys, erased: later.map(|(agency, _)| agency).collect(), missing: None })
    }
}

impl KeysFile<'_> {
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Head { taken_at: self.taken_at, erased_agencies: self.erased.clone() };
        let mut text = serde_json::to_string(&head).expect("it has only string keys");
        for (of, key) in &self.keys.keys {
            let line = KeyLine { of: of.clone(), key: Blob(key.bytes().to_vec()) };
            text.push('\n');
            text.push_str(&serde_json::to_string(&line).expect("it has only string keys"));
        }
        text.push('\n');
        text.into_bytes()
    }
}
