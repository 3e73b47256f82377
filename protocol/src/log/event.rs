//! What an entry of the log says: who, for which commission, which agencies, which level, when; never a person.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::acts::{Actor, Counts, Deed, Ended, Retention};
use crate::ids::{BatchId, CommissionId, ContentHash, ManifestId, TreeHash};
use crate::ticket::{Asked, Granted, Ticket};

/// SPEC 14.1  One entry; its JSON is a leaf of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Entries before this one.
    pub number: u64,
    /// By the server's clock.
    pub at: Timestamp,
    /// Root of the tree of the entries before this one: each entry says what it continues.
    pub tree: TreeHash,
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry has only string keys")
    }

    /// None where the bytes are no entry of this protocol.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// SPEC 14.2  What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Event {
    /// The log begins, for one project; an epoch that another was opened from hands its terms on.
    Opened {
        manifest: ManifestId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retention: Option<Retention>,
    },
    /// An agency's records are the server's.
    BatchCommitted {
        agency: String,
        batch: BatchId,
        records: u64,
        /// The batch that it continues, if it is a delta.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<BatchId>,
    },
    /// Commissions are matched against them.
    BatchIndexed { agency: String, batch: BatchId },
    /// They break a rule; the agency's former set stays.
    BatchRefused { agency: String, batch: BatchId, reason: String },
    /// An office asks, on its ticket.
    CommissionFiled {
        office: String,
        commission: CommissionId,
        commission_no: String,
        programme: String,
        items: Vec<Asked>,
        subjects: u64,
        expires_at: Timestamp,
    },
    /// The subjects were looked for, in these sets; none where the agency had submitted nothing.
    CommissionMatched { commission: CommissionId, against: BTreeMap<String, Option<BatchId>> },
    /// An agency answered matches that it was asked about.
    Answered { agency: String, commission: CommissionId, answered: u64, declined: u64 },
    /// Answers went out: those of a range of the ticket's (subject, agency) pairs, in the ticket's order.
    Released {
        office: String,
        commission: CommissionId,
        from: u64,
        to: u64,
        agencies: BTreeMap<String, Handed>,
        /// What the payloads are of. Entries of before this was said have none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<Asked>,
    },
    /// The office took the commission back.
    Withdrawn { office: String, commission: CommissionId },
    /// Somebody asked for what is not theirs to ask.
    Refused {
        organisation: String,
        role: String,
        request: String,
        problem: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commission: Option<CommissionId>,
        /// People whom the refused request was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subjects: Option<u64>,
    },
    /// What an operator did beside a server, a backup for one; or what a server serves with since, as its operator has set it.
    Administered { act: String },
    /// An operator wants this done; another is to approve it.
    Proposed { by: Actor, deed: Deed },
    /// Another does: it holds.
    Approved { act: u64, by: Actor, deed: Deed },
    /// What an approved act erased is gone: from the database, from where the parts are, and from the indexes of all workers
    /// but those that are away, so many, who remove it when they start. The last backup that may still hold it ends at
    /// `backups_until`.
    Erased {
        act: u64,
        deed: Deed,
        counts: Counts,
        #[serde(default, skip_serializing_if = "is_zero")]
        away: u64,
        backups_until: Timestamp,
    },
    /// What has served its term is gone: rows and keys, in the transaction that says so. Files follow.
    Expired {
        #[serde(flatten)]
        ended: Ended,
        backups_until: Timestamp,
    },
    /// Of what ended by its term, with the entries `expired` up to this one, nothing is left, as with `erased`.
    Gone {
        through: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        away: u64,
        backups_until: Timestamp,
    },
    /// A backup of that moment was put back. Of what was erased since nothing was, neither its proofs.
    Restored {
        taken_at: Timestamp,
        /// Batches and commissions, by their ids.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        erased: Vec<ContentHash>,
        /// Of these, all that they had submitted and answered.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        agencies: Vec<String>,
    },
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Payloads that went out in one release, of one agency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handed {
    pub deposits: u64,
    pub answers: u64,
}

impl Event {
    /// What the log says of a commission that is filed on this ticket.
    pub fn filed(granted: &Granted) -> Self {
        let Ticket { office, commission_no, programme, items, subjects, expires_at, .. } = granted.ticket();
        Self::CommissionFiled {
            office: office.clone(),
            commission: granted.id(),
            commission_no: commission_no.clone(),
            programme: programme.clone(),
            items: items.clone(),
            subjects: subjects.len() as u64,
            expires_at: *expires_at,
        }
    }

    /// All events' names.
    pub const NAMES: [&str; 17] = [
        "opened",
        "batch-committed",
        "batch-indexed",
        "batch-refused",
        "commission-filed",
        "commission-matched",
        "answered",
        "released",
        "withdrawn",
        "refused",
        "administered",
        "proposed",
        "approved",
        "erased",
        "expired",
        "gone",
        "restored",
    ];

    /// The event's name, as its `what` says it.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::BatchCommitted { .. } => "batch-committed",
            Self::BatchIndexed { .. } => "batch-indexed",
            Self::BatchRefused { .. } => "batch-refused",
            Self::CommissionFiled { .. } => "commission-filed",
            Self::CommissionMatched { .. } => "commission-matched",
            Self::Answered { .. } => "answered",
            Self::Released { .. } => "released",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Refused { .. } => "refused",
            Self::Administered { .. } => "administered",
            Self::Proposed { .. } => "proposed",
            Self::Approved { .. } => "approved",
            Self::Erased { .. } => "erased",
            Self::Expired { .. } => "expired",
            Self::Gone { .. } => "gone",
            Self::Restored { .. } => "restored",
        }
    }

    pub fn commission(&self) -> Option<CommissionId> {
        match self {
            Self::CommissionFiled { commission, .. }
            | Self::CommissionMatched { commission, .. }
            | Self::Answered { commission, .. }
            | Self::Released { commission, .. }
            | Self::Withdrawn { commission, .. } => Some(*commission),
            Self::Refused { commission, .. } => *commission,
            _ => None,
        }
    }

    pub fn batch(&self) -> Option<BatchId> {
        match self {
            Self::BatchCommitted { batch, .. }
            | Self::BatchIndexed { batch, .. }
            | Self::BatchRefused { batch, .. } => Some(*batch),
            _ => None,
        }
    }

    /// The entry that the event is about: an act's, which a proposal is itself, or the last about what ended.
    fn entry(&self) -> Option<u64> {
        match self {
            Self::Approved { act, .. } | Self::Erased { act, .. } => Some(*act),
            Self::Gone { through, .. } => Some(*through),
            _ => None,
        }
    }

    /// What the event is about, as text: a commission, a batch, or the number of an entry.
    pub fn about(&self) -> Option<String> {
        let commission = self.commission().map(|id| id.to_string());
        let batch = || self.batch().map(|id| id.to_string());
        commission.or_else(batch).or_else(|| self.entry().map(|entry| entry.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::acts::DataClass;
    use crate::ids::KeyHash;

    fn entry(event: Event) -> Entry {
        Entry { number: 7, at: Timestamp::UNIX_EPOCH, tree: TreeHash([1; 32]), event }
    }

    #[test]
    fn an_entry_reads_as_it_is_written_and_names_itself() {
        let actor = Actor { organisation: "City".into(), name: "Li".into(), key: KeyHash([5; 32]) };
        let events = [
            Event::Opened { manifest: ManifestId([1; 32]), retention: Some(Retention::default()) },
            Event::BatchCommitted { agency: "bank".into(), batch: BatchId([2; 32]), records: 3, base: None },
            Event::Withdrawn { office: "office".into(), commission: CommissionId([3; 32]) },
            Event::Administered { act: "backup".into() },
            Event::Proposed { by: actor.clone(), deed: Deed::EraseProject },
            Event::Approved { act: 7, by: actor, deed: Deed::EraseAgency { agency: "bank".into() } },
            Event::Erased {
                act: 7,
                deed: Deed::EraseProject,
                counts: Counts::default(),
                away: 1,
                backups_until: Timestamp::UNIX_EPOCH,
            },
            Event::Expired {
                ended: Ended {
                    class: DataClass::Tickets,
                    batches: Vec::new(),
                    commissions: vec![CommissionId([4; 32])],
                },
                backups_until: Timestamp::UNIX_EPOCH,
            },
            Event::Gone { through: 9, away: 0, backups_until: Timestamp::UNIX_EPOCH },
        ];
        for event in events {
            let entry = entry(event);
            let bytes = entry.to_bytes();
            assert_eq!(Entry::parse(&bytes).unwrap(), entry);
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(json["what"], entry.event.what());
        }
    }

    #[test]
    fn every_event_is_named() {
        let why = serde_json::from_str::<Event>(r#"{"what":"?"}"#).unwrap_err().to_string();
        let known: Vec<&str> = why.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, Event::NAMES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..300, value in 32u8..127) {
            prop_assert!(Entry::parse(&bytes).is_none());
            let mut written = entry(Event::Withdrawn { office: "office".into(), commission: CommissionId([3; 32]) }).to_bytes();
            let at = at % written.len();
            written[at] = value;
            let _ = Entry::parse(&written);
        }
    }
}
