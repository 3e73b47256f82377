//! Keyed Bloom filters and their diffusion (SPEC 6).
//!
//! Random hashing after Schnell and Borgs; diffusion after Armknecht, Heng and Schnell, "Strengthening
//! Privacy-Preserving Record Linkage using Diffusion", PoPETs 2023(2). Compare by Hamming distance.

use crate::keys::FilterKey;
use crate::schema::Filter;

/// One filter of a schema for one agency: its diffusion map, and how many positions a gram sets.
///
/// Not `Debug`: the map is secret.
pub struct Diffuser {
    bits: usize,
    k: usize,
    /// Column `i`: the output bits that input bit `i` turns over.
    columns: Vec<u64>,
}

impl Diffuser {
    /// `map` is the keyed stream of SPEC 6.3.
    pub fn new(filter: &Filter, map: blake3::OutputReader) -> Self {
        let bits = usize::from(filter.bits);
        let words = bits / 64;
        let mut columns = vec![0; bits * words];
        for (output, inputs) in index_sets(bits, usize::from(filter.t), map).iter().enumerate() {
            for input in inputs {
                columns[usize::from(*input) * words + output / 64] |= 1 << (output % 64);
            }
        }
        Self { bits, k: usize::from(filter.k), columns }
    }

    /// Encodes grams under one cohort's key: Bloom filter, diffusion, and the cohort's pad.
    pub fn encode(&self, key: &FilterKey, grams: &[Vec<u8>]) -> Vec<u8> {
        let mut set = vec![0u64; self.bits / 64];
        for gram in grams {
            self.set_positions(key, gram, &mut set);
        }
        let diffused = self.diffuse(&set);
        let mut bytes = vec![0; self.bits / 8];
        key.pad(&mut bytes);
        for (byte, word) in bytes.chunks_exact_mut(8).zip(diffused) {
            byte.iter_mut().zip(word.to_le_bytes()).for_each(|(byte, bits)| *byte ^= bits);
        }
        bytes
    }

    /// The share of set bits before diffusion: what `k` is chosen by.
    pub fn fill(&self, key: &FilterKey, grams: &[Vec<u8>]) -> f64 {
        let mut set = vec![0u64; self.bits / 64];
        grams.iter().for_each(|gram| self.set_positions(key, gram, &mut set));
        let count: u32 = set.iter().map(|word| word.count_ones()).sum();
        f64::from(count) / self.bits as f64
    }

    // SPEC 6.2  k positions a gram, each two bytes of the keyed stream, modulo the (power of two) length
    fn set_positions(&self, key: &FilterKey, gram: &[u8], set: &mut [u64]) {
        let mut stream = key.positions(gram);
        let mut block = [0; 64];
        for start in (0..self.k).step_by(block.len() / 2) {
            stream.fill(&mut block);
            for pair in block.as_chunks::<2>().0.iter().take(self.k - start) {
                let position = usize::from(u16::from_le_bytes(*pair)) & (self.bits - 1);
                set[position / 64] |= 1 << (position % 64);
            }
        }
    }

    // SPEC 6.4  output bit j = XOR of the input bits in set j, computed column by column
    fn diffuse(&self, set: &[u64]) -> Vec<u64> {
        let words = set.len();
        let mut output = vec![0; words];
        for (index, word) in set.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let input = index * 64 + left.trailing_zeros() as usize;
                let column = &self.columns[input * words..(input + 1) * words];
                output.iter_mut().zip(column).for_each(|(out, bits)| *out ^= bits);
                left &= left - 1;
            }
        }
        output
    }
}

// SPEC 6.3  sets are cut from a running permutation of 0..bits, shuffled anew when fewer than t are left
fn index_sets(bits: usize, t: usize, mut map: blake3::OutputReader) -> Vec<Vec<u16>> {
    let mut permutation: Vec<u16> = (0..=u16::MAX).take(bits).collect();
    let mut at = bits;
    (0..bits)
        .map(|_| {
            if at + t > bits {
                shuffle(&mut permutation, &mut map);
                at = 0;
            }
            at += t;
            permutation[at - t..at].to_vec()
        })
        .collect()
}

/// Fisher–Yates (Durstenfeld) with rejection: every permutation is equally likely.
fn shuffle(items: &mut [u16], map: &mut blake3::OutputReader) {
    for last in (1..items.len()).rev() {
        let choice = below(last as u32 + 1, map);
        items.swap(last, choice as usize);
    }
}

fn below(bound: u32, map: &mut blake3::OutputReader) -> u32 {
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let mut bytes = [0; 4];
        map.fill(&mut bytes);
        let draw = u32::from_le_bytes(bytes);
        if draw < limit {
            return draw % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ManifestId;
    use crate::keys::LinkageKey;

    fn filter(bits: u16, k: u16, t: u8) -> Filter {
        Filter { name: "f".into(), cohort: None, fields: vec!["name".into()], bits, k, t, bands: vec![], beyond: 0.0 }
    }

    fn diffuser(bits: u16, k: u16, t: u8) -> (Diffuser, FilterKey) {
        let key = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([1; 32]));
        let filter = filter(bits, k, t);
        let diffuser = Diffuser::new(&filter, key.filter_map("f", "bank"));
        (diffuser, key.record_secret("f").filter_key("bank", "f"))
    }

    fn grams(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
        range.map(|n| n.to_string().into_bytes()).collect()
    }

    fn distance(one: &[u8], other: &[u8]) -> f64 {
        let differing: u32 = one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
        f64::from(differing) / (one.len() * 8) as f64
    }

    #[test]
    fn every_input_bit_is_used_t_times_and_no_set_repeats_a_bit() {
        let (diffuser, _) = diffuser(1024, 20, 8);
        let weights: Vec<u32> = diffuser.columns.chunks(16).map(|c| c.iter().map(|w| w.count_ones()).sum()).collect();
        assert!(weights.iter().all(|weight| *weight == 8), "1024 sets of 8 use each of 1024 bits 8 times");
    }

    /// The expected distance is (1 − (1 − 2δ)^t) / 2 (Armknecht et al., §4); noise is binomial.
    #[test]
    fn diffused_distances_follow_the_law() {
        let (diffuser, key) = diffuser(2048, 20, 8);
        for changed in [0, 1, 2, 4, 30] {
            let (one, other) = (grams(0..40), grams(changed..40 + changed));
            let plain = |grams: &[Vec<u8>]| {
                let mut set = vec![0u64; 32];
                grams.iter().for_each(|gram| diffuser.set_positions(&key, gram, &mut set));
                set.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()
            };
            let delta = distance(&plain(&one), &plain(&other));
            let expected = (1.0 - (1.0 - 2.0 * delta).powi(8)) / 2.0;
            let got = distance(&diffuser.encode(&key, &one), &diffuser.encode(&key, &other));
            assert!((got - expected).abs() < 5.0 * 0.5 / 2048f64.sqrt(), "{changed}: {got} against {expected}");
        }
    }

    #[test]
    fn another_cohort_looks_random_for_the_same_grams() {
        let (diffuser, key) = diffuser(1024, 20, 8);
        let project = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([1; 32]));
        let other = project.secret(b"another cohort").filter_key("bank", "f");
        let got = distance(&diffuser.encode(&key, &grams(0..20)), &diffuser.encode(&other, &grams(0..20)));
        assert!((got - 0.5).abs() < 0.08, "{got}");
    }

    #[test]
    fn draws_are_below_their_bound_and_reach_it() {
        let key = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([1; 32]));
        let mut stream = key.filter_map("x", "y");
        let draws: std::collections::BTreeSet<u32> = (0..200).map(|_| below(7, &mut stream)).collect();
        assert_eq!(draws.into_iter().collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    }
}
