//! What encodings were made under: two parties whose bases differ must hear what differs, never "0 matches".

use serde::{Deserialize, Serialize};

use crate::ids::{ContentHash, KeyCheck, ManifestId};
use crate::manifest::Manifest;

/// SPEC 3.4  Stands in every batch header and every commission request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Basis {
    pub manifest: ManifestId,
    pub schema: ContentHash,
    pub epoch: String,
    pub linkage_key_check: KeyCheck,
}

/// Why encodings are not this project's. Each text names what differs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "the linkage key differs: the encodings were made with key {got}, the server's manifest names key {expected}"
    )]
    LinkageKey { got: KeyCheck, expected: KeyCheck },
    #[error("the epoch differs: the encodings are of epoch `{got}`, the server's manifest is of `{expected}`")]
    Epoch { got: String, expected: String },
    #[error("the schema differs: the encodings were made with schema {got}, the server's manifest has {expected}")]
    Schema { got: ContentHash, expected: ContentHash },
    #[error("the manifest differs: the encodings were made under {got}, the server runs {expected}")]
    Manifest { got: ManifestId, expected: ManifestId },
}

impl Basis {
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            manifest: manifest.id(),
            schema: manifest.schema_hash(),
            epoch: manifest.epoch.clone(),
            linkage_key_check: manifest.linkage_key_check,
        }
    }

    /// Says what differs from the server's own basis, the most telling difference first.
    pub fn agrees_with(&self, server: &Self) -> Result<(), Mismatch> {
        if self.linkage_key_check != server.linkage_key_check {
            return Err(Mismatch::LinkageKey { got: self.linkage_key_check, expected: server.linkage_key_check });
        }
        if self.epoch != server.epoch {
            return Err(Mismatch::Epoch { got: self.epoch.clone(), expected: server.epoch.clone() });
        }
        if self.schema != server.schema {
            return Err(Mismatch::Schema { got: self.schema, expected: server.schema });
        }
        if self.manifest != server.manifest {
            return Err(Mismatch::Manifest { got: self.manifest, expected: server.manifest });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_difference_is_named_first() {
        let server = Basis {
            manifest: ManifestId([1; 32]),
            schema: ContentHash([2; 32]),
            epoch: "2026-11".into(),
            linkage_key_check: KeyCheck([3; 8]),
        };
        let mut other = server.clone();
        let mut says = |change: &dyn Fn(&mut Basis), words: &str| {
            change(&mut other);
            assert!(other.agrees_with(&server).unwrap_err().to_string().starts_with(words), "{words}");
        };
        says(&|basis| basis.manifest = ManifestId([9; 32]), "the manifest differs");
        says(&|basis| basis.schema = ContentHash([9; 32]), "the schema differs");
        says(&|basis| basis.epoch = "2026-12".into(), "the epoch differs");
        says(&|basis| basis.linkage_key_check = KeyCheck([9; 8]), "the linkage key differs");
        assert_eq!(server.agrees_with(&server), Ok(()));
    }
}
