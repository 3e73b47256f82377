//! What sealing and opening share: contexts, the HPKE suite, the AEAD (SPEC 8).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::bytes::Bound;
use crate::ids::{CommissionId, ManifestId, RecordId, SubjectId};
use crate::manifest::Level;
use crate::part::Salt;

// SPEC 8.1  RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256; only the exporter is used
pub(crate) type Kem = hpke::kem::X25519HkdfSha256;
pub(crate) type Kdf = hpke::kdf::HkdfSha256;
pub(crate) type Aead = hpke::aead::ChaCha20Poly1305;

/// Which payload of which record: every ciphertext is bound to it.
#[derive(Clone, Copy)]
pub struct PayloadContext<'c> {
    pub manifest: ManifestId,
    pub agency: &'c str,
    pub record: RecordId,
    pub item: &'c str,
    pub level: Level,
    /// For answers on match: the commission and subject that they answer.
    pub answers: Option<(CommissionId, SubjectId)>,
}

impl PayloadContext<'_> {
    // SPEC 8.3  manifest ‖ agency ‖ record ‖ item ‖ level [‖ commission ‖ subject]
    fn bind(&self, label: &str) -> Bound {
        let bound = Bound::new(label)
            .and(&self.manifest.0)
            .and(self.agency.as_bytes())
            .and(&self.record.0)
            .and(self.item.as_bytes())
            .and(self.level.to_string().as_bytes());
        match self.answers {
            Some((commission, subject)) => bound.and(&commission.0).and(&subject.0),
            None => bound,
        }
    }

    pub(crate) fn exporter(&self) -> Bound {
        self.bind("hedui v1 record key")
    }

    pub(crate) fn aad(&self) -> Bound {
        self.bind("hedui v1 payload")
    }

    // SPEC 8.5  lock key = keyed_hash(data key, context)
    pub(crate) fn lock_key(&self, data_key: &[u8; 32], office: &str) -> [u8; 32] {
        let bound = self.bind("hedui v1 lock").and(office.as_bytes());
        *blake3::keyed_hash(data_key, bound.as_slice()).as_bytes()
    }
}

// SPEC 8.2  info = label ‖ manifest ‖ agency ‖ office ‖ salt
pub(crate) fn deposit_info(manifest: ManifestId, agency: &str, office: &str, salt: &Salt) -> Bound {
    Bound::new("hedui v1 deposit").and(&manifest.0).and(agency.as_bytes()).and(office.as_bytes()).and(salt)
}

// SPEC 8.7  info = label ‖ manifest ‖ agency ‖ office ‖ commission
pub(crate) fn answer_info(manifest: ManifestId, agency: &str, office: &str, commission: CommissionId) -> Bound {
    Bound::new("hedui v1 on match").and(&manifest.0).and(agency.as_bytes()).and(office.as_bytes()).and(&commission.0)
}

// SPEC 8.4  AAD of a wrapped data key
pub(crate) fn wrap_aad(manifest: ManifestId, agency: &str, record: RecordId) -> Bound {
    Bound::new("hedui v1 wrapped data key").and(&manifest.0).and(agency.as_bytes()).and(&record.0)
}

/// AES-256-GCM (RFC 5116) under a key that encrypts exactly one message: the nonce is zero.
#[cfg(feature = "seal")]
pub(crate) fn encrypt_once(key: &[u8; 32], aad: &Bound, bytes: &mut Vec<u8>) {
    single_use(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(aad.as_slice()), bytes)
        .expect("a payload is far below AES-GCM's limit");
}

/// None where key, context or bytes are not those that were encrypted.
#[cfg(feature = "open")]
pub(crate) fn decrypt_once(key: &[u8; 32], aad: &Bound, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = bytes.to_vec();
    let opened = single_use(key)
        .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::from(aad.as_slice()), &mut plain)
        .ok()?
        .len();
    plain.truncate(opened);
    Some(plain)
}

fn single_use(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
}
