//! Identifiers: opaque bytes, written as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is not an identifier of this length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} id: expected {expected} hexadecimal digits, got {got} characters")]
pub struct MalformedId {
    what: &'static str,
    expected: usize,
    got: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub [u8; $bytes]);

        #[cfg(feature = "describe")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let pattern = format!("^[0-9a-f]{{{}}}$", 2 * $bytes);
                schemars::json_schema!({ "type": "string", "pattern": pattern, "description": concat!("A ", $what, " in hexadecimal.") })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let mut bytes = [0; $bytes];
                unhex(text, &mut bytes).map(|()| Self(bytes)).ok_or(MalformedId {
                    what: $what,
                    expected: 2 * $bytes,
                    got: text.chars().count(),
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;
            fn try_from(text: String) -> Result<Self, MalformedId> { text.parse() }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String { id.to_string() }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = MalformedId;
            fn try_from(bytes: &[u8]) -> Result<Self, MalformedId> {
                bytes.try_into().map(Self).map_err(|_| MalformedId {
                    what: $what,
                    expected: 2 * $bytes,
                    got: 2 * bytes.len(),
                })
            }
        }
    };
}

fn unhex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

id!(
    /// SPEC 3.1  BLAKE3 of the manifest's exact bytes.
    ManifestId, 32, "manifest"
);
id!(
    /// BLAKE3 of any bytes that are sent and must arrive: parts, evidence, encodings.
    ContentHash, 32, "content"
);
id!(
    /// SPEC 10.1  BLAKE3 of a batch header's exact bytes.
    BatchId, 32, "batch"
);
id!(
    /// SPEC 9.1  BLAKE3 of a ticket's exact bytes.
    CommissionId, 32, "commission"
);
id!(
    /// One record of one agency: opaque to the server, derived by the agency (SPEC 10.3).
    RecordId, 16, "record"
);
id!(
    /// One person of a commission: random, meaningless outside the office.
    SubjectId, 16, "subject"
);
id!(
    /// SPEC 14.3  SHA-256 over the log's tree or a part of it (RFC 6962 §2.1).
    TreeHash, 32, "tree hash"
);
id!(
    /// SPEC 15.2  BLAKE3 of the public key of an operator's certificate.
    KeyHash, 32, "key hash"
);
id!(
    /// A check value of the linkage key: says whether two parties hold the same one (SPEC 2.2).
    KeyCheck, 8, "key check"
);

impl ContentHash {
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        let id = RecordId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_id_and_any_text_is_one_or_refused(bytes in proptest::prelude::any::<[u8; 16]>(), text in ".{0,40}") {
            let id = RecordId(bytes);
            proptest::prop_assert_eq!(id.to_string().parse(), Ok(id));
            if let Ok(read) = text.parse::<RecordId>() {
                proptest::prop_assert_eq!(read.to_string(), text);
            }
        }
    }

    #[test]
    fn upper_case_short_and_foreign_digits_are_refused() {
        for text in ["AB", "ab", "", &"g".repeat(32), &"Ａ".repeat(32), &"AB".repeat(16)] {
            assert!(text.parse::<RecordId>().is_err(), "{text}");
        }
    }
}
