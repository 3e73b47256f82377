//! Refusals as RFC 9457 problem documents, with stable type URIs (SPEC 12).

use serde::{Deserialize, Serialize};

/// Media type of a problem document (RFC 9457 §3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal or failure as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    pub title: String,
    pub status: u16,
    /// One sentence for the caller: what was refused, and why.
    pub detail: String,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, title: kind.title().into(), status: kind.status(), detail: detail.into() }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $uri:literal, $status:literal, $title:literal;)*) => {
        /// The stable type URIs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
        pub enum ProblemKind { $($(#[$doc])* #[serde(rename = $uri)] $name,)* }

        impl ProblemKind {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn uri(self) -> &'static str { match self { $(Self::$name => $uri,)* } }
            pub fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
            fn title(self) -> &'static str { match self { $(Self::$name => $title,)* } }
        }
    };
}

kinds! {
    /// No client certificate, or one whose organisation the manifest does not name.
    UnknownParty = "urn:hedui:problem:unknown-party", 403, "The caller is no party of this project";
    /// The caller may not do this, or not as the party it claims to be.
    Forbidden = "urn:hedui:problem:forbidden", 403, "This party may not do this";
    /// The party has not signed the manifest that the server runs.
    ManifestNotSigned = "urn:hedui:problem:manifest-not-signed", 403, "The party has not accepted the manifest";
    /// Manifest, schema, epoch or linkage key differ between caller and server.
    ManifestMismatch = "urn:hedui:problem:manifest-mismatch", 409, "The encodings belong to another project";
    /// The body or the query does not read as what the route takes.
    Malformed = "urn:hedui:problem:malformed", 400, "The request does not read";
    /// A signature does not verify.
    BadSignature = "urn:hedui:problem:bad-signature", 403, "The signature does not verify";
    /// A part's bytes are not those that the batch header names.
    PartMismatch = "urn:hedui:problem:part-mismatch", 422, "The part is not the one announced";
    /// The batch cannot be committed yet.
    PartsMissing = "urn:hedui:problem:parts-missing", 409, "Parts of the batch are missing";
    /// A delta continues another batch than the agency's newest, or has too many before it: the set is submitted whole.
    BaseMismatch = "urn:hedui:problem:base-mismatch", 409, "The delta does not continue the agency's set";
    /// What was asked for is not there, or not the caller's.
    NotFound = "urn:hedui:problem:not-found", 404, "There is no such thing for this caller";
    /// There is such a route, and it is asked with another method.
    MethodNotAllowed = "urn:hedui:problem:method-not-allowed", 405, "The route is not asked so";
    /// The ticket gives no right to what was asked.
    TicketRefused = "urn:hedui:problem:ticket-refused", 403, "The ticket does not allow this";
    /// A subject's encodings are not those that the ticket binds.
    EncodingsMismatch = "urn:hedui:problem:encodings-mismatch", 422, "The encodings are not those of the ticket";
    /// The office has asked about as many people as the manifest allows in a day.
    QuotaExceeded = "urn:hedui:problem:quota-exceeded", 403, "The office's quota is used up";
    /// The organisation sends more requests than the server takes; it waits and goes on.
    TooManyRequests = "urn:hedui:problem:too-many-requests", 429, "Too many requests";
    /// What was asked for will be there later: a commission that is not matched yet.
    NotYet = "urn:hedui:problem:not-yet", 409, "It is not there yet";
    /// What was asked for was erased, or its project was.
    Erased = "urn:hedui:problem:erased", 410, "It was erased";
    /// The body is larger than the server takes.
    TooLarge = "urn:hedui:problem:too-large", 413, "The request is too large";
    /// The server's disk is full; nothing was stored.
    StorageFull = "urn:hedui:problem:storage-full", 507, "The server has no room";
    /// The server failed; the same request may be sent again.
    Internal = "urn:hedui:problem:internal", 500, "The server failed";
}

impl ProblemKind {
    /// SPEC 14.2  Whether somebody asked for what is not theirs, or for what there is not, rather than too early or of a server in
    /// trouble: then the log has an entry of it.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::NotYet | Self::PartsMissing | Self::Internal | Self::StorageFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457_asks() {
        let problem = Problem::new(ProblemKind::PartsMissing, "part 3 of 4 is missing");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:hedui:problem:parts-missing");
        assert_eq!(json["status"], 409);
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn every_uri_is_its_own() {
        let uris: std::collections::BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(uris.len(), ProblemKind::ALL.len());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_problem_or_none(text in ".*", at in 0usize..150, value in 32u8..127) {
            let _ = serde_json::from_str::<Problem>(&text);
            let mut json = serde_json::to_vec(&Problem::new(ProblemKind::NotFound, "nothing")).unwrap();
            let at = at % json.len();
            json[at] = value;
            let _ = serde_json::from_slice::<Problem>(&json);
        }
    }
}
