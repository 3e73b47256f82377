//! Filters turned by a quarter: for each bit of a filter, that bit of many records side by side.

use super::filters::{Filters, weight};
use super::lanes::Lanes;

/// A cache line, and a register of AVX-512: what rows of a block are aligned to.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

const LINE: usize = 8;

/// The order in which bits are looked at: what fewest records have first, so that most records are soon found lacking.
pub(super) struct Order {
    /// For each bit of a filter its place.
    places: Vec<u16>,
}

impl Order {
    /// By the bits' frequencies in `filters`.
    pub fn of(filters: &Filters) -> Self {
        let mut frequency = vec![0u32; filters.length()];
        for filter in filters.iter() {
            for_each_bit(filter, |bit| frequency[bit] += 1);
        }
        let mut bits: Vec<u16> = (0..=u16::MAX).take(filters.length()).collect();
        bits.sort_by_key(|bit| frequency[usize::from(*bit)]);
        let mut places = vec![0; bits.len()];
        (0..=u16::MAX).zip(&bits).for_each(|(place, bit)| places[usize::from(*bit)] = place);
        Self { places }
    }

    fn place(&self, bit: usize) -> usize {
        usize::from(self.places[bit])
    }
}

fn for_each_bit(filter: &[u64], mut act: impl FnMut(usize)) {
    for (at, word) in filter.iter().enumerate() {
        let mut rest = *word;
        while rest != 0 {
            act(64 * at + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}

/// Up to `64 * words` records: for each place in the order, which records *lack* that bit.
pub(super) struct Block {
    lines: Vec<Line>,
}

impl Block {
    /// The records `from..to` of `filters`. The lanes after them lack every bit.
    pub fn of(filters: &Filters, (from, to): (usize, usize), order: &Order, words: usize) -> Self {
        let places = filters.length();
        let mut lines = vec![Line([0; LINE]); ((places + 1) * words).div_ceil(LINE)];
        let mut square = [0u64; 64];
        for word in 0..places / 64 {
            for lanes in 0..words {
                for (lane, row) in square.iter_mut().enumerate() {
                    let record = from + 64 * lanes + lane;
                    *row = if record < to { !filters.get(record)[word] } else { !0 };
                }
                transpose(&mut square);
                for (bit, row) in square.iter().enumerate() {
                    let at = order.place(64 * word + bit) * words + lanes;
                    lines[at / LINE].0[at % LINE] = *row;
                }
            }
        }
        Self { lines }
    }

    /// `words` words for each place, and for one that no record lacks.
    pub fn rows(&self) -> *const u64 {
        self.lines.as_ptr().cast()
    }

    /// Whether a register's words can be read at this offset.
    pub fn holds<L: Lanes>(&self, offset: u32) -> bool {
        offset as usize + L::WORDS <= LINE * self.lines.len()
    }
}

/// The bits that a filter has, in the order, as offsets into a block's rows; a multiple of [`Probe::STEP`] of them.
pub(super) struct Probe {
    pub offsets: Vec<u32>,
}

impl Probe {
    pub const STEP: usize = 16;

    pub fn of(filter: &[u64], order: &Order, words: usize) -> Self {
        let mut ordered = vec![0u64; filter.len()];
        for_each_bit(filter, |bit| {
            let place = order.place(bit);
            ordered[place / 64] |= 1 << (place % 64);
        });
        let mut offsets = Vec::with_capacity(weight(filter) as usize + Self::STEP);
        for_each_bit(&ordered, |place| offsets.push((place * words) as u32));
        // what no record lacks changes no count
        offsets.resize(offsets.len().next_multiple_of(Self::STEP), (64 * filter.len() * words) as u32);
        Self { offsets }
    }
}

/// Bit `j` of word `i` becomes bit `i` of word `j` (Warren, Hacker's Delight, 7-3).
fn transpose(square: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_ffff_ffffu64);
    while width > 0 {
        let mut at = 0;
        while at < 64 {
            let swapped = ((square[at] >> width) ^ square[at + width]) & mask;
            square[at] ^= swapped << width;
            square[at + width] ^= swapped;
            at = (at + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_turned() {
        let mut square = [0u64; 64];
        square.iter_mut().zip(0u64..).for_each(|(row, at)| *row = at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let before = square;
        transpose(&mut square);
        for (i, row) in square.iter().enumerate() {
            for (j, other) in before.iter().enumerate() {
                assert_eq!(row >> j & 1, other >> i & 1, "{i} {j}");
            }
        }
    }
}
