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
        // Macau's cards had strokes before they had brackets: 1/234567/8
        let strokes: Vec<&str> = text.split('/').collect();
        let text = match strokes[..] {
            [one, six, check] if (one.len(), six.len()) == (1, 6) => format!("{one}{six}({check})"),
            _ => text,
        };
        if let Some(card) = Self::identity_card(&text) {
            return Some(card);
        }
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

    // SPEC 4.6  identity cards of Hong Kong and Macau are known by a check digit in brackets, Taiwan's by their check digit
    fn identity_card(text: &str) -> Option<Self> {
        let bracketed = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (body, check) = bracketed.or_else(|| text.split_at_checked(text.len().checked_sub(1)?))?;
        let letters = body.bytes().take_while(u8::is_ascii_lowercase).count();
        let digits = &body.as_bytes()[letters..];
        if !digits.iter().all(u8::is_ascii_digit) || check.len() != 1 {
            return None;
        }
        let check = check.as_bytes()[0];
        let class = match (letters, digits.len()) {
            (1, 6) if hong_kong_check_digit(body) == check => "hk-card",
            (2, 6) if bracketed.is_some() && hong_kong_check_digit(body) == check => "hk-card",
            (0, 7) if bracketed.is_some() && matches!(digits[0], b'1' | b'5' | b'7') && check.is_ascii_digit() => {
                "macau-card"
            }
            (1, 8) if matches!(digits[0], b'1' | b'2' | b'8' | b'9') && taiwan_check_digit(body) == check => {
                "taiwan-card"
            }
            _ => return None,
        };
        Some(Self { class, number: format!("{body}{}", check as char) })
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

/// Letters are 10 to 35, one that lacks is 36; weights 9 to 2; modulo 11, ten is `a`.
fn hong_kong_check_digit(body: &str) -> u8 {
    let value = |c: u8| u32::from(if c.is_ascii_digit() { c - b'0' } else { c - b'a' + 10 });
    let lacking = if body.len() == 7 { 36 * 9 } else { 0 };
    let sum: u32 = body.bytes().rev().zip(2..).map(|(c, weight)| value(c) * weight).sum::<u32>() + lacking;
    match (11 - sum % 11) % 11 {
        10 => b'a',
        digit => b'0' + digit as u8,
    }
}

/// A letter is two digits by its place in `ABCDEFGHJKLMNPQRSTUVXYWZIO`, from 10; weights 1 and 9 to 1; modulo 10.
fn taiwan_check_digit(body: &str) -> u8 {
    let (letter, digits) = body.split_at(1);
    let number = 10 + "abcdefghjklmnpqrstuvxywzio".find(letter).unwrap_or(0) as u32;
    let weighed: u32 = digits.bytes().zip((1..=8).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    b'0' + ((10 - (number / 10 + number % 10 * 9 + weighed) % 10) % 10) as u8
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
    fn identity_cards_are_known_by_their_check_digits() {
        for number in ["A123456(3)", "A1234563", "a123456（3）"] {
            check(number, "hk-card a1234563");
        }
        check("G123456(A)", "hk-card g123456a");
        check("AB987654(3)", "hk-card ab9876543");
        check("AB9876543", "passport ab9876543");
        check("A123456789", "taiwan-card a123456789");
        check("A800000014", "taiwan-card a800000014");
        check("1234567(8)", "macau-card 12345678");
        check("1/234567/8", "macau-card 12345678");
        for wrong in ["A123456(7)", "A1234567", "A123456788", "2234567(8)", "A323456789", "1234567(x)", "()", "(3)"] {
            check(wrong, "");
        }
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
