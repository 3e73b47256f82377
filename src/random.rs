//! The one source of randomness: the operating system's, through ring.

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::failure::{Failure, Outcome};

pub fn bytes<const N: usize>() -> Outcome<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::refused("the operating system gives no random bytes"))?;
    Ok(bytes)
}
