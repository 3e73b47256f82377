//! Registers of x86-64: 256 records with AVX2, 512 with AVX-512.
//!
//! Every function here is inlined into a kernel that [`super::kernel`] hands out only where the processor has its feature.

use std::arch::x86_64::*;

use super::lanes::Lanes;

#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i);

impl Lanes for Avx2 {
    const WORDS: usize = 4;

    #[inline(always)]
    fn splat(bit: bool) -> Self {
        // SAFETY: AVX2 is there, see above; so for all of this type
        Self(unsafe { _mm256_set1_epi64x(-i64::from(bit)) })
    }

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        // SAFETY: the caller's promise: 32 bytes can be read
        Self(unsafe { _mm256_loadu_si256(words.cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        let words = &mut words[..Self::WORDS];
        // SAFETY: the slice has 32 bytes
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, two: Self, three: Self) -> (Self, Self) {
        let either = self.xor(two);
        (either.xor(three), self.and(two).or(either.and(three)))
    }

    #[inline(always)]
    fn full(self) -> bool {
        // SAFETY: as above
        unsafe { _mm256_testc_si256(self.0, _mm256_set1_epi64x(-1)) == 1 }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

impl Lanes for Avx512 {
    const WORDS: usize = 8;

    #[inline(always)]
    fn splat(bit: bool) -> Self {
        // SAFETY: AVX-512F is there, see above; so for all of this type
        Self(unsafe { _mm512_set1_epi64(-i64::from(bit)) })
    }

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        // SAFETY: the caller's promise: 64 bytes can be read
        Self(unsafe { _mm512_loadu_si512(words.cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        let words = &mut words[..Self::WORDS];
        // SAFETY: the slice has 64 bytes
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    // truth tables over the bits (a, b, c): 0x96 is their parity, 0xe8 their majority
    #[inline(always)]
    fn add(self, two: Self, three: Self) -> (Self, Self) {
        // SAFETY: as above
        unsafe {
            let sum = _mm512_ternarylogic_epi64::<0x96>(self.0, two.0, three.0);
            let carry = _mm512_ternarylogic_epi64::<0xe8>(self.0, two.0, three.0);
            (Self(sum), Self(carry))
        }
    }

    #[inline(always)]
    fn full(self) -> bool {
        // SAFETY: as above
        unsafe { _mm512_cmpeq_epi64_mask(self.0, _mm512_set1_epi64(-1)) == 0xff }
    }
}
