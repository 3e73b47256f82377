//! From a token to positions: `blakeHash` and `doubleHash` (SPEC 13.4), and the keys they use.

use blake2b_simd::Params;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use num_bigint::BigUint;
use sha1::Sha1;
use zeroize::Zeroizing;

use super::schema::{ClkSchemaError, HashKind, Kdf, KdfHash};

/// One field's hash with its keys. Not `Debug`.
pub struct FieldHash {
    kind: HashKind,
    keys: [Zeroizing<Vec<u8>>; 2],
    bits: usize,
}

impl FieldHash {
    pub fn new(kind: &HashKind, keys: [Vec<u8>; 2], bits: usize) -> Result<Self, ClkSchemaError> {
        if *kind == HashKind::Blake && !bits.is_power_of_two() {
            return Err(ClkSchemaError::at("clkConfig.l", "must be a power of two where a feature uses blakeHash"));
        }
        if *kind == HashKind::Blake && keys[0].len() > 64 {
            return Err(ClkSchemaError::at(
                "clkConfig.kdf.keySize",
                "must be at most 64 where a feature uses blakeHash",
            ));
        }
        Ok(Self { kind: *kind, keys: keys.map(Zeroizing::new), bits })
    }

    /// Appends the positions of a token, `k` or more.
    pub fn positions(&self, token: &[u8], k: usize, into: &mut Vec<u32>) {
        match self.kind {
            HashKind::Blake => self.blake(token, k, into),
            HashKind::Double { prevent_singularity } => self.double(token, k, prevent_singularity, into),
        }
    }

    // 32 positions a BLAKE2b digest, little-endian u16 modulo the length; the salt counts digests in decimal
    fn blake(&self, token: &[u8], k: usize, into: &mut Vec<u32>) {
        let mask = u32::try_from(self.bits - 1).expect("a CLK has at most 2^22 bits");
        for number in 0..k.div_ceil(32) {
            let digest = Params::new().key(&self.keys[0]).salt(number.to_string().as_bytes()).hash(token);
            let pairs = digest.as_array().as_chunks::<2>().0;
            into.extend(pairs.iter().map(|pair| u32::from(u16::from_le_bytes(*pair)) & mask));
        }
    }

    // g_i = HMAC-SHA1 + i · HMAC-MD5, modulo the length (Schnell, Bachteler, Reiher 2011)
    fn double(&self, token: &[u8], k: usize, prevent_singularity: bool, into: &mut Vec<u32>) {
        let [key_sha1, key_md5] = &self.keys;
        let mut sha1 = Hmac::<Sha1>::new_from_slice(key_sha1).expect("HMAC takes keys of any length");
        sha1.update(token);
        let first = modulo(&sha1.finalize().into_bytes(), self.bits);
        let md5 = |tail: &[u8]| {
            let mut md5 = Hmac::<Md5>::new_from_slice(key_md5).expect("HMAC takes keys of any length");
            md5.update(token);
            md5.update(tail);
            modulo(&md5.finalize().into_bytes(), self.bits)
        };
        let mut step = md5(&[]);
        if prevent_singularity {
            // clkhash appends chr(0), chr(1), … in UTF-8 until the step is not 0
            let mut tails = ('\0'..).map(|tail| tail.to_string());
            while step == 0 {
                step = md5(tails.next().expect("a step is 0 for one digest in `bits`").as_bytes());
            }
        }
        into.extend((0..k as u64).map(|i| ((first + i * step) % self.bits as u64) as u32));
    }
}

fn modulo(digest: &[u8], bits: usize) -> u64 {
    (BigUint::from_bytes_be(digest) % bits).try_into().expect("below the number of bits")
}

impl Kdf {
    // SPEC 13.3  HKDF (RFC 5869): two keys a feature, ignored ones counted
    pub fn keys(&self, secret: &[u8], fields: usize) -> Result<Vec<[Vec<u8>; 2]>, ClkSchemaError> {
        let mut all = Zeroizing::new(vec![0; fields * 2 * self.key_size]);
        let (salt, info) = (self.salt.as_deref(), self.info.as_deref().unwrap_or_default());
        let expanded = match self.hash {
            KdfHash::Sha256 => hkdf::Hkdf::<sha2::Sha256>::new(salt, secret).expand(info, &mut all),
            KdfHash::Sha512 => hkdf::Hkdf::<sha2::Sha512>::new(salt, secret).expand(info, &mut all),
        };
        expanded.map_err(|_| {
            ClkSchemaError::at(
                "clkConfig.kdf.keySize",
                "asks more key bytes for all features than HKDF gives (255 blocks)",
            )
        })?;
        let pair = |chunk: &[u8]| [chunk[..self.key_size].to_vec(), chunk[self.key_size..].to_vec()];
        Ok(all.chunks_exact(2 * self.key_size).map(pair).collect())
    }
}
