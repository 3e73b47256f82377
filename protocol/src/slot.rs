//! An answer about one subject at one agency: a fixed number of slots of a fixed size.
//!
//! A hit, a miss and an answer that is still due have the same length (SPEC 11.4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::Bound;
use crate::decision::Band;
use crate::ids::{CommissionId, RecordId, SubjectId};
use crate::manifest::Agency;
use crate::part::{Encapsulation, LOCKED_OVERHEAD, Salt, WRAP_BYTES};
use crate::sign::Signature;
use crate::ticket::Granted;

/// States of a slot that carries a payload.
const DEPOSIT: u8 = 4;
const ANSWER: u8 = 5;

const HEADER: usize = 4 + 16 + 16 + 32 + 64;

/// What an agency has said about one record.
#[derive(Clone, PartialEq, Eq)]
pub enum Slot {
    /// No record, or no further one.
    Empty,
    /// A match that is not sure enough to be released or asked about.
    Possible,
    /// The agency has been asked and has not answered yet.
    Pending { band: Band },
    /// The agency answered that it will not, or can no longer, answer for this record.
    Declined { band: Band },
    /// Released from deposit: opens with the wrap key of the pass.
    Deposit {
        band: Band,
        pass: u8,
        record: RecordId,
        salt: Salt,
        encapsulation: Encapsulation,
        wrap: [u8; WRAP_BYTES],
        locked: Vec<Vec<u8>>,
    },
    /// Sealed to the office after the match, signed by the agency.
    Answer { band: Band, answer: Sealed },
    /// The agency had no committed set to match against.
    Absent,
    /// There are more matches than the answer has room for.
    More,
}

/// What an agency sends for one record on match.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    pub record: RecordId,
    #[serde(with = "crate::messages::base64_array")]
    #[cfg_attr(feature = "describe", schemars(with = "crate::describe::Base64"))]
    pub encapsulation: Encapsulation,
    /// One ciphertext for each item that the ticket asks of the agency, in the ticket's order.
    pub items: Vec<crate::messages::Blob>,
    pub signature: Signature,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Possible => "Possible",
            Self::Pending { .. } => "Pending",
            Self::Declined { .. } => "Declined",
            Self::Deposit { .. } => "Deposit(..)",
            Self::Answer { .. } => "Answer(..)",
            Self::Absent => "Absent",
            Self::More => "More",
        })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, ..)", self.record)
    }
}

impl Sealed {
    // SPEC 8.7  what the agency signs: commission, subject, record, encapsulation, every ciphertext
    pub fn signed_bytes(
        commission: CommissionId,
        subject: SubjectId,
        record: RecordId,
        encapsulation: &Encapsulation,
        items: &[crate::messages::Blob],
    ) -> Vec<u8> {
        let bound = Bound::new("hedui v1 answer").and(&commission.0).and(&subject.0).and(&record.0).and(encapsulation);
        items.iter().fold(bound, |bound, item| bound.and(&item.0)).as_slice().to_vec()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slot of the answer does not read")]
pub struct MalformedSlot;

/// Whether a slot carries a payload, and how it came: true from deposit, false by the agency's answer.
pub fn carries(slot: &[u8]) -> Option<bool> {
    match slot.first() {
        Some(&DEPOSIT) => Some(true),
        Some(&ANSWER) => Some(false),
        _ => None,
    }
}

/// How long the items of a slot are: what one agency is asked under one ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotShape {
    items: Vec<usize>,
}

impl SlotShape {
    pub fn of(ticket: &Granted, agency: &Agency) -> Self {
        let bucket = |name: &str| agency.item(name).map_or(0, |item| usize::from(item.bucket));
        Self { items: ticket.asked(&agency.name).map(|asked| bucket(&asked.item) + LOCKED_OVERHEAD).collect() }
    }

    pub fn bytes(&self) -> usize {
        HEADER + self.items.iter().sum::<usize>()
    }

    // SPEC 11.4  state, band, pass, 0; record; salt; encapsulation; proof; items, each zero-padded to its length
    pub fn write(&self, slot: &Slot) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes()];
        let (state, band) = match slot {
            Slot::Empty => (0, 0),
            Slot::Possible => (1, band_byte(Band::Possible)),
            Slot::Pending { band } => (2, band_byte(*band)),
            Slot::Declined { band } => (3, band_byte(*band)),
            Slot::Deposit { band, .. } => (DEPOSIT, band_byte(*band)),
            Slot::Answer { band, .. } => (ANSWER, band_byte(*band)),
            Slot::Absent => (6, 0),
            Slot::More => (7, 0),
        };
        bytes[0] = state;
        bytes[1] = band;
        match slot {
            Slot::Deposit { pass, record, salt, encapsulation, wrap, locked, .. } => {
                bytes[2] = *pass;
                bytes[4..20].copy_from_slice(&record.0);
                bytes[20..36].copy_from_slice(salt);
                bytes[36..68].copy_from_slice(encapsulation);
                bytes[68..68 + WRAP_BYTES].copy_from_slice(wrap);
                self.write_items(&mut bytes, locked.iter().map(Vec::as_slice));
            }
            Slot::Answer { answer, .. } => {
                bytes[4..20].copy_from_slice(&answer.record.0);
                bytes[36..68].copy_from_slice(&answer.encapsulation);
                bytes[68..132].copy_from_slice(&answer.signature.0);
                self.write_items(&mut bytes, answer.items.iter().map(|item| item.0.as_slice()));
            }
            _ => {}
        }
        bytes
    }

    fn write_items<'i>(&self, bytes: &mut [u8], items: impl Iterator<Item = &'i [u8]>) {
        let mut at = HEADER;
        for (item, length) in items.zip(&self.items) {
            bytes[at..at + item.len()].copy_from_slice(item);
            at += length;
        }
    }

    pub fn read(&self, bytes: &[u8]) -> Result<Slot, MalformedSlot> {
        if bytes.len() != self.bytes() {
            return Err(MalformedSlot);
        }
        let record = RecordId(array(&bytes[4..20]));
        let encapsulation = array(&bytes[36..68]);
        match bytes[0] {
            0 => Ok(Slot::Empty),
            1 => Ok(Slot::Possible),
            2 => Ok(Slot::Pending { band: band_of(bytes[1])? }),
            3 => Ok(Slot::Declined { band: band_of(bytes[1])? }),
            4 => Ok(Slot::Deposit {
                band: band_of(bytes[1])?,
                pass: bytes[2],
                record,
                salt: array(&bytes[20..36]),
                encapsulation,
                wrap: array(&bytes[68..68 + WRAP_BYTES]),
                locked: self.read_items(bytes, 0),
            }),
            5 => {
                let items = self.read_items(bytes, LOCKED_OVERHEAD / 2);
                let items = items.into_iter().map(crate::messages::Blob).collect();
                let signature = Signature(array(&bytes[68..132]));
                let answer = Sealed { record, encapsulation, items, signature };
                Ok(Slot::Answer { band: band_of(bytes[1])?, answer })
            }
            6 => Ok(Slot::Absent),
            7 => Ok(Slot::More),
            _ => Err(MalformedSlot),
        }
    }

    /// The items without the `padding` bytes that a sealed, unlocked payload is shorter by.
    fn read_items(&self, bytes: &[u8], padding: usize) -> Vec<Vec<u8>> {
        let mut at = HEADER;
        let cut = |length: &usize| {
            let item = bytes[at..at + length - padding].to_vec();
            at += length;
            item
        };
        self.items.iter().map(cut).collect()
    }

    /// The lengths that an agency's ciphertexts must have.
    pub fn sealed_lengths(&self) -> impl Iterator<Item = usize> {
        self.items.iter().map(|length| length - LOCKED_OVERHEAD / 2)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cuts exactly N bytes")
}

fn band_byte(band: Band) -> u8 {
    match band {
        Band::Exact => 1,
        Band::Repaired => 2,
        Band::Probable => 3,
        Band::Possible => 4,
    }
}

fn band_of(byte: u8) -> Result<Band, MalformedSlot> {
    [Band::Exact, Band::Repaired, Band::Probable, Band::Possible]
        .into_iter()
        .find(|band| band_byte(*band) == byte)
        .ok_or(MalformedSlot)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape() -> SlotShape {
        SlotShape { items: vec![64 + 32, 32 + 32] }
    }

    fn slots() -> Vec<Slot> {
        let answer = Sealed {
            record: RecordId([1; 16]),
            encapsulation: [2; 32],
            items: vec![crate::messages::Blob(vec![3; 80]), crate::messages::Blob(vec![4; 48])],
            signature: Signature([5; 64]),
        };
        let deposit = Slot::Deposit {
            band: Band::Repaired,
            pass: 1,
            record: RecordId([6; 16]),
            salt: [7; 16],
            encapsulation: [8; 32],
            wrap: [9; 48],
            locked: vec![vec![10; 96], vec![11; 64]],
        };
        let band = Band::Probable;
        vec![
            Slot::Empty,
            Slot::Possible,
            Slot::Pending { band },
            Slot::Declined { band },
            deposit,
            Slot::Answer { band, answer },
            Slot::Absent,
            Slot::More,
        ]
    }

    #[test]
    fn every_slot_reads_back_and_has_the_same_length() {
        for slot in slots() {
            let bytes = shape().write(&slot);
            assert_eq!(bytes.len(), shape().bytes());
            assert_eq!(shape().read(&bytes).as_ref(), Ok(&slot));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 292)) {
            let _ = shape().read(&bytes);
            prop_assert!(shape().read(&bytes[1..]).is_err());
        }
    }
}
