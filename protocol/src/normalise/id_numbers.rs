//! The identity numbers in a cell: one, or one and those that its holder had before (SPEC 4.6).

use super::FieldState;
use super::other_document::OtherDocument;
use super::resident_id::ResidentId;
use super::script::is_han;
use super::text;
use crate::schema::Part;

/// Numbers read of one cell: more are no one person's.
const MOST_NUMBERS: usize = 4;

pub struct IdNumbers {
    number: Number,
    /// Valid numbers of the cell beside `number`, as parts.
    former: Vec<String>,
}

enum Number {
    Resident(ResidentId),
    Other(OtherDocument),
}

impl IdNumbers {
    // SPEC 4.6  a cell that reads as one number is one; otherwise the numbers between marks and words for "former"
    pub fn read(clean: &str) -> Option<Self> {
        if let Some(number) = Number::read(clean) {
            return Some(Self { number, former: Vec::new() });
        }
        let pieces = clean.split(|c| "/;,、|()[]〔〕【】曾原旧舊".contains(c)).map(without_label);
        // beside a number, eight digits may be a telephone's
        let several = pieces.filter_map(Number::read).filter(|number| !number.is_eight_digits());
        let mut several: Vec<Number> = several.take(MOST_NUMBERS).collect();
        let first = (0..several.len()).min_by_key(|at| several[*at].rank())?;
        let number = several.remove(first);
        let mut former: Vec<String> = Vec::new();
        for whole in several.iter().filter_map(Number::whole) {
            if number.whole().as_ref() != Some(&whole) && !former.contains(&whole) {
                former.push(whole);
            }
        }
        Some(Self { number, former })
    }

    pub fn state(&self) -> FieldState {
        match &self.number {
            Number::Resident(number) => number.state(),
            Number::Other(_) => FieldState::OtherDocument,
        }
    }

    pub fn part(&self, part: Part) -> Vec<String> {
        let whole = matches!(part, Part::Id18 | Part::Repairs);
        let mut alternatives = match &self.number {
            Number::Resident(number) => number.part(part),
            Number::Other(document) if whole => vec![document.part()],
            Number::Other(_) => Vec::new(),
        };
        if whole {
            alternatives.extend_from_slice(&self.former);
        }
        alternatives
    }

    pub fn grams(&self) -> Vec<String> {
        match &self.number {
            Number::Resident(number) => text::positional(number.digits()),
            Number::Other(document) => document.grams(),
        }
    }
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let other = || OtherDocument::read(text).map(Self::Other);
        ResidentId::read(text).map(Self::Resident).or_else(other)
    }

    /// The number as a part, if nothing is wrong with it.
    fn whole(&self) -> Option<String> {
        match self {
            Self::Resident(number) => number.is_whole().then(|| number.digits().to_owned()),
            Self::Other(document) => Some(document.part()),
        }
    }

    fn is_eight_digits(&self) -> bool {
        matches!(self, Self::Other(document) if !document.has_letters())
    }

    /// Which of several is the number: a valid resident number, then another document's, then one to be repaired.
    fn rank(&self) -> u8 {
        match self {
            Self::Resident(number) if number.is_whole() => 0,
            Self::Other(_) => 1,
            Self::Resident(_) => 2,
        }
    }
}

/// Without the words before or after a number: `证件号:`, `用` of 曾用.
fn without_label(piece: &str) -> &str {
    piece.trim_matches(|c| is_han(c) || matches!(c, ':' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    const STANDARD: &str = "11010519491231002x";
    const OTHER: &str = "110105198001011238";

    #[track_caller]
    fn check(cell: &str, part: Part, expect: &str) {
        let numbers = IdNumbers::read(&clean(cell));
        assert_eq!(numbers.map(|numbers| numbers.part(part).join("|")).unwrap_or_default(), expect, "{cell}");
    }

    #[test]
    fn former_numbers_are_further_alternatives() {
        for cell in [
            "11010519491231002X/110105198001011238",
            "11010519491231002X；110105198001011238",
            "11010519491231002X、110105800101123",
            "11010519491231002X（110105198001011238）",
            "11010519491231002X(原110105198001011238)",
            "11010519491231002X 曾用证件号:110105198001011238",
            "身份证号:11010519491231002X|旧号110105198001011238",
        ] {
            check(cell, Part::Id18, &format!("{STANDARD}|{OTHER}"));
            check(cell, Part::Repairs, &format!("{STANDARD}|{OTHER}"));
            check(cell, Part::Digits7To17, &STANDARD[6..17]);
        }
    }

    #[test]
    fn the_first_valid_resident_number_is_the_number() {
        check("110105194912310029/110105198001011238", Part::Digits1To10, &OTHER[..10]);
        check("110105194912310029/110105198001011238", Part::Repairs, OTHER);
        check("E12345678/11010519491231002X", Part::Id18, &format!("{STANDARD}|passport e12345678"));
        check("E12345678/110105194912310029", Part::Digits1To10, "");
        check("110105194912310029/?", Part::Id18, "");
        check("11010519491231002X(110105491231002)", Part::Id18, STANDARD);
    }

    #[test]
    fn what_is_no_number_of_its_own_is_passed_over() {
        check("11010519491231002X(66778899)", Part::Id18, STANDARD);
        check("11010519491231002X/1949-12-31", Part::Id18, STANDARD);
        check("长河路1号/2", Part::Id18, "");
        check("11010519491231002X 110105198001011238", Part::Id18, "");
    }

    #[test]
    fn no_person_has_more_than_four_numbers() {
        let cell = (1..=9).map(|n| format!("E1234567{n}")).collect::<Vec<_>>().join("/");
        assert_eq!(IdNumbers::read(&clean(&cell)).unwrap().part(Part::Id18).len(), MOST_NUMBERS);
    }

    #[test]
    fn another_document_has_no_digits_to_agree_on() {
        let passport = IdNumbers::read("e12345678").unwrap();
        assert_eq!(passport.state(), FieldState::OtherDocument);
        assert!([Part::Digits7To17, Part::Digits1To10].iter().all(|part| passport.part(*part).is_empty()));
        assert!(passport.grams().iter().all(|gram| !IdNumbers::read(STANDARD).unwrap().grams().contains(gram)));
    }
}
