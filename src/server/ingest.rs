//! Parts as they arrive: checked row by row, then stored.

use std::collections::HashSet;

use bytes::Bytes;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::ids::ContentHash;
use hedui_protocol::manifest::{Agency, Manifest, Release};
use hedui_protocol::part::{PartInfo, StoredRecord, WRAP_BYTES, locked_bytes};
use hedui_protocol::problem::ProblemKind;
use jiff::Timestamp;

use super::error::{ServerResult, refuse};
use super::parts::{Parts, Shelf};
use super::store::Store;
use crate::parts::PartReader;

/// Largest part.
pub const PART_BYTES: u64 = 512 << 20;
/// SPEC 10.2  Whether a part is the one that the header announced, and every row of it reads.
pub fn check_part(manifest: &Manifest, agency: &Agency, info: &PartInfo, bytes: &Bytes) -> ServerResult<()> {
    let number = info.number;
    if bytes.len() as u64 != info.bytes || ContentHash::of(bytes) != info.hash {
        let detail = format!("part {number} is not the one that the batch header names: its length or hash differs");
        return refuse(ProblemKind::PartMismatch, detail);
    }
    let check = PartCheck::new(manifest, agency);
    check.part(info, bytes).or_else(|wrong| refuse(ProblemKind::Malformed, format!("part {number}: {wrong}")))
}

/// Stores a part that was checked, under its batch's key; false where the batch was erased meanwhile, and nothing stays.
pub async fn store_part(
    store: &Store,
    parts: &Parts,
    shelf: &Shelf,
    number: u32,
    bytes: Bytes,
    now: Timestamp,
) -> ServerResult<bool> {
    parts.put(shelf, number, bytes).await?;
    let noted = store.note_part(shelf, number, now).await?;
    if !noted {
        // its files may have been removed before this one came
        parts.remove_part(shelf, number).await?;
    }
    Ok(noted)
}

/// What every part of one agency must keep to.
struct PartCheck<'c> {
    manifest: &'c Manifest,
    agency: &'c Agency,
    shape: Shape,
    /// Offices that the parts are sealed to.
    offices: usize,
}

/// The rule that a part breaks, and the row.
type Broken = String;

impl<'c> PartCheck<'c> {
    fn new(manifest: &'c Manifest, agency: &'c Agency) -> Self {
        let offices = match agency.release {
            Release::Deposit => manifest.deposit_offices().count(),
            Release::OnMatch => 0,
        };
        Self { manifest, agency, shape: manifest.shape(), offices }
    }

    fn part(&self, info: &PartInfo, bytes: &Bytes) -> Result<(), Broken> {
        let mut reader = PartReader::open(bytes.clone()).map_err(|e| e.to_string())?;
        let meta = &reader.meta;
        if meta.manifest != self.manifest.id() || meta.agency != self.agency.name || meta.number != info.number {
            return Err("it says that it belongs to another manifest, agency or place".into());
        }
        if meta.seal.encapsulations.len() != self.offices {
            return Err("it is sealed to another number of offices than the manifest says".into());
        }
        let (mut seen, mut row) = (HashSet::new(), 0u64);
        while let Some(rows) = reader.next_rows().map_err(|e| e.to_string())? {
            for record in rows {
                self.record(&record).map_err(|wrong| format!("row {row}: {wrong}"))?;
                if !seen.insert(record.record) {
                    return Err(format!("row {row}: its record id stands there twice"));
                }
                row += 1;
                if row > u64::from(info.rows) {
                    return Err("it has more rows than the batch header says".into());
                }
            }
        }
        if row == u64::from(info.rows) { Ok(()) } else { Err("it has fewer rows than the batch header says".into()) }
    }

    fn record(&self, record: &StoredRecord) -> Result<(), Broken> {
        let encodings = Encodings::parse(&record.encodings, &self.shape).map_err(|e| e.to_string())?;
        if record.locked.len() != self.offices * locked_bytes(self.agency) {
            return Err("its locked payloads have another length than the manifest says".into());
        }
        let (wraps, rest) = record.wraps.as_chunks::<{ 1 + WRAP_BYTES }>();
        if !rest.is_empty() || (self.offices == 0 && !wraps.is_empty()) {
            return Err("its wraps have a wrong length".into());
        }
        let identifies = |index: u8| {
            let token = encodings.tokens.get(usize::from(index));
            token.is_some_and(|(pass, _)| self.manifest.schema.passes[usize::from(*pass)].identifies.is_some())
        };
        if wraps.is_sorted_by(|one, next| one[0] < next[0]) && wraps.iter().all(|wrap| identifies(wrap[0])) {
            return Ok(());
        }
        Err("a wrap belongs to no token of an identifying pass, or stands there twice".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::backup::tests::Place;
    use super::*;

    #[tokio::test]
    async fn a_part_that_comes_after_its_batch_was_removed_does_not_stay() {
        let place = Place::new(1).await;
        let (batch, header) = place.begun(1).await;
        let (store, parts, shelf) = (&place.store, &place.parts, place.store.shelf(batch).await.unwrap());
        let now = Timestamp::now();
        let come = async || {
            let bytes = Bytes::from(vec![1; 64]);
            store_part(store, parts, &shelf, 0, bytes, now).await.unwrap()
        };
        assert!(come().await && come().await, "sent again");
        assert!(place.part(batch).exists());
        store.expire(now).await.unwrap();
        parts.remove_batch(&shelf, header.parts.len() as u32).await.unwrap();
        assert!(!come().await);
        assert!(!place.part(batch).exists());
    }
}
