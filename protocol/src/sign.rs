//! Ed25519 signatures (RFC 8032) over a context and exact bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::bytes::Bound;
use crate::secret::{WeakKey, checked};

/// What is signed; the same bytes under another purpose have another signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Manifest,
    Batch,
    Ticket,
    Withdrawal,
    Answer,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Manifest => "hedui v1 sign manifest",
            Self::Batch => "hedui v1 sign batch",
            Self::Ticket => "hedui v1 sign ticket",
            Self::Withdrawal => "hedui v1 sign withdrawal",
            Self::Answer => "hedui v1 sign answer",
        }
    }

    // SPEC 1.4  signature = Ed25519(label ‖ message), both length-prefixed
    fn bind(self, message: &[u8]) -> Bound {
        Bound::new(self.label()).and(message)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("not an Ed25519 public key: expected 32 bytes in base64")]
    MalformedKey,
    #[error("the signature does not verify")]
    BadSignature,
}

/// A party's private signing key: 32 bytes, the seed of RFC 8032.
///
/// Not `Clone`, not `Serialize`; it signs and says its public half.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed"))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("Ed25519 keys have 32 bytes"))
    }

    pub fn sign(&self, purpose: Purpose, message: &[u8]) -> Signature {
        self.sign_bytes(purpose.bind(message).as_slice())
    }

    /// SPEC 14.4  A signed note is signed as it stands: its first line says what it is, and no label of ours begins so.
    pub(crate) fn sign_note(&self, text: &[u8]) -> Signature {
        self.sign_bytes(text)
    }

    fn sign_bytes(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).as_ref().try_into().expect("Ed25519 signatures have 64 bytes"))
    }
}

impl TryFrom<&[u8]> for SigningKey {
    type Error = WeakKey;

    fn try_from(bytes: &[u8]) -> Result<Self, WeakKey> {
        checked(bytes).map(|seed| Self::from_seed(&seed))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// 32 bytes, in base64 where people see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
#[cfg_attr(feature = "describe", schemars(with = "crate::describe::Base64"))]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    pub fn verify(&self, purpose: Purpose, message: &[u8], signature: &Signature) -> Result<(), SignError> {
        self.verify_bytes(purpose.bind(message).as_slice(), signature)
    }

    pub(crate) fn verify_note(&self, text: &[u8], signature: &Signature) -> Result<(), SignError> {
        self.verify_bytes(text, signature)
    }

    fn verify_bytes(&self, bytes: &[u8], signature: &Signature) -> Result<(), SignError> {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, &signature.0).map_err(|_| SignError::BadSignature)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        BASE64.encode(key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SignError;

    fn try_from(text: String) -> Result<Self, SignError> {
        let bytes = BASE64.decode(text).map_err(|_| SignError::MalformedKey)?;
        bytes.try_into().map(Self).map_err(|_| SignError::MalformedKey)
    }
}

impl FromStr for PublicKey {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

/// 64 bytes, in base64 inside messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
#[cfg_attr(feature = "describe", schemars(with = "crate::describe::Base64"))]
pub struct Signature(pub [u8; 64]);

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        BASE64.encode(signature.0)
    }
}

impl TryFrom<String> for Signature {
    type Error = SignError;

    fn try_from(text: String) -> Result<Self, SignError> {
        let bytes = BASE64.decode(text).map_err(|_| SignError::BadSignature)?;
        bytes.try_into().map(Self).map_err(|_| SignError::BadSignature)
    }
}

/// Exact bytes and the signature over them: what is verified is what is parsed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signed {
    #[serde(with = "crate::messages::base64_bytes")]
    #[cfg_attr(feature = "describe", schemars(with = "crate::describe::Base64"))]
    pub bytes: Vec<u8>,
    pub signature: Signature,
}

impl Signed {
    pub fn new(key: &SigningKey, purpose: Purpose, bytes: Vec<u8>) -> Self {
        let signature = key.sign(purpose, &bytes);
        Self { bytes, signature }
    }

    pub fn verify(&self, purpose: Purpose, key: &PublicKey) -> Result<(), SignError> {
        key.verify(purpose, &self.bytes, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032 §7.1, test 1
    #[test]
    fn the_seed_of_the_rfc_has_the_key_of_the_rfc() {
        let seed: [u8; 32] = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let public = SigningKey::from_seed(&seed).public().0;
        assert_eq!(public[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(public[28..], [0xf7, 0x07, 0x51, 0x1a]);
    }

    #[test]
    fn a_signature_holds_for_its_purpose_its_bytes_and_its_key_alone() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign(Purpose::Ticket, b"ticket");
        assert_eq!(key.public().verify(Purpose::Ticket, b"ticket", &signature), Ok(()));
        assert!(key.public().verify(Purpose::Batch, b"ticket", &signature).is_err());
        assert!(key.public().verify(Purpose::Ticket, b"tickeT", &signature).is_err());
        assert!(SigningKey::from_seed(&[8; 32]).public().verify(Purpose::Ticket, b"ticket", &signature).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_key_or_a_signature_or_refused(seed in proptest::prelude::any::<[u8; 32]>(), text in ".{0,100}") {
            let public = SigningKey::from_seed(&seed).public();
            proptest::prop_assert_eq!(PublicKey::try_from(public.to_string()).unwrap().0, public.0);
            let _ = (PublicKey::try_from(text.clone()), Signature::try_from(text));
        }
    }
}
