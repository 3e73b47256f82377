//! What is known of an agency's file from when it was read last, and whether it is still the same.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use hedui_protocol::ids::RecordId;

/// A file that was written more recently may still be written: nobody says that a record is gone because it is not there yet.
const SETTLES: Duration = Duration::from_secs(10);

/// Records that the file lacks, as long as it is the same: what stays open is looked at often, and costs no pass over it.
#[derive(Default)]
pub struct Absent {
    pub records: HashSet<RecordId>,
    file: Option<(u64, SystemTime, u64)>,
    /// When it was first seen so.
    since: Option<Instant>,
}

impl Absent {
    pub fn are_of(&mut self, file: &Path) {
        if !self.is_still_of(file) {
            *self = Self { file: stamp(file), since: Some(Instant::now()), records: HashSet::new() };
        }
    }

    /// Whether nobody has written the file since.
    pub fn is_still_of(&self, file: &Path) -> bool {
        self.file == stamp(file)
    }

    /// Whether nobody has written it for a while, by its own time or by this process's, for the former may lie ahead.
    pub fn is_settled(&self) -> bool {
        let written = self.file.and_then(|(_, written, _)| written.elapsed().ok());
        let since = written.into_iter().chain(self.since.map(|since| since.elapsed())).max();
        self.file.is_none() || since.is_some_and(|since| since >= SETTLES)
    }

    /// Those of which it is not known that the file lacks them.
    pub fn others(&self, records: impl Iterator<Item = RecordId>) -> HashSet<RecordId> {
        records.filter(|record| !self.records.contains(record)).collect()
    }
}

fn stamp(file: &Path) -> Option<(u64, SystemTime, u64)> {
    let of = |data: Metadata| Some((data.len(), data.modified().ok()?, data.ino()));
    std::fs::metadata(file).ok().and_then(of)
}
