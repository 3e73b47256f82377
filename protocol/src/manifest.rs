//! The project manifest: who takes part, how records are encoded, what may be asked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::encodings::Shape;
use crate::ids::{KeyCheck, ManifestId};
use crate::schema::{Profile, Schema};
use crate::sign::{PublicKey, Purpose, SignError, Signature};

/// SPEC 3  A manifest and the id of its exact bytes.
#[derive(Clone, Debug)]
pub struct Manifest {
    id: ManifestId,
    terms: Terms,
}

/// What a manifest says. TOML; an unknown name is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Version of the protocol; 1.
    pub protocol: u32,
    pub project: String,
    /// The statutory purpose, in words an auditor reads.
    pub purpose: String,
    /// Names the linkage key's period, such as `2026-11`.
    pub epoch: String,
    pub linkage_key_check: KeyCheck,
    pub programmes: Vec<String>,
    /// The schema has the profile `clk`, and every party knows that attacks read its CLKs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dangerously_plain: bool,
    /// The key that signs the server's log (SPEC 14.4); no server runs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_key: Option<PublicKey>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(rename = "agency")]
    pub agencies: Vec<Agency>,
    #[serde(rename = "office")]
    pub offices: Vec<Office>,
    pub schema: Schema,
}

/// Bounds that every party keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rows of one agency that may share a token; beyond it the encoder leaves the token out.
    pub cohort: u32,
    /// Rows in one part.
    pub part_rows: u32,
    /// Records of one person that an answer has room for (SPEC 11.4).
    pub answer_slots: u8,
    /// Subjects in one commission.
    pub subjects: u32,
    /// Days from a ticket's issue to its expiry at most.
    pub ticket_days: u32,
    /// Hours that an agency has to answer a match; after them it is overdue.
    pub answer_hours: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cohort: 256, part_rows: 65_536, answer_slots: 4, subjects: 100_000, ticket_days: 90, answer_hours: 72 }
    }
}

/// A data holder and the check items it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agency {
    /// Short name: in tickets, reports and key derivation.
    pub name: String,
    /// The organisation (O) of its TLS certificate.
    pub organisation: String,
    pub signing_key: PublicKey,
    pub release: Release,
    #[serde(rename = "item")]
    pub items: Vec<Item>,
}

/// How an agency's payloads reach an office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// Sealed payloads lie with the server; an exact match releases them, other matches ask the agency.
    Deposit,
    /// Every match asks the agency; the server holds no payload.
    OnMatch,
}

/// One check item: what is told about a matched record, at which levels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub name: String,
    pub title: String,
    pub title_zh: String,
    pub levels: Vec<Level>,
    /// Payload columns of the agency's file, for L3.
    pub columns: Vec<String>,
    /// The column that L1 and L2 speak of.
    pub measure: Option<String>,
    /// L1: over the limit or not.
    pub limit: Option<f64>,
    /// L2: upper ends of the bands, ascending.
    #[serde(default)]
    pub bands: Vec<f64>,
    /// Payloads are padded to this many bytes.
    pub bucket: u16,
}

/// Disclosure level, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// That there is a record.
    L0,
    /// Whether the measure is over the limit.
    L1,
    /// Between which bounds the measure lies.
    L2,
    /// The columns as they stand in the agency's file.
    L3,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::L0, Self::L1, Self::L2, Self::L3]
            .into_iter()
            .find(|level| level.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no level; levels are L0, L1, L2 and L3"))
    }
}

/// A civil-affairs office: it signs tickets and opens what they release.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Office {
    pub name: String,
    /// The organisation (O) of its TLS certificate.
    pub organisation: String,
    pub signing_key: PublicKey,
    /// X25519 public key (RFC 9180, DHKEM).
    pub opening_key: PublicKey,
    /// Deposits are sealed to this office's key too.
    #[serde(default)]
    pub deposits: bool,
    /// Subjects that this office may ask about in 24 hours; as many as it likes where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects_per_day: Option<u32>,
}

/// Why bytes are no manifest of this protocol.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not UTF-8 text")]
    NotText,
    #[error("the manifest does not read: {0}")]
    Syntax(String),
    #[error("the manifest is of protocol {0}; this program speaks protocol 1")]
    Protocol(u32),
    #[error("the manifest's {what} `{name}` {wrong}")]
    Entry { what: &'static str, name: String, wrong: &'static str },
    #[error("the manifest's schema: {0}")]
    Schema(String),
    #[error(
        "the manifest's schema has the profile `clk`: plain CLKs, which attacks read (docs/THREATS.md). Take the profile \
         `cohort` or `record`; where plain CLKs are worth it, the manifest must say `dangerously_plain = true` \
         (`hedui manifest new --dangerously-plain`)"
    )]
    Plain,
    #[error("the manifest says `dangerously_plain`, but its schema has not the profile `clk`: leave the word out")]
    PlainForNothing,
    #[error("the manifest's `{0}` is out of range")]
    Limit(&'static str),
}

/// Who signed what: the detached signatures beside a manifest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    #[serde(rename = "signature", default)]
    pub signatures: Vec<PartySignature>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartySignature {
    pub party: String,
    pub signature: Signature,
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        let terms: Terms = toml::from_str(text).map_err(|e| ManifestError::Syntax(e.to_string()))?;
        terms.validate()?;
        Ok(Self { id: ManifestId(*blake3::hash(bytes).as_bytes()), terms })
    }

    pub fn id(&self) -> ManifestId {
        self.id
    }

    pub fn agency(&self, name: &str) -> Option<&Agency> {
        self.agencies.iter().find(|agency| agency.name == name)
    }

    /// Whether an agency or an office is of this organisation.
    pub fn has_party(&self, organisation: &str) -> bool {
        let agencies = self.agencies.iter().map(|agency| &agency.organisation);
        agencies.chain(self.offices.iter().map(|office| &office.organisation)).any(|one| one == organisation)
    }

    pub fn office(&self, name: &str) -> Option<&Office> {
        self.offices.iter().find(|office| office.name == name)
    }

    /// Verifies a party's signature over the manifest's exact bytes.
    pub fn verify(&self, bytes: &[u8], signature: &PartySignature) -> Result<(), SignError> {
        let key = self.signing_key(&signature.party).ok_or(SignError::BadSignature)?;
        key.verify(Purpose::Manifest, bytes, &signature.signature)
    }

    fn signing_key(&self, party: &str) -> Option<PublicKey> {
        let agency = self.agency(party).map(|agency| agency.signing_key);
        agency.or_else(|| self.office(party).map(|office| office.signing_key))
    }
}

impl std::ops::Deref for Manifest {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Terms {
    /// Checks what the types cannot say: names, references and ranges.
    pub fn validate(&self) -> Result<(), ManifestError> {
        if self.protocol != 1 {
            return Err(ManifestError::Protocol(self.protocol));
        }
        match (self.schema.profile, self.dangerously_plain) {
            (Profile::Clk, false) => return Err(ManifestError::Plain),
            (Profile::Cohort | Profile::Record, true) => return Err(ManifestError::PlainForNothing),
            _ => {}
        }
        self.schema.validate().map_err(|e| ManifestError::Schema(e.to_string()))?;
        self.limits.validate()?;
        let parties = self.agencies.iter().map(|agency| (&agency.name, &agency.organisation));
        let parties = parties.chain(self.offices.iter().map(|office| (&office.name, &office.organisation)));
        unique("party", parties.clone().map(|(name, _)| name))?;
        unique("organisation", parties.map(|(_, organisation)| organisation))?;
        self.agencies.iter().try_for_each(Agency::validate)
    }

    /// The layout of encodings under this manifest's schema.
    pub fn shape(&self) -> Shape {
        Shape {
            passes: u8::try_from(self.schema.passes.len()).expect("validated: at most 255 passes"),
            filter_bytes: self.schema.filters.iter().map(|filter| usize::from(filter.bits) / 8).collect(),
        }
    }

    /// BLAKE3 of the schema alone: names what differs when two manifests differ.
    pub fn schema_hash(&self) -> crate::ids::ContentHash {
        let text = toml::to_string(&self.schema).expect("a schema that was read can be written");
        crate::ids::ContentHash::of(text.as_bytes())
    }

    /// The offices that deposits are sealed to, in the manifest's order.
    pub fn deposit_offices(&self) -> impl Iterator<Item = &Office> {
        self.offices.iter().filter(|office| office.deposits)
    }
}

impl Limits {
    fn validate(&self) -> Result<(), ManifestError> {
        let ranges = [
            ("limits.cohort", u64::from(self.cohort), 1..=256),
            ("limits.part_rows", u64::from(self.part_rows), 1..=1_000_000),
            ("limits.answer_slots", u64::from(self.answer_slots), 1..=32),
            ("limits.subjects", u64::from(self.subjects), 1..=1_000_000),
            ("limits.ticket_days", u64::from(self.ticket_days), 1..=366),
            ("limits.answer_hours", u64::from(self.answer_hours), 1..=8784),
        ];
        ranges.into_iter().try_for_each(
            |(name, value, range)| {
                if range.contains(&value) { Ok(()) } else { Err(ManifestError::Limit(name)) }
            },
        )
    }
}

impl Agency {
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// Every (item, level) that this agency seals, in the manifest's order.
    pub fn offers(&self) -> impl Iterator<Item = (&Item, Level)> {
        self.items.iter().flat_map(|item| item.levels.iter().map(move |level| (item, *level)))
    }

    fn validate(&self) -> Result<(), ManifestError> {
        unique("item", self.items.iter().map(|item| &item.name))?;
        let wrong = |item: &Item, wrong| {
            Err(ManifestError::Entry { what: "item", name: format!("{}.{}", self.name, item.name), wrong })
        };
        for item in &self.items {
            if !item.levels.is_sorted_by(|one, next| one < next) || item.levels.is_empty() {
                return wrong(item, "names its levels twice, out of order or not at all");
            }
            let measured = item.levels.contains(&Level::L1) || item.levels.contains(&Level::L2);
            if measured && item.measure.is_none() {
                return wrong(item, "offers L1 or L2 without a `measure` column");
            }
            if item.levels.contains(&Level::L1) && item.limit.is_none() {
                return wrong(item, "offers L1 without a `limit`");
            }
            if item.levels.contains(&Level::L2) && item.bands.is_empty() {
                return wrong(item, "offers L2 without `bands`");
            }
            if item.bucket < 32 {
                return wrong(item, "has a bucket below 32 bytes");
            }
        }
        Ok(())
    }
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let entry = |wrong| Err(ManifestError::Entry { what, name: name.clone(), wrong });
        if name.is_empty() {
            return entry("is empty");
        }
        if !seen.insert(name) {
            return entry("stands there twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_manifest_or_not_one(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            prop_assert!(Manifest::parse(&bytes).is_err());
            prop_assert!(Manifest::parse(text.as_bytes()).is_err());
            let _ = toml::from_str::<Signatures>(&text);
        }
    }

    #[test]
    fn levels_read_as_they_are_written() {
        for level in [Level::L0, Level::L1, Level::L2, Level::L3] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("L4".parse::<Level>().is_err());
    }
}
