//! Parts and batches: how an agency's records reach the server, whole or not at all.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::basis::Basis;
use crate::ids::{BatchId, ContentHash, RecordId};
use crate::manifest::{Agency, Level};
use crate::sign::Signed;

/// SPEC 10.1  What an agency signs before it sends the parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchHeader {
    pub basis: Basis,
    pub agency: String,
    pub created_at: Timestamp,
    /// The batch that this one continues: a delta. Whole sets continue none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BatchId>,
    /// Records that the set has no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<RecordId>,
    pub records: u64,
    pub parts: Vec<PartInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartInfo {
    pub number: u32,
    pub rows: u32,
    pub bytes: u64,
    pub hash: ContentHash,
}

/// Why a header's own numbers do not add up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHeader {
    #[error("the batch header does not read: line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error("the batch header's parts are not numbered 0, 1, 2 …")]
    Numbers,
    #[error("part {0} has more rows than the manifest allows, or none")]
    Rows(u32),
    #[error("the parts' rows do not add up to the batch's {0} records")]
    Sum(u64),
    #[error("the batch header deletes records, and names no base that would have them")]
    Deletes,
}

impl BatchHeader {
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedHeader> {
        serde_json::from_slice(bytes).map_err(|e| MalformedHeader::Syntax { line: e.line(), column: e.column() })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a header has only string keys")
    }

    /// Whether the parts are numbered in order, are of allowed size and add up.
    pub fn adds_up(&self, part_rows: u32) -> Result<(), MalformedHeader> {
        if !self.parts.iter().zip(0u32..).all(|(part, number)| part.number == number) {
            return Err(MalformedHeader::Numbers);
        }
        if let Some(part) = self.parts.iter().find(|part| part.rows == 0 || part.rows > part_rows) {
            return Err(MalformedHeader::Rows(part.number));
        }
        if self.parts.iter().map(|part| u64::from(part.rows)).sum::<u64>() != self.records {
            return Err(MalformedHeader::Sum(self.records));
        }
        if self.base.is_none() && !self.deletes.is_empty() {
            return Err(MalformedHeader::Deletes);
        }
        Ok(())
    }
}

/// The id of a signed header.
pub fn batch_id(header: &Signed) -> BatchId {
    BatchId(*blake3::hash(&header.bytes).as_bytes())
}

/// Random bytes of one part: keys that wrap and lock never repeat across parts.
pub type Salt = [u8; 16];

/// SPEC 8.2  An HPKE encapsulated key (X25519).
pub type Encapsulation = [u8; 32];

/// SPEC 8.5  A data key under a wrap key.
pub const WRAP_BYTES: usize = 48;

/// Bytes that sealing and locking add to a padded payload: two AEAD tags.
pub const LOCKED_OVERHEAD: usize = 32;

/// What opens with every record of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSeal {
    pub salt: Salt,
    /// One for each office that deposits are sealed to, in the manifest's order; none without deposits.
    pub encapsulations: Vec<Encapsulation>,
}

/// SPEC 10.2  One row of a part.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub record: RecordId,
    /// [`crate::encodings::Encodings`] as bytes.
    pub encodings: Vec<u8>,
    /// For each token of an identifying pass: its index (u8) and the wrapped data key.
    pub wraps: Vec<u8>,
    /// For each office of the part's seal, each offered item and level: the locked payload.
    pub locked: Vec<u8>,
}

impl std::fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredRecord({}, ..)", self.record)
    }
}

impl StoredRecord {
    /// The wrapped data key of the token at `index`.
    pub fn wrap_of(wraps: &[u8], index: u8) -> Option<&[u8]> {
        let entries = wraps.chunks_exact(1 + WRAP_BYTES);
        entries.map(|entry| (entry[0], &entry[1..])).find(|(i, _)| *i == index).map(|(_, wrap)| wrap)
    }
}

/// Where, in a record's locked bytes, one office's payload of one item and level lies.
pub fn locked_range(agency: &Agency, office: usize, item: &str, level: Level) -> Option<std::ops::Range<usize>> {
    let mut at = office * locked_bytes(agency);
    for (offered, offered_level) in agency.offers() {
        let length = usize::from(offered.bucket) + LOCKED_OVERHEAD;
        if offered.name == item && offered_level == level {
            return Some(at..at + length);
        }
        at += length;
    }
    None
}

/// The length of one office's locked payloads in a record.
pub fn locked_bytes(agency: &Agency) -> usize {
    agency.offers().map(|(item, _)| usize::from(item.bucket) + LOCKED_OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{KeyCheck, ManifestId};

    fn header(rows: &[u32], records: u64) -> BatchHeader {
        let part = |(number, rows): (u32, &u32)| PartInfo { number, rows: *rows, bytes: 1, hash: ContentHash([0; 32]) };
        BatchHeader {
            basis: Basis {
                manifest: ManifestId([1; 32]),
                schema: ContentHash([2; 32]),
                epoch: "e".into(),
                linkage_key_check: KeyCheck([3; 8]),
            },
            agency: "bank".into(),
            created_at: Timestamp::UNIX_EPOCH,
            base: None,
            deletes: vec![],
            records,
            parts: (0..).zip(rows).map(part).collect(),
        }
    }

    #[test]
    fn a_headers_numbers_add_up() {
        assert_eq!(header(&[5, 3], 8).adds_up(5), Ok(()));
        assert_eq!(header(&[5, 3], 9).adds_up(5), Err(MalformedHeader::Sum(9)));
        assert_eq!(header(&[6], 6).adds_up(5), Err(MalformedHeader::Rows(0)));
        assert_eq!(header(&[5, 0], 5).adds_up(5), Err(MalformedHeader::Rows(1)));
        let deletes = vec![RecordId([1; 16])];
        let orphan = BatchHeader { deletes: deletes.clone(), ..header(&[5], 5) };
        assert_eq!(orphan.adds_up(5), Err(MalformedHeader::Deletes));
        assert_eq!(BatchHeader { base: Some(BatchId([1; 32])), ..orphan }.adds_up(5), Ok(()));
        let mut swapped = header(&[1, 1], 2);
        swapped.parts.swap(0, 1);
        assert_eq!(swapped.adds_up(5), Err(MalformedHeader::Numbers));
    }

    #[test]
    fn a_wrap_is_found_by_its_tokens_index() {
        let wraps = [vec![2], vec![7; WRAP_BYTES], vec![4], vec![8; WRAP_BYTES]].concat();
        assert_eq!(StoredRecord::wrap_of(&wraps, 4), Some(&[8; WRAP_BYTES][..]));
        assert_eq!(StoredRecord::wrap_of(&wraps, 3), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_not_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = BatchHeader::parse(&bytes) {
                let _ = header.adds_up(10);
            }
        }

        #[test]
        fn a_changed_byte_of_a_header_reads_or_is_refused(at in 0usize..400, value in 32u8..127) {
            let mut bytes = header(&[5, 3], 8).to_bytes();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(header) = BatchHeader::parse(&bytes) {
                let _ = header.adds_up(10);
            }
        }

        #[test]
        fn wraps_of_any_bytes_are_found_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200), index in any::<u8>()) {
            let _ = StoredRecord::wrap_of(&bytes, index);
        }
    }
}
