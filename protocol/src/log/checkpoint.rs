//! Checkpoints: what the log's key signs of a tree (C2SP tlog-checkpoint, in a signed note of C2SP signed-note).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use tlog_tiles::tlog::Hash;

use crate::ids::{ManifestId, TreeHash};
use crate::sign::{PublicKey, Signature, SigningKey};

/// SPEC 14.4  The name of a project's log, which is also its key's.
pub fn origin(manifest: ManifestId) -> String {
    format!("hedui.log/{manifest}")
}

/// A tree that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub size: u64,
    pub root: TreeHash,
}

/// Why a text is no checkpoint of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsoundCheckpoint {
    #[error("it does not read as a signed checkpoint")]
    Malformed,
    #[error("it is of the log `{0}`")]
    OtherLog(String),
    #[error("the signature is not the one of the log's key")]
    BadSignature,
}

/// The signed note.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCheckpoint(String);

/// The algorithm byte of Ed25519 in a key's id.
const ED25519: u8 = 1;

impl SignedCheckpoint {
    pub fn sign(key: &SigningKey, origin: &str, checkpoint: Checkpoint) -> Self {
        let text = tlog_tiles::Checkpoint::new(origin, checkpoint.size, Hash(checkpoint.root.0), "");
        let text = String::from_utf8(text.expect("a name without a line's end").to_bytes()).expect("it is text");
        let signature = key.sign_note(text.as_bytes());
        Self(format!("{text}\n{}", signature_line(origin, &key.public(), &signature)))
    }

    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is signed, if it is signed by this key for this log.
    pub fn open(&self, key: &PublicKey, origin: &str) -> Result<Checkpoint, UnsoundCheckpoint> {
        let (text, signatures) = self.0.rsplit_once("\n\n").ok_or(UnsoundCheckpoint::Malformed)?;
        let text = format!("{text}\n");
        let parsed = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).map_err(|_| UnsoundCheckpoint::Malformed)?;
        if parsed.origin() != origin {
            return Err(UnsoundCheckpoint::OtherLog(parsed.origin().to_owned()));
        }
        let ours = signatures.lines().filter_map(|line| signature_of(line, origin, key));
        if !ours.into_iter().any(|signature| key.verify_note(text.as_bytes(), &signature).is_ok()) {
            return Err(UnsoundCheckpoint::BadSignature);
        }
        Ok(Checkpoint { size: parsed.size(), root: TreeHash(parsed.hash().0) })
    }
}

impl fmt::Debug for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// C2SP signed-note: "— " name " " base64(key id ‖ signature) "\n"
fn signature_line(name: &str, key: &PublicKey, signature: &Signature) -> String {
    format!("— {name} {}\n", BASE64.encode([&key_id(name, key)[..], &signature.0].concat()))
}

fn signature_of(line: &str, name: &str, key: &PublicKey) -> Option<Signature> {
    let (signer, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = BASE64.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (signer == name && *id == key_id(name, key)).then_some(())?;
    Some(Signature(signature.try_into().ok()?))
}

// C2SP signed-note: the first four bytes of SHA-256(name ‖ "\n" ‖ algorithm ‖ key)
fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = digest(&SHA256, &[name.as_bytes(), &[b'\n', ED25519], &key.0].concat());
    hash.as_ref()[..4].try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of golang.org/x/mod/sumdb/note, whose format C2SP took over
    #[test]
    fn a_note_of_the_format_verifies() {
        let key = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = PublicKey(BASE64.decode(key).unwrap()[1..].try_into().unwrap());
        assert_eq!(key_id("PeterNeumann", &key), [0xc7, 0x4f, 0x20, 0xa3]);
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = signature_of(line, "PeterNeumann", &key).unwrap();
        assert_eq!(key.verify_note(text.as_bytes(), &signature), Ok(()));
        assert_eq!(signature_line("PeterNeumann", &key, &signature), format!("{line}\n"));
    }

    #[test]
    fn a_checkpoint_holds_for_its_log_and_its_key_alone() {
        let key = SigningKey::from_seed(&[7; 32]);
        let checkpoint = Checkpoint { size: 5, root: TreeHash([9; 32]) };
        let signed = SignedCheckpoint::sign(&key, "hedui.log/a", checkpoint);
        assert_eq!(signed.open(&key.public(), "hedui.log/a"), Ok(checkpoint));
        let other = UnsoundCheckpoint::OtherLog("hedui.log/a".into());
        assert_eq!(signed.open(&key.public(), "hedui.log/b"), Err(other));
        let stranger = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(signed.open(&stranger, "hedui.log/a"), Err(UnsoundCheckpoint::BadSignature));
        let changed = SignedCheckpoint(signed.0.replacen("\n5\n", "\n6\n", 1));
        assert_eq!(changed.open(&key.public(), "hedui.log/a"), Err(UnsoundCheckpoint::BadSignature));
        assert_eq!(signed.0.lines().count(), 5, "{signed:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_checkpoint_or_none(text in "(?s).{0,200}", at in 0usize..200, value in 32u8..127) {
            let key = SigningKey::from_seed(&[7; 32]);
            proptest::prop_assert!(SignedCheckpoint(text).open(&key.public(), "hedui.log/a").is_err());
            let signed = SignedCheckpoint::sign(&key, "a", Checkpoint { size: 5, root: TreeHash([9; 32]) });
            let mut bytes = signed.0.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(text) = String::from_utf8(bytes) && text != signed.0 {
                let _ = SignedCheckpoint(text).open(&key.public(), "a");
            }
        }
    }
}
