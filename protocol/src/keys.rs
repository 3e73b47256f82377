//! The linkage key and everything that is derived from it (SPEC 2).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::bytes::Bound;
use crate::encodings::Token;
use crate::ids::{ContentHash, KeyCheck, ManifestId, RecordId};
use crate::secret::{WeakKey, checked};

/// The secret that agencies and offices share and the linkage server never sees.
///
/// Not `Clone`, not `Serialize`: a copy of the key is a decision, not a derive.
pub struct LinkageKey(Zeroizing<[u8; 32]>);

impl LinkageKey {
    pub fn new(bytes: &[u8]) -> Result<Self, WeakKey> {
        Ok(Self(checked(bytes)?))
    }

    // SPEC 2.2  check = derive_key("hedui v1 linkage key check", key), first 8 bytes
    pub fn check(&self) -> KeyCheck {
        let full = blake3::derive_key("hedui v1 linkage key check", self.0.as_slice());
        KeyCheck(full[..8].try_into().expect("a hash has 32 bytes"))
    }

    // SPEC 2.3  project key = derive_key("hedui v1 project", key ‖ manifest id)
    pub fn for_project(&self, manifest: ManifestId) -> ProjectKey {
        let mut hasher = blake3::Hasher::new_derive_key("hedui v1 project");
        hasher.update(self.0.as_slice()).update(&manifest.0);
        ProjectKey(*hasher.finalize().as_bytes())
    }
}

/// The linkage key, bound to one manifest.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ProjectKey([u8; 32]);

impl ProjectKey {
    // SPEC 2.4  secret_p = keyed_hash(project key, x_p)
    pub fn secret(&self, pass_value: &[u8]) -> PassSecret {
        PassSecret(*blake3::keyed_hash(&self.0, pass_value).as_bytes())
    }

    // SPEC 6.3  map key of a filter: the diffusion map is one a filter, agency and manifest
    pub fn filter_map(&self, filter: &str, agency: &str) -> blake3::OutputReader {
        let context = Bound::new("hedui v1 diffusion map").and(filter.as_bytes()).and(agency.as_bytes());
        blake3::Hasher::new_keyed(&self.0).update(context.as_slice()).finalize_xof()
    }

    // SPEC 13.9  clkhash's secret = hex(keyed_hash(project key, B("hedui v1 clk secret", agency)))
    pub fn clk_secret(&self, agency: &str) -> ClkSecret {
        let bound = Bound::new("hedui v1 clk secret").and(agency.as_bytes());
        ClkSecret(Zeroizing::new(blake3::keyed_hash(&self.0, bound.as_slice()).to_hex().to_string()))
    }

    // SPEC 6.1  without a cohort the filter's secret is the project's
    pub fn record_secret(&self, filter: &str) -> PassSecret {
        self.secret(Bound::new("hedui v1 record filter").and(filter.as_bytes()).as_slice())
    }
}

/// What one value of one pass yields; it leaves as a token, a filter key or a wrap key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PassSecret([u8; 32]);

impl PassSecret {
    fn derive(&self, label: &str, context: &[&str]) -> [u8; 32] {
        let bound = context.iter().fold(Bound::new(label), |bound, part| bound.and(part.as_bytes()));
        *blake3::keyed_hash(&self.0, bound.as_slice()).as_bytes()
    }

    // SPEC 5.3  token = keyed_hash(secret_p, "token" ‖ agency), first 16 bytes
    pub fn token(&self, agency: &TokenContext) -> Token {
        let full = blake3::keyed_hash(&self.0, agency.0.as_slice());
        Token(full.as_bytes()[..Token::BYTES].try_into().expect("a hash has 32 bytes"))
    }

    // SPEC 6.1  filter key = keyed_hash(secret_p, "filter" ‖ agency ‖ filter)
    pub fn filter_key(&self, agency: &str, filter: &str) -> FilterKey {
        FilterKey(self.derive("filter", &[agency, filter]))
    }

    // SPEC 8.4  wrap key = keyed_hash(secret_p, "wrap" ‖ agency)
    pub fn wrap_key(&self, agency: &str) -> WrapKey {
        WrapKey(self.derive("wrap", &[agency]))
    }
}

/// What clkhash calls the secret of one agency's CLKs. Text, because clkhash's own command takes text.
pub struct ClkSecret(Zeroizing<String>);

impl ClkSecret {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret itself, for who makes the same CLKs with clkhash.
    pub fn dangerously_reveal(&self) -> &str {
        &self.0
    }
}

/// What an agency's tokens are derived under: made once, because a row has some twenty.
pub struct TokenContext(Bound);

impl TokenContext {
    pub fn of(agency: &str) -> Self {
        Self(Bound::new("token").and(agency.as_bytes()))
    }
}

/// Keys the Bloom filter of one cohort.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct FilterKey([u8; 32]);

impl FilterKey {
    pub(crate) fn positions(&self, gram: &[u8]) -> blake3::OutputReader {
        blake3::Hasher::new_keyed(&self.0).update(b"gram").update(gram).finalize_xof()
    }

    pub(crate) fn pad(&self, bits: &mut [u8]) {
        blake3::Hasher::new_keyed(&self.0).update(b"pad").finalize_xof().fill(bits);
    }
}

/// Locks the data keys of one person's records: only who can name the person derives it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct WrapKey([u8; 32]);

impl WrapKey {
    // SPEC 8.4  one key a record and part: keyed_hash(wrap key, record ‖ salt)
    #[cfg(any(feature = "seal", feature = "open"))]
    pub(crate) fn for_record(&self, record: RecordId, salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let bound = Bound::new("hedui v1 wrap").and(&record.0).and(salt);
        Zeroizing::new(*blake3::keyed_hash(&self.0, bound.as_slice()).as_bytes())
    }

    /// The raw bytes, for the test that searches a server's memory for them.
    pub fn dangerously_reveal(&self) -> [u8; 32] {
        self.0
    }
}

/// Names an agency's records: the same row has the same id, and nobody else can tell which row it is.
pub struct RecordKey(Zeroizing<[u8; 32]>);

impl RecordKey {
    // SPEC 10.3  record key = derive_key("hedui v1 record id", signing seed)
    pub fn from_signing_seed(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(blake3::derive_key("hedui v1 record id", seed)))
    }

    // SPEC 10.3  record id = keyed_hash(record key, manifest ‖ row id), first 16 bytes
    pub fn record_id(&self, manifest: ManifestId, row_id: &str) -> RecordId {
        let bound = Bound::new("record").and(&manifest.0).and(row_id.as_bytes());
        let full = blake3::keyed_hash(&self.0, bound.as_slice());
        RecordId(full.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
    }
}

/// Hashes authorisations, so that a ticket proves which one it stands on without showing its number.
pub struct EvidenceKey(Zeroizing<[u8; 32]>);

impl EvidenceKey {
    // SPEC 9.2  evidence key = derive_key("hedui v1 evidence", signing seed)
    pub fn from_signing_seed(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(blake3::derive_key("hedui v1 evidence", seed)))
    }

    pub fn hash(&self, authorisation: &str) -> ContentHash {
        ContentHash(*blake3::keyed_hash(&self.0, authorisation.as_bytes()).as_bytes())
    }
}

macro_rules! silent {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )* };
}
silent!(LinkageKey ProjectKey PassSecret ClkSecret FilterKey WrapKey RecordKey EvidenceKey);

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ProjectKey {
        LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([1; 32]))
    }

    #[test]
    fn plainly_weak_keys_are_refused() {
        assert_eq!(LinkageKey::new(&[1; 31]).unwrap_err(), WeakKey::Length(31));
        assert_eq!(LinkageKey::new(&[0; 32]).unwrap_err(), WeakKey::Constant);
    }

    #[test]
    fn one_value_has_unlinkable_tokens_at_two_agencies_and_in_two_projects() {
        let secret = key().secret(b"value");
        let (bank, tax) = (TokenContext::of("bank"), TokenContext::of("tax"));
        assert_ne!(secret.token(&bank), secret.token(&tax));
        let other = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([2; 32]));
        assert_ne!(secret.token(&bank), other.secret(b"value").token(&bank));
        assert_eq!(secret.token(&bank), key().secret(b"value").token(&bank));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?} {:?}", key(), key().secret(b"value")), "ProjectKey(..) PassSecret(..)");
    }
}
