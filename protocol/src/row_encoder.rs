//! From a row's cells to its encodings for one agency, in whichever profile the schema has.

use crate::clk::RowRefused;
use crate::clk::profile::PlainEncoder;
use crate::encoder::{Encoded, Encoder};
use crate::encodings::Encodings;
use crate::ids::ManifestId;
use crate::keys::LinkageKey;
use crate::schema::{Profile, Schema};

/// Encodes rows for one agency under one manifest. Holds secrets; shared by threads.
pub enum RowEncoder {
    Keyed(Box<Encoder>),
    /// Plain CLKs.
    Plain(PlainEncoder),
}

impl RowEncoder {
    /// `schema` has been validated.
    pub fn new(key: &LinkageKey, manifest: ManifestId, schema: &Schema, agency: &str) -> Self {
        match schema.profile {
            Profile::Cohort | Profile::Record => Self::Keyed(Box::new(Encoder::new(key, manifest, schema, agency))),
            Profile::Clk => {
                let secret = key.for_project(manifest).clk_secret(agency);
                Self::Plain(PlainEncoder::new(schema, secret.as_bytes()))
            }
        }
    }

    /// One cell a field, in the schema's order. Only the profile `clk` refuses rows.
    pub fn encode(&self, cells: &[&str]) -> Result<Encoded, RowRefused> {
        match self {
            Self::Keyed(encoder) => Ok(encoder.encode(&encoder.normalise(cells))),
            Self::Plain(encoder) => {
                let encodings = Encodings { tokens: Vec::new(), filters: vec![(0, encoder.encode(cells)?)] };
                Ok(Encoded { encodings, wrap_keys: Vec::new(), rounded: false })
            }
        }
    }

    /// Whether `encode` would refuse the row.
    pub fn check(&self, cells: &[&str]) -> Result<(), RowRefused> {
        match self {
            Self::Keyed(_) => Ok(()),
            Self::Plain(encoder) => encoder.encode(cells).map(drop),
        }
    }
}
