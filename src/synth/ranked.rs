//! A row of bits that knows how many ones stand before a place: under a fifth of a byte a bit.

/// Bits, and for every word of 64 the number of ones before it.
#[derive(Default)]
pub(super) struct RankedBits {
    words: Vec<u64>,
    before: Vec<u32>,
    length: u64,
    ones: u32,
}

impl RankedBits {
    pub(super) fn push(&mut self, bit: bool) {
        if self.length.is_multiple_of(64) {
            self.words.push(0);
            self.before.push(self.ones);
        }
        if bit {
            *self.words.last_mut().expect("a word was just made") |= 1 << (self.length % 64);
            self.ones += 1;
        }
        self.length += 1;
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    pub(super) fn ones(&self) -> u64 {
        u64::from(self.ones)
    }

    /// How many ones stand before `place`.
    pub(super) fn rank(&self, place: u64) -> u64 {
        let (word, bit) = split(place);
        let low = self.words[word] & ((1 << bit) - 1);
        u64::from(self.before[word] + low.count_ones())
    }

    /// The last one at or before `place`, if there is one.
    pub(super) fn last_one(&self, place: u64) -> Option<u64> {
        let (word, bit) = split(place);
        let here = self.words[word] << (63 - bit);
        if here != 0 {
            return Some(place - u64::from(here.leading_zeros()));
        }
        let (word, bits) = self.words[..word].iter().enumerate().rev().find(|(_, bits)| **bits != 0)?;
        Some(word as u64 * 64 + 63 - u64::from(bits.leading_zeros()))
    }
}

fn split(place: u64) -> (usize, u64) {
    ((place / 64) as usize, place % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_last_ones_are_what_counting_gives() {
        let bits: Vec<bool> = (0..1000u32).map(|n| n % 7 == 0 && !(200..500).contains(&n)).collect();
        let mut ranked = RankedBits::default();
        bits.iter().for_each(|bit| ranked.push(*bit));
        for place in 0..bits.len() {
            assert_eq!(ranked.rank(place as u64), bits[..place].iter().filter(|bit| **bit).count() as u64);
            assert_eq!(ranked.last_one(place as u64), bits[..=place].iter().rposition(|bit| *bit).map(|at| at as u64));
        }
        assert_eq!((ranked.len(), ranked.ones()), (1000, bits.iter().filter(|bit| **bit).count() as u64));
    }
}
