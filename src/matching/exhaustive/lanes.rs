//! One bit of many records at once: what the counting needs of a processor's registers.

/// A register that holds one bit each of `64 * WORDS` records.
pub(super) trait Lanes: Copy {
    const WORDS: usize;

    /// The same bit for every record.
    fn splat(bit: bool) -> Self;

    /// # Safety
    ///
    /// `WORDS` words can be read at `words`.
    unsafe fn load(words: *const u64) -> Self;

    fn store(self, words: &mut [u64]);
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;

    /// Three bits as two: their sum and the carry.
    fn add(self, two: Self, three: Self) -> (Self, Self);

    /// Whether the bit of every record is set.
    fn full(self) -> bool;
}

impl Lanes for u64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn splat(bit: bool) -> Self {
        if bit { !0 } else { 0 }
    }

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        // SAFETY: the caller's promise
        unsafe { *words }
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        words[0] = self;
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn add(self, two: Self, three: Self) -> (Self, Self) {
        let either = self ^ two;
        (either ^ three, (self & two) | (either & three))
    }

    #[inline(always)]
    fn full(self) -> bool {
        self == !0
    }
}
