//! Telephone numbers: what is dialled, however it was written down (SPEC 4.9).

use super::text;
use crate::schema::Part;

/// Numbers read of one cell: more are no one person's.
const MOST_NUMBERS: usize = 4;
/// Fewer digits are an extension, or an end that stands for a whole number.
const FEWEST_DIGITS: usize = 7;
const EXTENSIONS: [&str; 9] = ["转", "轉", "分机", "分機", "内线", "內線", "ext", "x", "#"];

/// Country codes of one and two digits (ITU-T E.164, 2016); all others have three.
const ONE_DIGIT: [&str; 2] = ["1", "7"];
const TWO_DIGITS: &str = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 \
     93 94 95 98";
/// Countries that dial a 0 before a number at home.
const TRUNK: &str =
    "20 27 31 32 33 40 41 43 44 46 49 60 61 62 63 64 66 81 82 84 86 90 91 92 93 94 95 98 353 358 380 886 971 972";

/// The numbers of a cell, each the last eleven digits of what is dialled within its country; at least one.
pub struct Phones(Vec<String>);

impl Phones {
    // SPEC 4.9  the numbers between marks; a cell whose first piece is too short for one is one number
    pub fn read(clean: &str) -> Option<Self> {
        let pieces =
            || clean.split(['/', ';', ',', '、', '|']).filter(|piece| piece.contains(|c: char| c.is_ascii_digit()));
        let mut numbers: Vec<String> = Vec::new();
        if let Some(Piece::TooShort) = pieces().next().map(Piece::read) {
            numbers.extend(Piece::read(clean).number());
        } else {
            for number in pieces().filter_map(|piece| Piece::read(piece).number()) {
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        }
        numbers.truncate(MOST_NUMBERS);
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    pub fn part(&self, part: Part) -> Vec<String> {
        let mut alternatives: Vec<String> = Vec::with_capacity(self.0.len());
        for part in self.0.iter().filter_map(|number| digits_part(number, part)) {
            if !alternatives.contains(&part) {
                alternatives.push(part);
            }
        }
        alternatives
    }

    pub fn grams(&self) -> Vec<String> {
        text::positional(&self.0[0])
    }
}

/// A part of digits, of which a telephone number is a case.
pub fn digits_part(number: &str, part: Part) -> Option<String> {
    let (head, last_4) = number.split_at(number.len().saturating_sub(4));
    match part {
        Part::Number => Some(number.to_owned()),
        Part::Last4 => Some(last_4.to_owned()),
        Part::AllButLast4 => (!head.is_empty()).then(|| head.to_owned()),
        _ => None,
    }
}

enum Piece {
    Number(String),
    TooShort,
    /// One digit throughout.
    Constant,
}

impl Piece {
    fn read(text: &str) -> Self {
        let dialled = dialled(without_extension(text));
        let last = &dialled[dialled.len().saturating_sub(11)..];
        if last.len() < FEWEST_DIGITS {
            return Self::TooShort;
        }
        let constant = last.bytes().all(|digit| Some(digit) == last.bytes().next());
        if constant { Self::Constant } else { Self::Number(last.to_owned()) }
    }

    fn number(self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number),
            Self::TooShort | Self::Constant => None,
        }
    }
}

// SPEC 4.9  what follows a word or sign for an extension goes, and a short last group behind a whole number, and `.0`
fn without_extension(text: &str) -> &str {
    if text.bytes().all(|c| c.is_ascii_digit()) {
        return text;
    }
    let marks = EXTENSIONS.iter().flat_map(|mark| text.match_indices(mark)).map(|(at, _)| at);
    let cut = marks.filter(|at| digits(&text[..*at]).len() >= FEWEST_DIGITS).min();
    let text = cut.map_or(text, |at| &text[..at]).trim_end();
    let number = text::whole(text);
    if number.len() < text.len() && number.len() >= FEWEST_DIGITS {
        return number;
    }
    match text.rsplit_once('-') {
        Some((number, group)) if is_group(group) && is_whole(number) => number,
        _ => text,
    }
}

fn is_group(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
}

/// A Chinese number that nothing is missing of: an area code with its 0, and seven or eight digits together; or a mobile's.
fn is_whole(text: &str) -> bool {
    let together = text.bytes().rev().take_while(u8::is_ascii_digit).count() >= FEWEST_DIGITS;
    let dialled = dialled(text);
    let landline = dialled.starts_with('0') && !dialled.starts_with("00") && (10..=12).contains(&dialled.len());
    together && (landline || dialled.len() == 11 && dialled.starts_with('1'))
}

// SPEC 4.9  digits; of a number with a country code, those that are dialled within the country
fn dialled(text: &str) -> String {
    let all = digits(text);
    let Some(international) = international(text, &all) else { return all };
    let code = country_code(international);
    let (country, national) = international.split_at(code);
    let mobile_in_china = country == "86" && national.len() == 11 && national.starts_with('1');
    if mobile_in_china || national.starts_with('0') || !TRUNK.split(' ').any(|trunk| trunk == country) {
        return national.to_owned();
    }
    format!("0{national}")
}

/// The digits from the country code on, where there is one: behind `+`, or behind `00` and long enough.
fn international<'a>(text: &str, all: &'a str) -> Option<&'a str> {
    let signed = text.find('+').is_some_and(|at| digits(&text[..at]).is_empty());
    let international = if signed { Some(all) } else { all.strip_prefix("00") };
    international.filter(|digits| digits.len() >= FEWEST_DIGITS + 3 && !digits.starts_with('0'))
}

fn country_code(international: &str) -> usize {
    let begins = |code: &str| international.starts_with(code);
    if ONE_DIGIT.into_iter().any(begins) {
        1
    } else if TWO_DIGITS.split(' ').any(begins) {
        2
    } else {
        3
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(cell: &str, expect: &str) {
        let numbers = Phones::read(&clean(cell));
        assert_eq!(numbers.map(|numbers| numbers.part(Part::Number).join("|")).unwrap_or_default(), expect, "{cell}");
    }

    #[test]
    fn one_number_however_it_is_written() {
        for text in ["13812345678", "+8613812345678", "86-13812345678", "138 1234 5678", "138-1234-5678"] {
            check(text, "13812345678");
        }
        for text in ["008613812345678", "13812345678.0", "手机：13812345678", "138/1234/5678", "（+86）138 1234 5678"]
        {
            check(text, "13812345678");
        }
        check("00000000000", "");
        check("12345", "");
        assert_eq!(Phones::read("13812345678").unwrap().part(Part::Last4), ["5678"]);
    }

    #[test]
    fn an_extension_is_no_part_of_a_number() {
        for text in [
            "010-66778899转801",
            "010-66778899-801",
            "(010)66778899-801",
            "010-66778899 ext. 801",
            "010 66778899 x801",
            "01066778899#801",
            "010-66778899分机801",
            "+86-10-66778899-801",
            "+86 (010) 6677 8899",
            "010/66778899",
            "010-6677-8899",
            "01066778899.00",
        ] {
            check(text, "01066778899");
        }
        check("138-1234-567", "1381234567");
        check("13812345678-801", "13812345678");
        check("0044-20-7946-0958", "02079460958");
        check("0151-234567-89", "15123456789");
        check("0755-8265-1234", "75582651234");
    }

    #[test]
    fn a_country_code_gives_way_to_the_trunk_digit() {
        for text in ["0412 345 678", "+61 412 345 678", "0061412345678", "+61 (0)412 345 678"] {
            check(text, "0412345678");
        }
        check("+44 20 7946 0958", "02079460958");
        check("+1 (212) 555-0123", "2125550123");
        check("+852 2345 6789", "23456789");
        check("+39 06 1234 5678", "0612345678");
        check("+49 1512 3456789", "15123456789");
    }

    #[test]
    fn two_numbers_are_alternatives() {
        for text in [
            "13812345678/13987654321",
            "13812345678；13987654321",
            "13812345678、13987654321",
            "13812345678, 13987654321",
        ] {
            check(text, "13812345678|13987654321");
        }
        check("13812345678 / +86 13812345678", "13812345678");
        check("010-66778899/900", "01066778899");
        check("66778899转801/802", "66778899");
        check("无/13812345678", "13812345678");
        check("00000000000/13812345678", "13812345678");
        let many = (1..=9).map(|n| format!("1381234567{n}")).collect::<Vec<_>>().join("/");
        assert_eq!(Phones::read(&many).unwrap().part(Part::Number).len(), MOST_NUMBERS);
        assert_eq!(Phones::read("13812345678/13987654321").unwrap().grams().len(), 11);
    }
}
