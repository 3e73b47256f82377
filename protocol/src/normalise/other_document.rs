//! Numbers of documents that people have instead of a resident identity card (SPEC 4.6).

use super::date::is_day;
use super::resident_id::is_separator;

/// A number, and of what: equal numbers of two kinds of document are two persons'.
pub struct OtherDocument {
    class: &'static str,
    number: String,
}

impl OtherDocument {
    // SPEC 4.6  known by letters and length alone; one digit throughout fills a form, and a day belongs in another column
    pub fn read(clean: &str) -> Option<Self> {
        let text: String = clean.chars().filter(|c| !is_separator(*c)).collect();
        let digits = text.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let letters = &text[..text.len() - digits.len()];
        let constant = digits.bytes().all(|digit| Some(digit) == digits.bytes().next());
        if constant || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let class = match (letters.len(), digits.len()) {
            (1, 8 | 10) if matches!(letters, "h" | "m") => "hk-macau",
            (1, 8) | (2, 7) => "passport",
            (0, 8) if !is_date(digits) => "taiwan",
            (3, 12) => "foreign-card",
            _ => return None,
        };
        // a home-return permit's first nine name the holder for life, two more count its renewals
        let number = if class == "hk-macau" { text[..9].to_owned() } else { text };
        Some(Self { class, number })
    }

    /// Told from any other number by its letters.
    pub fn has_letters(&self) -> bool {
        !self.number.starts_with(|c: char| c.is_ascii_digit())
    }

    /// Class and number: never equal to a resident number, nor to another class's number.
    pub fn part(&self) -> String {
        format!("{} {}", self.class, self.number)
    }

    pub fn grams(&self) -> Vec<String> {
        self.number.chars().enumerate().map(|(at, c)| format!("d{at}{c}")).collect()
    }
}

/// Eight digits that are a day, its year first or last.
fn is_date(eight: &str) -> bool {
    let number = |range: std::ops::Range<usize>| eight[range].parse::<u32>().unwrap_or(0);
    let (first, last) = (number(0..4), number(4..8));
    let day_and_month = is_day(last, number(2..4), number(0..2)) || is_day(last, number(0..2), number(2..4));
    (first >= 1880 && is_day(first, number(4..6), number(6..8))) || ((1880..=2099).contains(&last) && day_and_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(number: &str, expect: &str) {
        let read = OtherDocument::read(&clean(number)).map(|document| document.part());
        assert_eq!(read.unwrap_or_default(), expect, "{number}");
    }

    #[test]
    fn documents_are_known_by_letters_and_length() {
        check("E12345678", "passport e12345678");
        check("Ｅ 1234-5678", "passport e12345678");
        check("EA1234567", "passport ea1234567");
        check("X12345678", "passport x12345678");
        check("H12345678", "hk-macau h12345678");
        check("M1234567801", "hk-macau m12345678");
        check("01234567", "taiwan 01234567");
        check("USA110105123456", "foreign-card usa110105123456");
    }

    #[test]
    fn what_has_another_form_is_no_document() {
        for text in [
            "",
            "E",
            "E1234567",
            "E1234567801",
            "EAB123456",
            "12345678E",
            "E1234567X",
            "123456789",
            "USA11010512345",
            "Е12345678",
            "*12345678",
            "A123456(7)",
        ] {
            check(text, "");
        }
    }

    #[test]
    fn what_a_form_was_filled_with_is_no_document() {
        for text in ["E00000000", "88888888", "19491231", "31121949", "12311949", "99991231"] {
            check(text, "");
        }
    }
}
