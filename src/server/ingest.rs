//! Parts as they arrive: checked row by row, stored under their hash, unseen until the batch is committed.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use hedui_protocol::encodings::Encodings;
use hedui_protocol::ids::{BatchId, ContentHash};
use hedui_protocol::manifest::{Agency, Manifest, Release};
use hedui_protocol::part::{PartInfo, StoredRecord, WRAP_BYTES, locked_bytes};
use hedui_protocol::problem::ProblemKind;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::error::{ServerResult, refuse};
use crate::failure::{Failure, Outcome};
use crate::parts::PartReader;
use crate::staging::private_folder;

/// The data plane: immutable parts.
pub struct Parts {
    store: Box<dyn ObjectStore>,
}

impl Parts {
    pub fn open(folder: &Path) -> Outcome<Self> {
        private_folder(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(Failure::refused)?.with_fsync(true);
        Ok(Self { store: Box::new(store) })
    }

    /// Whole or not at all; storing the same part again changes nothing.
    pub async fn put(&self, batch: BatchId, number: u32, bytes: Bytes) -> ServerResult<()> {
        self.store.put(&location(batch, number), bytes.into()).await?;
        Ok(())
    }

    pub async fn get(&self, batch: BatchId, number: u32) -> ServerResult<Bytes> {
        Ok(self.store.get(&location(batch, number)).await?.bytes().await?)
    }
}

fn location(batch: BatchId, number: u32) -> object_store::path::Path {
    format!("{batch}/{number:05}.parquet").into()
}

/// SPEC 10.2  Whether a part is the one that the header announced, and every row of it reads.
pub fn check_part(manifest: &Manifest, agency: &Agency, info: &PartInfo, bytes: &Bytes) -> ServerResult<()> {
    let number = info.number;
    if bytes.len() as u64 != info.bytes || ContentHash::of(bytes) != info.hash {
        let detail = format!("part {number} is not the one that the batch header names: its length or hash differs");
        return refuse(ProblemKind::PartMismatch, detail);
    }
    let wrong = |what: &str| refuse(ProblemKind::Malformed, format!("part {number}: {what}"));
    let mut reader = match PartReader::open(bytes.clone()) {
        Ok(reader) => reader,
        Err(e) => return wrong(&e.to_string()),
    };
    let meta = &reader.meta;
    if meta.manifest != manifest.id() || meta.agency != agency.name || meta.number != number {
        return wrong("it says that it belongs to another manifest, agency or place");
    }
    let offices = match agency.release {
        Release::Deposit => manifest.deposit_offices().count(),
        Release::OnMatch => 0,
    };
    if meta.seal.encapsulations.len() != offices {
        return wrong("it is sealed to another number of offices than the manifest says");
    }
    let locked = offices * locked_bytes(agency);
    let shape = manifest.shape();
    let (mut seen, mut row) = (HashSet::new(), 0u64);
    loop {
        let rows = match reader.next_rows() {
            Ok(Some(rows)) => rows,
            Ok(None) => break,
            Err(e) => return wrong(&e.to_string()),
        };
        for record in rows {
            row += 1;
            let tokens = match Encodings::parse(&record.encodings, &shape) {
                Ok(encodings) => encodings.tokens.len(),
                Err(e) => return wrong(&format!("row {row}: {e}")),
            };
            if record.locked.len() != locked || !wraps_read(&record, tokens) {
                return wrong(&format!("row {row}: its wraps or payloads have a wrong length"));
            }
            if !seen.insert(record.record) {
                return wrong(&format!("row {row}: its record id stands there twice"));
            }
        }
    }
    if row == u64::from(info.rows) { Ok(()) } else { wrong("it has another number of rows than the header says") }
}

fn wraps_read(record: &StoredRecord, tokens: usize) -> bool {
    let entries = record.wraps.chunks(1 + WRAP_BYTES);
    record.wraps.len().is_multiple_of(1 + WRAP_BYTES) && entries.into_iter().all(|entry| usize::from(entry[0]) < tokens)
}
