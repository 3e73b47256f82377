//! Keys whose loss erases. What leaves the database, parts and the rows of backups, is sealed under the key of its batch or
//! commission; erasing destroys the key, and whatever copy somebody still has is noise.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::error::{ServerError, ServerResult};
use crate::random;

/// 32 random bytes that stand in the database alone, and in the keys' file of the newest backup.
#[derive(Clone)]
pub struct ShredKey(Zeroizing<[u8; 32]>);

impl ShredKey {
    pub fn fresh() -> ServerResult<Self> {
        random::bytes().map(|bytes| Self(Zeroizing::new(bytes))).map_err(|failure| ServerError::Failed(failure.message))
    }

    pub fn of(bytes: &[u8]) -> ServerResult<Self> {
        let bytes =
            bytes.try_into().map_err(|_| ServerError::Failed("a key has another length than 32 bytes".into()))?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Seals what has this name: AES-256-GCM under a key of its own, derived from this one and the name, so that the nonce
    /// may be the same. One name, one plaintext.
    pub fn seal(&self, name: &str, bytes: &mut Vec<u8>) -> ServerResult<()> {
        self.once(name).seal_in_place_append_tag(nonce(), Aad::from(name), bytes).map_err(ServerError::failed)
    }

    /// Opens what was sealed by this name.
    pub fn open(&self, name: &str, mut bytes: Vec<u8>) -> ServerResult<Vec<u8>> {
        let opened = self.once(name).open_in_place(nonce(), Aad::from(name), &mut bytes).map(|opened| opened.len());
        let length =
            opened.map_err(|_| ServerError::Failed(format!("{name} is damaged: it does not open under its key")))?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn once(&self, name: &str) -> LessSafeKey {
        let mut hash = blake3::Hasher::new_keyed(&self.0);
        hash.update(name.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, hash.finalize().as_bytes()).expect("32 bytes");
        LessSafeKey::new(key)
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_and_name_alone() {
        let (key, other) = (ShredKey::of(&[1; 32]).unwrap(), ShredKey::of(&[2; 32]).unwrap());
        let mut sealed = b"what a batch holds".to_vec();
        key.seal("part 1", &mut sealed).unwrap();
        assert!(!sealed.windows(5).any(|window| window == b"batch"));
        assert_eq!(key.open("part 1", sealed.clone()).unwrap(), b"what a batch holds");
        assert!(key.open("part 2", sealed.clone()).is_err());
        assert!(other.open("part 1", sealed.clone()).is_err());
        sealed[3] ^= 1;
        assert!(key.open("part 1", sealed).is_err());
        assert!(ShredKey::of(&[1; 31]).is_err());
    }
}
