//! Filters of one length, side by side, and the same by weight.

use std::fmt;

/// Bits of a filter at most.
pub const MOST_BITS: usize = 16_384;

/// Filters of one length. Personal data: not printed.
#[derive(Clone, Default)]
pub struct Filters {
    words: usize,
    bits: Vec<u64>,
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({} of {} bits)", self.len(), self.length())
    }
}

impl Filters {
    /// `bytes` is a whole number of filters of `length` bytes; none where the length is not one that is compared.
    pub fn new(bytes: &[u8], length: usize) -> Option<Self> {
        let fits =
            length > 0 && length.is_multiple_of(8) && 8 * length <= MOST_BITS && bytes.len().is_multiple_of(length);
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        fits.then(|| Self { words: length / 8, bits: words.collect() })
    }

    pub fn len(&self) -> usize {
        self.bits.len().checked_div(self.words).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Bits of a filter.
    pub fn length(&self) -> usize {
        64 * self.words
    }

    pub fn get(&self, row: usize) -> &[u64] {
        &self.bits[row * self.words..][..self.words]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.bits.chunks_exact(self.words.max(1))
    }
}

pub fn weight(filter: &[u64]) -> u32 {
    filter.iter().map(|word| word.count_ones()).sum()
}

/// Filters in the order of their weights (bits set), lightest first; equal ones by row.
pub(super) struct ByWeight {
    pub filters: Filters,
    /// Where each stood before.
    pub rows: Vec<u32>,
    pub weights: Vec<u32>,
}

impl ByWeight {
    pub fn new(filters: &Filters) -> Self {
        let all: Vec<u32> = filters.iter().map(weight).collect();
        let count = u32::try_from(all.len()).expect("row numbers are 32 bits");
        let mut rows: Vec<u32> = (0..count).collect();
        rows.sort_by_key(|row| all[*row as usize]);
        let mut bits = Vec::with_capacity(filters.bits.len());
        rows.iter().for_each(|row| bits.extend_from_slice(filters.get(*row as usize)));
        let weights = rows.iter().map(|row| all[*row as usize]).collect();
        Self { filters: Filters { words: filters.words, bits }, rows, weights }
    }
}
