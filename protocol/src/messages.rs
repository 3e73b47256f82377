//! The bodies of requests and answers (SPEC 11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::basis::Basis;
use crate::decision::Band;
use crate::ids::{BatchId, CommissionId, ManifestId, RecordId, SubjectId};
use crate::sign::Signed;
use crate::slot::Sealed;

/// Opaque bytes, base64 in JSON; they do not print themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Blob(
    #[serde(with = "base64_bytes")]
    #[cfg_attr(feature = "describe", schemars(with = "crate::describe::Base64"))]
    pub Vec<u8>,
);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

/// SPEC 11.1  Of a request: the id of the manifest that it is made under. Without it, the one that the server was started with.
pub const MANIFEST_HEADER: &str = "hedui-manifest";

/// `GET /v1/project`: which manifest the server runs, and who has signed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Project {
    pub manifest: ManifestId,
    pub project: String,
    pub epoch: String,
    pub signed_by: Vec<String>,
}

/// `POST /v1/batches`, `GET /v1/batches/{batch}`, `POST …/commit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct BatchStatus {
    pub batch: BatchId,
    pub state: BatchState,
    /// Parts that have not arrived.
    pub missing: Vec<u32>,
    /// Why the batch was refused; or, of one that is committed, why it is not indexed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// Parts may be put.
    Open,
    /// The batch is the agency's set of this epoch; its index is being built.
    Committed,
    /// Commissions are matched against it.
    Indexed,
    /// A delta continues it: it is a part of the set that commissions are matched against.
    Extended,
    /// A later batch took its place.
    Replaced,
    /// The index found what no part alone shows, such as an oversize cohort; the agency's former set stays.
    Refused,
}

/// `POST /v1/commissions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommissionRequest {
    /// What the encodings were made under.
    pub basis: Basis,
    pub ticket: Signed,
    /// Those of all subjects; none where they follow in parts.
    pub encodings: Vec<SubjectEncodings>,
}

/// SPEC 11.5  Subjects whose encodings make one part: part n holds those of n · 1,000 and the following, in the ticket's
/// order.
pub const PART_SUBJECTS: usize = 1_000;

/// One subject's encodings for one agency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectEncodings {
    pub subject: SubjectId,
    pub agency: String,
    pub encodings: Blob,
}

/// `GET /v1/commissions/{commission}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct CommissionStatus {
    pub commission: CommissionId,
    pub state: CommissionState,
    /// Parts of encodings that have not arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u32>,
    /// Grows whenever there is something new to fetch.
    #[serde(default)]
    pub version: u64,
    pub agencies: Vec<AgencyStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CommissionState {
    /// Encodings are still to come, in parts.
    Open,
    Queued,
    Matched,
    Withdrawn,
    /// Nothing is left of it; its ticket is not taken again.
    Erased,
}

/// What one agency has said so far, in numbers of subjects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct AgencyStatus {
    pub agency: String,
    /// Whether the agency has a committed set to match against.
    pub present: bool,
    pub subjects: u64,
    pub answered: u64,
    pub declined: u64,
    pub pending: u64,
    /// Of the pending ones: the agency has had longer than the manifest gives it.
    #[serde(default)]
    pub overdue: u64,
    pub possible: u64,
    pub no_record: u64,
}

/// `GET /v1/commissions/{commission}/answers?from=N`: a page of subjects, in the ticket's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct AnswerPage {
    pub commission: CommissionId,
    pub answers: Vec<SubjectAnswer>,
    /// Where the next page starts; none after the last.
    pub next: Option<u64>,
}

/// The slots of one subject at one agency, one after another (SPEC 11.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct SubjectAnswer {
    pub subject: SubjectId,
    pub agency: String,
    pub slots: Blob,
}

/// `GET /v1/notices`: matches that the calling agency is asked to answer, commission by commission.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Notices {
    pub notices: Vec<Notice>,
    /// More are waiting; ask again after answering these.
    pub more: bool,
}

/// One commission's matches, with the proof of authorisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Notice {
    pub ticket: Signed,
    pub matches: Vec<NoticedMatch>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct NoticedMatch {
    pub subject: SubjectId,
    pub record: RecordId,
    pub band: Band,
}

/// `POST /v1/answers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answers {
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub commission: CommissionId,
    pub subject: SubjectId,
    pub record: RecordId,
    /// None: the agency declines for this record.
    pub sealed: Option<Sealed>,
}

/// `POST /v1/answers`: how many were stored; those sent before count again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Stored {
    pub stored: u64,
}

/// `GET /v1/log?from=N`: entries of the log, and what proves that parties wanted what they say (SPEC 14.6).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct LogPage {
    /// Exact bytes, each JSON, in order; none when there are no more.
    pub entries: Vec<String>,
    /// Of the commissions that these entries file or take back.
    pub commissions: Vec<CommissionProof>,
    /// Headers of the batches that these entries commit, each signed by its agency.
    pub batches: Vec<Signed>,
    /// The newest signed note; none where nothing was signed yet.
    pub checkpoint: Option<String>,
}

/// What an office signed of a commission.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct CommissionProof {
    pub ticket: Signed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Signed>,
}

/// `Vec<u8>` as base64 text.
pub mod base64_bytes {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        BASE64.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64"))
    }
}

/// `[u8; N]` as base64 text.
pub mod base64_array {
    use super::*;

    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
        base64_bytes::serialize(bytes, to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
        let bytes = base64_bytes::deserialize(from)?;
        bytes.try_into().map_err(|_| D::Error::custom("wrong number of bytes"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_not_one(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".*") {
            let _ = serde_json::from_slice::<CommissionRequest>(&bytes);
            let _ = serde_json::from_slice::<Answers>(&bytes);
            let _ = serde_json::from_str::<AnswerPage>(&text);
            let _ = serde_json::from_str::<Notices>(&text);
            let blob = serde_json::to_string(&Blob(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Blob>(&blob).unwrap().0, bytes);
        }
    }
}
