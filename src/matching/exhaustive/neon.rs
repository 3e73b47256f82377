//! Registers of AArch64, which always has NEON: 128 records.

use std::arch::aarch64::*;

use super::lanes::Lanes;

#[derive(Clone, Copy)]
pub(super) struct Neon(uint64x2_t);

impl Lanes for Neon {
    const WORDS: usize = 2;

    #[inline(always)]
    fn splat(bit: bool) -> Self {
        // SAFETY: every AArch64 processor has NEON; so for all of this type
        Self(unsafe { vdupq_n_u64(if bit { !0 } else { 0 }) })
    }

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        // SAFETY: the caller's promise: 16 bytes can be read
        Self(unsafe { vld1q_u64(words) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        let words = &mut words[..Self::WORDS];
        // SAFETY: the slice has 16 bytes
        unsafe { vst1q_u64(words.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { vandq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { vorrq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as above
        Self(unsafe { veorq_u64(self.0, other.0) })
    }

    // the carry is the third bit where the other two differ, and one of them where they do not
    #[inline(always)]
    fn add(self, two: Self, three: Self) -> (Self, Self) {
        let either = self.xor(two);
        // SAFETY: as above
        let carry = Self(unsafe { vbslq_u64(either.0, three.0, self.0) });
        (either.xor(three), carry)
    }

    #[inline(always)]
    fn full(self) -> bool {
        // SAFETY: as above
        unsafe { vgetq_lane_u64::<0>(self.0) & vgetq_lane_u64::<1>(self.0) == !0 }
    }
}
