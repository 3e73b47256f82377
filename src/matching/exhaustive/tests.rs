//! Every kernel against the definition: each pair judged by its set bits, one by one.

use proptest::prelude::*;

use super::*;

fn definition(a: &Filters, b: &Filters, limit: &Limit) -> Vec<Pair> {
    let pairs = a.iter().zip(0..).flat_map(|(one, a)| b.iter().zip(0..).map(move |(other, b)| (a, one, b, other)));
    let judged = pairs.filter_map(|(a, one, b, other)| {
        let overlap: u32 = one.iter().zip(other).map(|(one, other)| (one & other).count_ones()).sum();
        let (one, other) = (filters::weight(one), filters::weight(other));
        (overlap >= limit.overlap(one, other)).then(|| Pair {
            a,
            b,
            score: limit.score(Overlap { a: one, b: other, both: overlap }),
        })
    });
    judged.collect()
}

fn sorted(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort_by_key(|pair| (pair.a, pair.b));
    pairs
}

fn found(comparison: &Comparison) -> Vec<Pair> {
    let mut pairs = Vec::new();
    (0..comparison.tiles()).for_each(|tile| comparison.tile(tile, |pair| pairs.push(pair)));
    sorted(pairs)
}

#[track_caller]
fn check(a: &Filters, b: &Filters, limit: Limit) {
    let expect = definition(a, b, &limit);
    let itself: Vec<Pair> = definition(a, a, &limit).into_iter().filter(|pair| pair.a < pair.b).collect();
    for kernel in Kernel::all() {
        let between = Comparison::between(a, b, limit, kernel);
        assert_eq!(found(&between), expect, "{} {limit:?}", kernel.name);
        let work: u64 = (0..between.tiles()).map(|tile| between.pairs_of(tile)).sum();
        assert_eq!(work, (a.len() * b.len()) as u64);

        let within = Comparison::within(a, limit, kernel);
        assert_eq!(found(&within), itself, "{} within {limit:?}", kernel.name);
        let work: u64 = (0..within.tiles()).map(|tile| within.pairs_of(tile)).sum();
        assert_eq!(work, (a.len() * a.len().saturating_sub(1) / 2) as u64);

        let records = Records::new(b, kernel);
        let mut searched = Vec::new();
        a.iter().zip(0..).for_each(|(probe, a)| {
            records.search(probe, &limit, |b, overlap| searched.push(Pair { a, b, score: limit.score(overlap) }))
        });
        assert_eq!(sorted(searched), expect, "{} search {limit:?}", kernel.name);
    }
}

fn limit(measure: Measure, threshold: &str, bits: usize) -> Limit {
    Limit { measure, threshold: threshold.parse().unwrap(), bits: bits as u32 }
}

/// How filters are made: each from one of a few centres, by flipping some bits, so that all similarities are there.
fn filters(words: usize, centres: u64, count: usize, seed: u64) -> Filters {
    let random = |at: u64| {
        let hash = blake3::hash(&[seed.to_le_bytes(), at.to_le_bytes()].concat());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
    };
    let filter = |row: u64| {
        let centre = random(row) % centres;
        let flips = random(row << 32) % 64;
        let mut bits: Vec<u64> = (0..words as u64)
            .map(|word| match centre {
                0 => 0,
                1 => !0,
                _ => random(centre << 48 | word << 40) & random(centre << 48 | word << 40 | 1),
            })
            .collect();
        for flip in 0..flips * u64::from(!random(row << 16).is_multiple_of(4)) {
            let bit = random((row << 32) | (flip + 1)) as usize % (64 * words);
            bits[bit / 64] ^= 1 << (bit % 64);
        }
        bits
    };
    let bytes: Vec<u8> = (0..count as u64).flat_map(filter).flat_map(u64::to_le_bytes).collect();
    Filters::new(&bytes, 8 * words).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_kernel_finds_what_the_definition_finds(
        words in prop_oneof![Just(1usize), Just(2), Just(3), Just(16), Just(32)],
        counts in (0usize..80, 0usize..700), centres in 1u64..6, seed in any::<u64>(),
        thousandths in 0u32..=1000, hamming in any::<bool>(),
    ) {
        let (a, b) = (filters(words, centres, counts.0, seed), filters(words, centres, counts.1, seed.wrapping_add(centres)));
        let measure = if hamming { Measure::Hamming } else { Measure::Dice };
        check(&a, &b, limit(measure, &format!("{}.{:03}", thousandths / 1000, thousandths % 1000), 64 * words));
    }
}

#[test]
fn the_bounds_are_sharp() {
    let of = |rows: &[&[u64]]| {
        Filters::new(&rows.concat().iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>(), 16).unwrap()
    };
    // weights 60 and 100, all of the lighter shared: .75 to the bit, in both orders
    let (light, heavy) = ([(1 << 60) - 1, 0], [!0, (1 << 36) - 1]);
    let (a, b) = (of(&[&light, &heavy]), of(&[&heavy, &light, &[0, 0]]));
    for threshold in ["0.75", "0.7499", "0.7501", "0", "1", "0.0000001"] {
        check(&a, &b, limit(Measure::Dice, threshold, 128));
        check(&a, &b, limit(Measure::Hamming, threshold, 128));
    }
}

#[test]
fn counts_of_every_width_are_right() {
    // a probe that lacks nothing, all of its bits, and one less or more than a power of two
    let lengths: Vec<usize> = (0..=11).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]).collect();
    let of = |ones: usize| (0..2112).map(move |bit| bit < ones).collect::<Vec<bool>>();
    let upside_down = |ones: usize| of(ones).into_iter().rev().collect::<Vec<bool>>();
    let all: Vec<Vec<bool>> = lengths.iter().flat_map(|ones| [of(*ones), upside_down(*ones)]).collect();
    let byte = |bits: &[bool]| bits.iter().zip(0..).fold(0u8, |byte, (bit, at)| byte | u8::from(*bit) << at);
    let bytes: Vec<u8> = all.iter().flat_map(|bits| bits.chunks(8).map(byte)).collect();
    let all = Filters::new(&bytes, 2112 / 8).unwrap();
    for threshold in ["0", "0.01", "0.5", "0.9", "1"] {
        check(&all, &all, limit(Measure::Dice, threshold, 2112));
        check(&all, &all, limit(Measure::Hamming, threshold, 2112));
    }
}

#[test]
fn all_equal_all_empty_all_full() {
    for byte in [0x00, 0xff, 0x11] {
        let all = Filters::new(&vec![byte; 128 * 600], 128).unwrap();
        for threshold in ["0", "0.5", "1"] {
            check(&all, &all, limit(Measure::Dice, threshold, 1024));
        }
    }
}

#[test]
fn the_longest_filters_are_compared() {
    let (a, b) = (filters(MOST_BITS / 64, 3, 5, 1), filters(MOST_BITS / 64, 3, 70, 2));
    for threshold in ["0", "0.6", "0.99", "1"] {
        check(&a, &b, limit(Measure::Dice, threshold, MOST_BITS));
        check(&a, &b, limit(Measure::Hamming, threshold, MOST_BITS));
    }
}

#[test]
fn what_cannot_be_compared_is_no_filter() {
    for (bytes, length) in [(12, 12), (2056, 2056), (17, 8), (0, 0)] {
        assert!(Filters::new(&vec![0; bytes], length).is_none(), "{bytes} bytes, {length} each");
    }
    assert!(Filters::new(&[], 8).is_some_and(|none| none.is_empty()));
}
