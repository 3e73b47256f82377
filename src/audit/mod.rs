//! The house of the auditor: what the linkage server did, read from its log and proved without it.
//!
//! `integrity` looks whether the log is the one that was signed; `rules` whether what it says was allowed, and `acts`
//! whether operators did what they did by two.

mod acts;
mod asks;
mod fetch;
mod integrity;
mod line;
mod receipt;
mod rules;
mod search;
mod sets;
mod verify;
mod watch;

use clap::Args;

pub use fetch::Fetch;
pub use receipt::CheckReceipt;
pub use search::Search;
pub use verify::Verify;
pub use watch::Watch;

use std::path::{Path, PathBuf};

use hedui_protocol::log::{Checkpoint, Entry, SignedCheckpoint, origin};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::sign::PublicKey;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::logbook::Logbook;

/// An exported log.
#[derive(Args, Clone, Debug)]
struct LogFolder {
    /// A log that `hedui audit export` or `hedui audit fetch` wrote
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// What an auditor must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word; `docs/AUDIT.md` explains each.
    pub kind: &'static str,
    /// The entry that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    pub detail: String,
}

/// Seconds by which the servers' clocks may differ.
const SKEW: i64 = 300;

/// What is wrong with an entry: a stable word, and a sentence.
type Wrong = (&'static str, String);
type Checked = Result<(), Wrong>;

impl Finding {
    fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, entry: None, detail: detail.into() }
    }

    fn at(entry: u64, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { entry: Some(entry), ..Self::new(kind, detail) }
    }
}

/// A log as it was exported, with the key that must have signed it.
struct Exported {
    book: Logbook,
    manifest: Manifest,
    key: PublicKey,
    origin: String,
    /// The newest signed note, if there is one: read before the entries, which may grow meanwhile.
    checkpoint: Option<String>,
    /// The lines, and what each says; none where it does not read.
    lines: Vec<Vec<u8>>,
    entries: Vec<Option<Entry>>,
}

impl Exported {
    fn load(folder: &Path) -> Outcome<Self> {
        let book = Logbook::open(folder)?;
        let path = book.manifest();
        let bytes = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
        let manifest = Manifest::parse(&bytes).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
        let key = manifest.log_key.ok_or_else(|| {
            Failure::refused(format!("{}: the manifest names no `log_key`: its log proves nothing", path.display()))
        })?;
        let checkpoint = book.checkpoint()?;
        let lines = book.entries()?;
        let entries = lines.iter().map(|line| Entry::parse(line)).collect();
        Ok(Self { origin: origin(manifest.id()), book, manifest, key, checkpoint, lines, entries })
    }

    fn signed(&self, note: String) -> Result<Checkpoint, String> {
        SignedCheckpoint::from_text(note).open(&self.key, &self.origin).map_err(|e| e.to_string())
    }
}
