//! Counts what records lack of a probe, many records at once.
//!
//! The count of a record is spread over registers: one holds the lowest bit of the count of each record, the next one the
//! bits worth two, and so on. Adding a bit to all of them is an adder made of and, or and exclusive or: five
//! instructions for 256 records, two for 512 with AVX-512, where counting the set bits of one pair takes three for every
//! 64 bits of it. Sixteen bits are added together (Harley and Seal's tree of carry-save adders; Muła, Kurz and Lemire, "Faster
//! Population Counts Using AVX2 Instructions", 2018). The counts begin so that a record that lacks too much flows over,
//! and where all have flown over, the rest of the probe is not looked at: the engine loses no pair, and strangers are
//! told apart by a part of their bits.

use super::lanes::Lanes;
use super::slices::{Block, Probe};

/// Bits of a count: a filter has at most 2^14.
const PLANES: usize = 15;
const MOST_WORDS: usize = 8;

/// One way to count; whoever holds one may run it.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub name: &'static str,
    /// Words that hold a bit of each record of a block.
    pub(super) words: usize,
    run: fn(&Block, &Probe, u32, &mut Counts) -> bool,
}

impl Kernel {
    /// What this processor can run, slowest first.
    pub fn all() -> Vec<Self> {
        let mut kernels = vec![Self { name: "portable", words: u64::WORDS, run: count::<u64> }];
        #[cfg(target_arch = "x86_64")]
        kernels.extend(x86::kernels());
        #[cfg(target_arch = "aarch64")]
        kernels.push(Self { name: "neon", words: super::neon::Neon::WORDS, run: count::<super::neon::Neon> });
        kernels
    }

    /// The fastest of them.
    pub fn fastest() -> Self {
        Self::all().pop().expect("portable always runs")
    }

    /// Counts for each record of the block which of the probe's bits it lacks; whether any lacks at most `most`.
    #[inline]
    pub(super) fn count(&self, block: &Block, probe: &Probe, most: u32, counts: &mut Counts) -> bool {
        (self.run)(block, probe, most, counts)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::x86::{Avx2, Avx512};
    use super::{Block, Counts, Kernel, Lanes as _, Probe, count};

    pub fn kernels() -> impl Iterator<Item = Kernel> {
        // SAFETY: handed out only where the processor has the feature; so for the other
        let avx2 =
            Kernel { name: "avx2", words: Avx2::WORDS, run: |b, p, most, counts| unsafe { avx2(b, p, most, counts) } };
        let avx512 = Kernel {
            name: "avx512",
            words: Avx512::WORDS,
            run: |b, p, most, counts| unsafe { avx512(b, p, most, counts) },
        };
        let able = [is_x86_feature_detected!("avx2"), is_x86_feature_detected!("avx512f")];
        [avx2, avx512].into_iter().zip(able).filter(|(_, able)| *able).map(|(kernel, _)| kernel)
    }

    #[target_feature(enable = "avx2")]
    fn avx2(block: &Block, probe: &Probe, most: u32, counts: &mut Counts) -> bool {
        count::<Avx2>(block, probe, most, counts)
    }

    #[target_feature(enable = "avx512f")]
    fn avx512(block: &Block, probe: &Probe, most: u32, counts: &mut Counts) -> bool {
        count::<Avx512>(block, probe, most, counts)
    }
}

/// What the records of a block lack, as far as it is within the bound.
#[derive(Default)]
pub(super) struct Counts {
    /// Records that lack no more than the bound.
    within: [u64; MOST_WORDS],
    /// Bits of each record's count, lowest first.
    planes: [[u64; MOST_WORDS]; PLANES],
    begin: u32,
}

impl Counts {
    /// The lanes of the records within the bound, each with how many bits it lacks.
    pub fn within(&self) -> impl Iterator<Item = (usize, u32)> {
        let lanes = self.within.iter().enumerate().flat_map(|(word, within)| {
            let mut rest = *within;
            std::iter::from_fn(move || {
                let lane = (rest != 0).then(|| 64 * word + rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(lane)
            })
        });
        lanes.map(|lane| (lane, self.count(lane)))
    }

    fn count(&self, lane: usize) -> u32 {
        let bit = |plane: &[u64; MOST_WORDS]| (plane[lane / 64] >> (lane % 64)) as u32 & 1;
        let sum: u32 = self.planes.iter().zip(0..).map(|(plane, place)| bit(plane) << place).sum();
        sum - self.begin
    }
}

#[inline(always)]
fn count<L: Lanes>(block: &Block, probe: &Probe, most: u32, counts: &mut Counts) -> bool {
    // what lacks more than `most` flows over the bits below the top; few of the many numbers of bits have code of their own
    match u32::BITS - most.leading_zeros() {
        ..=6 => count_to::<L, 2>(block, probe, most, counts),
        7 => count_to::<L, 3>(block, probe, most, counts),
        8 => count_to::<L, 4>(block, probe, most, counts),
        9 => count_to::<L, 5>(block, probe, most, counts),
        _ => count_to::<L, { PLANES - 4 }>(block, probe, most, counts),
    }
}

/// The same with counts of `4 + UPPER` bits: known beforehand, so that each has its register.
#[inline(always)]
fn count_to<L: Lanes, const UPPER: usize>(block: &Block, probe: &Probe, most: u32, counts: &mut Counts) -> bool {
    // the largest offset is the last: it is that of the place which no record lacks, or the places ascend
    assert!(probe.offsets.last().is_none_or(|last| block.holds::<L>(*last)), "probe and block have one shape");
    let begin = (1u32 << (4 + UPPER)) - 1 - most;
    let of_begin = |place: usize| L::splat(begin >> place & 1 == 1);
    let (mut ones, mut twos, mut fours, mut eights) = (of_begin(0), of_begin(1), of_begin(2), of_begin(3));
    let mut upper = [L::splat(false); UPPER];
    upper.iter_mut().zip(4..).for_each(|(plane, place)| *plane = of_begin(place));
    let mut over = L::splat(false);

    let rows = block.rows();
    for offsets in probe.offsets.as_chunks::<{ Probe::STEP }>().0 {
        // SAFETY: no offset is above the last one, behind which the block has a register's words
        let row = |at: usize| unsafe { L::load(rows.add(offsets[at] as usize)) };
        let mut carry;
        (ones, twos, fours, carry) = {
            let (ones, two_a) = ones.add(row(0), row(1));
            let (ones, two_b) = ones.add(row(2), row(3));
            let (twos, four_a) = twos.add(two_a, two_b);
            let (ones, two_a) = ones.add(row(4), row(5));
            let (ones, two_b) = ones.add(row(6), row(7));
            let (twos, four_b) = twos.add(two_a, two_b);
            let (fours, eight_a) = fours.add(four_a, four_b);
            let (ones, two_a) = ones.add(row(8), row(9));
            let (ones, two_b) = ones.add(row(10), row(11));
            let (twos, four_a) = twos.add(two_a, two_b);
            let (ones, two_a) = ones.add(row(12), row(13));
            let (ones, two_b) = ones.add(row(14), row(15));
            let (twos, four_b) = twos.add(two_a, two_b);
            let (fours, eight_b) = fours.add(four_a, four_b);
            let sixteen;
            (eights, sixteen) = eights.add(eight_a, eight_b);
            (ones, twos, fours, sixteen)
        };
        for plane in &mut upper {
            (*plane, carry) = (plane.xor(carry), plane.and(carry));
        }
        over = over.or(carry);
        if over.full() {
            return false;
        }
    }

    counts.begin = begin;
    counts.planes = [[0; MOST_WORDS]; PLANES];
    let planes = [ones, twos, fours, eights].into_iter().chain(upper);
    planes.zip(&mut counts.planes).for_each(|(plane, words)| plane.store(words));
    counts.within = [0; MOST_WORDS];
    over.store(&mut counts.within);
    counts.within[..L::WORDS].iter_mut().for_each(|word| *word = !*word);
    true
}
