//! Decimal numbers that are near one another though not equal (SPEC 4.12).

/// A number as an integer of units of 10^-`decimals`: exact, and the same on every platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    units: i128,
    decimals: u32,
}

/// A number, and how far from it others are still near.
pub struct Quantity {
    value: Decimal,
    tolerance: Decimal,
}

/// Digits before and after the point: 36 together fit an `i128`, with room for a sum.
const MOST_DIGITS: usize = 18;
const CURRENCIES: [&str; 8] = ["¥", "$", "€", "£", "rmb", "cny", "人民币", "元"];
/// Between groups of three digits.
const THOUSANDS: [char; 4] = [',', ' ', '\'', '’'];

impl Quantity {
    pub fn read(clean: &str, tolerance: Decimal) -> Option<Self> {
        Some(Self { value: Decimal::read(&without_currency(clean))?, tolerance })
    }

    // SPEC 4.12  two grids of cells twice the tolerance wide, one shifted by half a cell
    pub fn cells(&self) -> Vec<String> {
        let decimals = self.value.decimals.max(self.tolerance.decimals);
        let (value, tolerance) = (self.value.units_of(decimals), self.tolerance.units_of(decimals));
        let cell = |from: i128| from.div_euclid(2 * tolerance);
        vec![format!("a{}", cell(value)), format!("b{}", cell(value + tolerance))]
    }
}

impl Decimal {
    // SPEC 4.12  a sign, digits with or without separators every three, perhaps a point and digits
    pub fn read(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(['-', '−']) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = without_thousands(whole)?;
        let fraction = fraction.trim_end_matches('0');
        let known = |digits: &str| digits.len() <= MOST_DIGITS && digits.bytes().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !known(&whole) || !known(fraction) {
            return None;
        }
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        let decimals = u32::try_from(fraction.len()).expect("at most 18");
        Some(Self { units: if negative { -units } else { units }, decimals })
    }

    /// A schema's tolerance: the shortest decimal that is this number, as the schema writes it.
    pub fn of_tolerance(tolerance: f64) -> Self {
        Self::read(&tolerance.to_string()).expect("validated: a tolerance has few digits")
    }

    fn units_of(self, decimals: u32) -> i128 {
        self.units * 10i128.pow(decimals - self.decimals)
    }
}

/// `¥1,200`, `1200元`, `-¥5`: the sign stays.
fn without_currency(clean: &str) -> String {
    let (sign, number) = match clean.strip_prefix(['-', '−']) {
        Some(rest) => ("-", rest),
        None => ("", clean),
    };
    let stripped = |text: &str| -> String {
        let front = CURRENCIES.iter().find_map(|sign| text.strip_prefix(sign)).unwrap_or(text);
        let both = CURRENCIES.iter().find_map(|sign| front.strip_suffix(sign)).unwrap_or(front);
        both.trim().to_owned()
    };
    format!("{sign}{}", stripped(number.trim_start()))
}

/// Digits in groups of three after the first, or in one.
fn without_thousands(whole: &str) -> Option<String> {
    let mut groups = whole.split(THOUSANDS);
    let first = groups.next()?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !(1..=3).contains(&first.len()) {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(text: &str, tolerance: f64, expect: &str) {
        let quantity = Quantity::read(&clean(text), Decimal::of_tolerance(tolerance));
        assert_eq!(quantity.map(|quantity| quantity.cells().join(" ")).unwrap_or_default(), expect, "{text}");
    }

    #[test]
    fn one_number_however_it_is_written() {
        for text in [
            "1234.5",
            "1,234.50",
            "１，２３４．５",
            "¥1,234.5",
            "￥ 1234.5元",
            "1 234.5",
            "RMB 1'234.5",
            "+1234.5",
            "人民币1234.5元",
        ] {
            check(text, 5.0, "a123 b123");
        }
        check("-1", 5.0, "a-1 b0");
        check("-¥6.00", 5.0, "a-1 b-1");
        check("0", 5.0, "a0 b0");
        check("0.3", 0.1, "a1 b2");
        check("999999999999999999.999999999999999999", 1e14, "a4999 b5000");
    }

    #[test]
    fn what_is_no_number_is_malformed() {
        for text in [
            "",
            "12,34",
            "1234,567",
            "1.2万",
            "1.2.3",
            ".5",
            "12-13",
            "--5",
            "5-",
            "¥",
            "1e3",
            "9999999999999999999",
            "五",
        ] {
            check(text, 5.0, "");
        }
    }

    fn cells(hundredths: i64, tolerance: f64) -> Vec<String> {
        let text = format!(
            "{}{}.{:02}",
            if hundredths < 0 { "-" } else { "" },
            hundredths.abs() / 100,
            hundredths.abs() % 100
        );
        Quantity::read(&text, Decimal::of_tolerance(tolerance)).unwrap().cells()
    }

    proptest! {
        #[test]
        fn what_is_within_the_tolerance_shares_a_cell_and_what_is_beyond_twice_never_does(
            value in -1_000_000_000_000i64..1_000_000_000_000,
            tolerance in 1i64..1_000_000,
            apart in 0.0f64..3.0,
        ) {
            let apart = (apart * tolerance as f64).round() as i64;
            let other = cells(value + apart, tolerance as f64 / 100.0);
            let shared = cells(value, tolerance as f64 / 100.0).iter().any(|cell| other.contains(cell));
            prop_assert!(shared || apart > tolerance);
            prop_assert!(!shared || apart < 2 * tolerance);
        }
    }
}
