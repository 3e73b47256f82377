//! What every secret key has in common: 32 bytes that are not plainly none.

use zeroize::Zeroizing;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    #[error("a key has exactly 32 bytes, this file has {0}")]
    Length(usize),
    #[error("all bytes of the key are equal")]
    Constant,
}

/// 32 bytes from outside, refused if they are plainly no key.
pub fn checked(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, WeakKey> {
    let array: [u8; 32] = bytes.try_into().map_err(|_| WeakKey::Length(bytes.len()))?;
    let key = Zeroizing::new(array);
    if key.iter().all(|byte| *byte == key[0]) { Err(WeakKey::Constant) } else { Ok(key) }
}
