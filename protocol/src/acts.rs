//! What operators do to a project, two of them together, and how long each class of data is kept (SPEC 15).

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, CommissionId, KeyHash, ManifestId};
use crate::messages::Blob;

/// SPEC 15.1  What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Deed {
    /// Everything of these commissions: a household's requests, as their office names them.
    EraseCommissions { commissions: Vec<CommissionId> },
    /// Everything that an agency has submitted or answered.
    EraseAgency { agency: String },
    /// Everything of this epoch. Its log stays.
    EraseProject,
    /// The project goes on under another manifest, with another linkage key, beside this one.
    OpenEpoch { manifest: ManifestId, epoch: String },
    /// Data is kept for other terms from now on.
    SetRetention { retention: Retention },
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EraseCommissions { commissions } => write!(f, "erase {} commissions", commissions.len()),
            Self::EraseAgency { agency } => write!(f, "erase all of agency `{agency}`"),
            Self::EraseProject => f.write_str("erase this epoch"),
            Self::OpenEpoch { manifest, epoch } => write!(f, "open epoch `{epoch}`, of manifest {manifest}"),
            Self::SetRetention { retention } => retention.fmt(f),
        }
    }
}

/// SPEC 15.4  Days that each class of data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// A batch that was begun and never committed, from its beginning.
    pub open_batches: u16,
    /// The parts of a set that a later one has replaced, or that was refused, from then on.
    pub replaced_batches: u16,
    /// What was found and answered for a commission, from its end.
    pub answers: u16,
    /// Its ticket and its withdrawal, from its end.
    pub tickets: u16,
    /// Everything of this epoch, from the opening of the next one; as long as nobody erases it where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u16>,
    /// A backup, from its taking.
    pub backups: u16,
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open_batches, replaced_batches, answers, tickets, epoch, backups } = self;
        write!(f, "keep for days: open_batches {open_batches}, replaced_batches {replaced_batches}, ")?;
        write!(f, "answers {answers}, tickets {tickets}, backups {backups}, ")?;
        match epoch {
            Some(days) => write!(f, "the epoch {days} after the next one opens"),
            None => f.write_str("the epoch without a term"),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { open_batches: 7, replaced_batches: 7, answers: 7, tickets: 1096, epoch: None, backups: 35 }
    }
}

/// `GET /v1/retention`: how long data is kept, and how far what has ended is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct RetentionStatus {
    pub retention: Retention,
    /// The newest entry of the log about what ended by its term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// The last of them of which nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u64>,
}

/// What ends by its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DataClass {
    OpenBatches,
    ReplacedBatches,
    Answers,
    Tickets,
    Epoch,
}

/// SPEC 15.1  How long a proposal waits for its approval.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// SPEC 15.2  Who acted: organisation (O) and name (CN) of the certificate, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Actor {
    pub organisation: String,
    pub name: String,
    /// BLAKE3 of its SubjectPublicKeyInfo (RFC 5280 §4.1).
    pub key: KeyHash,
}

impl Actor {
    /// SPEC 15.2  Two certificates are two people's of the operator if their organisation is the same, and neither name nor key is.
    pub fn is_a_colleague_of(&self, other: &Self) -> bool {
        self.organisation == other.organisation && self.name != other.name && self.key != other.key
    }
}

/// `POST /v1/acts`: the first of two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    pub deed: Deed,
    /// For a new epoch: its manifest and the signatures, as the files are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// A manifest's file and the one with its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Terms {
    pub manifest: Blob,
    pub signatures: Blob,
}

/// `GET /v1/acts`, `GET /v1/acts/{act}`, and what the others answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct ActStatus {
    /// Its number: that of its entry in the log.
    pub act: u64,
    pub deed: Deed,
    pub state: ActState,
    pub proposed_by: Actor,
    #[cfg_attr(feature = "describe", schemars(with = "crate::describe::Moment"))]
    pub proposed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Actor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "describe", schemars(with = "Option<crate::describe::Moment>"))]
    pub done_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ActState {
    /// Another operator is to approve it.
    Proposed,
    /// It was not approved in time.
    Lapsed,
    /// It holds; files are still being removed.
    Approved,
    Done,
}

/// What an erasure took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Counts {
    pub batches: u64,
    pub commissions: u64,
    /// Matches, with what was released for them.
    pub answers: u64,
}

/// What ended by its term: some of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub class: DataClass,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<BatchId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commissions: Vec<CommissionId>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_deed_reads_as_it_is_written() {
        for (deed, json) in [
            (Deed::EraseProject, r#"{"do":"erase-project"}"#),
            (Deed::EraseAgency { agency: "bank".into() }, r#"{"do":"erase-agency","agency":"bank"}"#),
        ] {
            assert_eq!(serde_json::to_string(&deed).unwrap(), json);
            assert_eq!(serde_json::from_str::<Deed>(json).unwrap(), deed);
        }
        assert!(serde_json::from_str::<Deed>(r#"{"do":"erase-agency","agency":"bank","also":"tax"}"#).is_err());
        let retention: Retention = serde_json::from_str(r#"{"answers":3}"#).unwrap();
        assert_eq!(retention, Retention { answers: 3, ..Retention::default() });
    }

    #[test]
    fn one_person_with_two_certificates_is_one() {
        let actor =
            |name: &str, key: u8| Actor { organisation: "City".into(), name: name.into(), key: KeyHash([key; 32]) };
        let elsewhere = |name: &str, key: u8| Actor { organisation: "City Ltd".into(), ..actor(name, key) };
        assert!(actor("a", 1).is_a_colleague_of(&actor("b", 2)));
        assert!(!actor("a", 1).is_a_colleague_of(&actor("a", 2)), "a renewed certificate");
        assert!(!actor("a", 1).is_a_colleague_of(&actor("b", 1)), "one key under two names");
        assert!(!actor("a", 1).is_a_colleague_of(&elsewhere("a", 2)), "one name in two organisations");
        assert!(!actor("a", 1).is_a_colleague_of(&elsewhere("b", 2)), "somebody else's");
    }

    proptest! {
        #[test]
        fn any_text_is_a_proposal_or_none(text in ".*", days in any::<u16>()) {
            let _ = serde_json::from_str::<Proposal>(&text);
            let retention = Retention { epoch: Some(days), ..Retention::default() };
            let json = serde_json::to_string(&Deed::SetRetention { retention: retention.clone() }).unwrap();
            prop_assert_eq!(serde_json::from_str::<Deed>(&json).unwrap(), Deed::SetRetention { retention });
        }
    }
}
