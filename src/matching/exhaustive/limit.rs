//! When a pair of filters is similar enough: exact, in integers.

use std::str::FromStr;

/// How similar two filters are, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// 2·|a ∧ b| / (|a| + |b|); of two empty filters 0.
    Dice,
    /// 1 − |a ⊕ b| / length.
    Hamming,
}

/// A similarity as it was written: a decimal fraction, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    numerator: u64,
    denominator: u64,
}

impl Threshold {
    /// As many as a numerator times the weights of two filters leaves room for in 64 bits.
    const DECIMALS: usize = 14;

    /// A little less than `similarity`, however that was rounded: no pair that reaches it is lost.
    pub fn below(similarity: f64) -> Self {
        let denominator = 1_000_000_000;
        let numerator = (similarity.clamp(0.0, 1.0) * denominator as f64).floor() as u64;
        Self { numerator: numerator.saturating_sub(1), denominator }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no similarity: a number from 0 to 1 with at most {} decimals", Self::DECIMALS);
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + decimals.len() == 0 || !digits(whole) || !digits(decimals) {
            return Err(wrong());
        }
        // .90 is .9
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > Self::DECIMALS {
            return Err(wrong());
        }
        let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>().map_err(|_| wrong()) };
        let denominator = 10u64.pow(decimals.len() as u32);
        let (whole, decimals) = (number(whole)?, number(decimals)?);
        let numerator = whole.checked_mul(denominator).and_then(|whole| whole.checked_add(decimals));
        let numerator = numerator.filter(|numerator| *numerator <= denominator).ok_or_else(wrong)?;
        Ok(Self { numerator, denominator })
    }
}

/// The weights of two filters, and the bits that both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub a: u32,
    pub b: u32,
    pub both: u32,
}

/// What a pair must share to be found.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub measure: Measure,
    pub threshold: Threshold,
    /// Length of the filters.
    pub bits: u32,
}

impl Limit {
    /// The least |a ∧ b| with which filters of these weights (bits set) reach the threshold. It grows with either weight.
    pub fn overlap(&self, a: u32, b: u32) -> u32 {
        let Threshold { numerator, denominator } = self.threshold;
        let sum = u64::from(a) + u64::from(b);
        let least = match self.measure {
            Measure::Dice if sum == 0 => numerator.min(1),
            Measure::Dice => (numerator * sum).div_ceil(2 * denominator),
            Measure::Hamming => {
                let distance = u64::from(self.bits) * (denominator - numerator) / denominator;
                sum.saturating_sub(distance).div_ceil(2)
            }
        };
        u32::try_from(least).expect("no more than the sum of two weights")
    }

    pub fn score(&self, Overlap { a, b, both }: Overlap) -> f64 {
        match self.measure {
            Measure::Dice if a + b == 0 => 0.0,
            Measure::Dice => f64::from(2 * both) / f64::from(a + b),
            Measure::Hamming => f64::from(self.bits - (a + b - 2 * both)) / f64::from(self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(measure: Measure, threshold: &str) -> Limit {
        Limit { measure, threshold: threshold.parse().unwrap(), bits: 1024 }
    }

    #[test]
    fn a_threshold_is_what_was_written() {
        for (text, numerator, denominator) in
            [("0.8", 8, 10), (".85", 85, 100), ("1", 1, 1), ("0", 0, 1), ("1.000", 1, 1), ("0.", 0, 1), ("0.80", 8, 10)]
        {
            assert_eq!(text.parse(), Ok(Threshold { numerator, denominator }), "{text}");
        }
        for text in ["", ".", "-0.5", "1.1", "0,8", "8e-1", "0.123456789012345", "99999999999999999999", "٠.٨"] {
            assert!(text.parse::<Threshold>().unwrap_err().contains("from 0 to 1"), "{text}");
        }
    }

    #[test]
    fn a_dice_of_exactly_the_threshold_is_found() {
        // 2 · 300 / (300 + 500) = .75, which anonlink loses where the second filter is the fuller
        assert_eq!(limit(Measure::Dice, "0.75").overlap(300, 500), 300);
        assert_eq!(limit(Measure::Dice, "0.750000001").overlap(300, 500), 301);
        assert_eq!(limit(Measure::Dice, "0.8").overlap(4, 1), 2);
        // the fullest filters at the finest threshold
        assert_eq!(limit(Measure::Dice, "0.99999999999999").overlap(16_384, 16_384), 16_384);
    }

    #[test]
    fn two_empty_filters_are_not_alike_but_at_no_distance() {
        assert_eq!((limit(Measure::Dice, "0").overlap(0, 0), limit(Measure::Dice, "0.1").overlap(0, 0)), (0, 1));
        assert_eq!(limit(Measure::Dice, "1").score(Overlap { a: 0, b: 0, both: 0 }), 0.0);
        assert_eq!(limit(Measure::Hamming, "1").overlap(0, 0), 0);
        assert_eq!(limit(Measure::Hamming, "1").score(Overlap { a: 0, b: 0, both: 0 }), 1.0);
    }

    proptest! {
        #[test]
        fn the_limit_is_the_first_overlap_whose_similarity_reaches(
            a in 0u32..=1024, b in 0u32..=1024, thousandths in 0u64..=1000, hamming in any::<bool>(),
        ) {
            let measure = if hamming { Measure::Hamming } else { Measure::Dice };
            let limit = limit(measure, &format!("{}.{:03}", thousandths / 1000, thousandths % 1000));
            let least = limit.overlap(a, b);
            for overlap in (a + b).saturating_sub(1024)..=a.min(b) {
                let (sum, both) = (u64::from(a + b), u64::from(overlap));
                let reaches = match measure {
                    Measure::Dice => sum > 0 && 2 * both * 1000 >= thousandths * sum || thousandths == 0,
                    Measure::Hamming => (1024 - (sum - 2 * both)) * 1000 >= thousandths * 1024,
                };
                prop_assert_eq!(overlap >= least, reaches, "{} of {} and {}", overlap, a, b);
            }
            prop_assert!(limit.overlap(a + 1, b) >= least && limit.overlap(a, b + 1) >= least);
        }
    }
}
