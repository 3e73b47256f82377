//! Numbers as Python's `int` and `float` read them, which is what clkhash accepts.

use num_bigint::BigInt;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Python refuses to read more digits than this (CPython 3.11, `sys.int_info.default_max_str_digits`).
const MOST_DIGITS: usize = 4300;

/// White space around, one sign, decimal digits of any script, single underscores between them.
pub fn integer(text: &str) -> Option<BigInt> {
    let plain = plain(text)?;
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let ok = !digits.is_empty() && digits.len() <= MOST_DIGITS && digits.bytes().all(|c| c.is_ascii_digit());
    ok.then(|| plain.parse().ok()).flatten()
}

pub fn float(text: &str) -> Option<f64> {
    let plain = plain(text)?;
    // what Rust and Python read alike; Python's `infinity` and `nan` are read too, and refused by who needs a number
    plain.parse().ok()
}

/// Without white space and underscores, digits in ASCII.
fn plain(text: &str) -> Option<String> {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let plain: String = trimmed.chars().map(|c| digit(c).unwrap_or(c)).collect();
    let mut before = None;
    let mut characters = plain.chars().peekable();
    while let Some(c) = characters.next() {
        let between =
            before.is_some_and(|c: char| c.is_ascii_digit()) && characters.peek().is_some_and(char::is_ascii_digit);
        if c == '_' && !between {
            return None;
        }
        before = Some(c);
    }
    Some(plain.replace('_', ""))
}

/// The ASCII digit of a decimal digit of any script: Unicode lays each script's ten out in a row.
pub fn digit(c: char) -> Option<char> {
    let decimal = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    if !decimal(c) {
        return None;
    }
    let before = (1..).take_while(|back| char::from_u32(c as u32 - back).is_some_and(decimal)).count();
    char::from_digit(u32::try_from(before).ok()? % 10, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_python_reads_them() {
        for (text, value) in [("7", 7), (" +7\n", 7), ("-0_7", -7), ("٣", 3), ("１２", 12), ("𝟡", 9)] {
            assert_eq!(integer(text), Some(BigInt::from(value)), "{text}");
        }
        for text in ["", "+", "_7", "7_", "1__0", "- 7", "7.0", "0x7", "seven", "²"] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert!(integer(&"9".repeat(MOST_DIGITS)).is_some() && integer(&"9".repeat(MOST_DIGITS + 1)).is_none());
    }

    #[test]
    fn floats_as_python_reads_them() {
        for (text, value) in [("1e3", 1000.0), (" .5", 0.5), ("5.", 5.0), ("1_0.5", 10.5), ("-1E-2", -0.01)] {
            assert_eq!(float(text), Some(value), "{text}");
        }
        for text in ["", ".", "1_.5", "0x1p3", "1,5"] {
            assert_eq!(float(text), None, "{text}");
        }
    }
}
