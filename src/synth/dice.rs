//! Chance: a ChaCha stream for each thing that is drawn, integers only, so that every platform draws the same.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// What a stream of numbers decides. Streams of different purposes have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    Household,
    Namesake,
    Applicant,
    Numbers,
    Order,
    Member,
    Row,
    Consent,
}

/// The streams of one purpose; stream `n` is the same however often and in whichever order it is asked for.
pub(super) struct Streams(ChaCha8Rng);

impl Streams {
    /// `part` tells apart streams of the same purpose, one a file.
    pub(super) fn new(seed: u64, purpose: Purpose, part: u8) -> Self {
        let mut key = *b"hedui synth city\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        key[16] = purpose as u8;
        key[17] = part;
        key[24..].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    pub(super) fn stream(&self, n: u64) -> Dice {
        let mut rng = self.0.clone();
        rng.set_stream(n);
        Dice(rng)
    }

    /// A key for `hash`, where a stream would cost too much.
    pub(super) fn key(&self) -> u64 {
        self.stream(u64::MAX).0.next_u64()
    }
}

/// One stream of numbers, drawn from the front.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// A number below `n`. Off from uniform by at most n / 2³².
    pub(super) fn below(&mut self, n: u32) -> u32 {
        scale(self.0.next_u32(), n)
    }

    /// A number of `from..=to`.
    pub(super) fn between(&mut self, from: i32, to: i32) -> i32 {
        let width = u32::try_from(to - from + 1).expect("callers pass from <= to");
        from + self.below(width) as i32
    }

    /// True `rate` times in 100 000.
    pub(super) fn chance(&mut self, rate: u32) -> bool {
        self.below(WHOLE) < rate
    }

    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// A number below `n` that is small more often than large: the product of two draws.
    pub(super) fn small(&mut self, n: u32) -> u32 {
        let first = self.below(n);
        scale(self.0.next_u32(), first + 1)
    }
}

/// A number that looks random and depends on `key` and `n` alone.
///
/// SplitMix64's finaliser (Steele, Lea, Flood 2014), twice: for coins and permutations, not for secrets.
pub(super) fn hash(key: u64, n: u64) -> u64 {
    mix(mix(key ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(key))
}

/// True `rate` times in 100 000, decided by one `lane` of 16 bits (0 to 2) and the bits above it.
pub(super) fn coin(hash: u64, lane: u32, rate: u32) -> bool {
    scale((hash >> (16 * lane)) as u32, WHOLE) < rate
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn scale(random: u32, n: u32) -> u32 {
    ((u64::from(random) * u64::from(n)) >> 32) as u32
}

const WHOLE: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_each_time_and_unlike_the_next() {
        let streams = Streams::new(1, Purpose::Household, 0);
        let draw = |n| (0..8).map(|_| 0).scan(streams.stream(n), |dice, _| Some(dice.below(1000))).collect::<Vec<_>>();
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        assert_ne!(streams.key(), Streams::new(2, Purpose::Household, 0).key());
        assert_ne!(streams.key(), Streams::new(1, Purpose::Household, 1).key());
        assert_ne!(streams.key(), Streams::new(1, Purpose::Row, 0).key());
    }

    /// Pins the bytes: a new version of the cipher crate must not change a city.
    #[test]
    fn the_first_numbers_of_seed_one_stay_as_they_are() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        assert_eq!([dice.below(1000), dice.below(1000), dice.below(1000)], [819, 130, 485]);
        assert_eq!(hash(1, 2), 13_185_205_897_452_811_088);
    }

    #[test]
    fn a_chance_is_taken_about_as_often_as_it_says() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        let hits = (0..100_000).filter(|_| dice.chance(3_000)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        let hits = (0..100_000).filter(|n| coin(hash(7, *n), 1, 30_000)).count();
        assert!((29_000..31_000).contains(&hits), "{hits}");
    }
}
