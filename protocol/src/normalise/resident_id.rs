//! Resident identity numbers (GB 11643-1999): 15 and 18 digits, check digit, plausible repairs (SPEC 4.6).

use super::FieldState;
use crate::schema::Part;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: &[u8; 11] = b"10x98765432";
/// Repairs beyond this many name nobody in particular.
const MOST_REPAIRS: usize = 16;

/// A number as it was read: 18 characters, or what came of it.
pub struct ResidentId {
    digits: String,
    state: FieldState,
}

impl ResidentId {
    // SPEC 4.6  separators go; look-alikes of X, 0 and 1 become them; 15 digits get `19` and a check digit
    pub fn read(clean: &str) -> Option<Self> {
        let digits: String = clean.chars().filter(|c| !is_separator(*c)).map(look_alike).collect();
        let well_formed = digits.bytes().enumerate().all(|(at, c)| c.is_ascii_digit() || (c == b'x' && at == 17));
        if !well_formed {
            return None;
        }
        match digits.len() {
            15 => {
                let body = format!("{}19{}", &digits[..6], &digits[6..]);
                let digits = format!("{body}{}", check_digit(body.as_bytes())? as char);
                let state =
                    if plausible(digits.as_bytes()) { FieldState::FifteenDigits } else { FieldState::Malformed };
                Some(Self { digits, state })
            }
            17 => Some(Self { digits, state: FieldState::Repairable }),
            18 => {
                let state = if valid(digits.as_bytes()) { FieldState::Valid } else { FieldState::Repairable };
                Some(Self { digits, state })
            }
            _ => None,
        }
    }

    pub fn state(&self) -> FieldState {
        self.state
    }

    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// Nothing is wrong with it.
    pub fn is_whole(&self) -> bool {
        matches!(self.state, FieldState::Valid | FieldState::FifteenDigits)
    }

    pub fn part(&self, part: Part) -> Vec<String> {
        match part {
            Part::Id18 | Part::Repairs if self.is_whole() => vec![self.digits.clone()],
            Part::Repairs => self.repairs(),
            Part::Digits7To17 => vec![self.digits[6..17].to_owned()],
            Part::Digits1To10 => vec![self.digits[..10].to_owned()],
            _ => Vec::new(),
        }
    }

    // SPEC 4.6  every valid number one substitution or one adjacent transposition away, or with the lost check digit
    fn repairs(&self) -> Vec<String> {
        let number = self.digits.as_bytes();
        let mut found = Vec::new();
        if number.len() == 17 {
            if let Some(check) = check_digit(number) {
                found.push([number, &[check]].concat());
            }
        } else {
            for at in 0..17 {
                for digit in (b'0'..=b'9').filter(|digit| *digit != number[at]) {
                    let mut other = number.to_vec();
                    other[at] = digit;
                    found.push(other);
                }
            }
            if let Some(check) = check_digit(&number[..17]) {
                found.push([&number[..17], &[check]].concat());
            }
            for at in 0..16 {
                let mut other = number.to_vec();
                other.swap(at, at + 1);
                found.push(other);
            }
        }
        found.retain(|other| valid(other));
        found.sort();
        found.dedup();
        found.truncate(MOST_REPAIRS);
        found.into_iter().map(|other| String::from_utf8(other).expect("digits are ASCII")).collect()
    }
}

/// What people write between the digits of a number.
// SPEC 4.3  eighteen digits of which a spreadsheet kept fifteen: the last three are noughts, or `.0` stands behind them; and the
// check digit fails
pub fn is_rounded(clean: &str) -> bool {
    let (digits, float) = clean.strip_suffix(".0").map_or((clean, false), |digits| (digits, true));
    let rounded = float || digits.ends_with("000");
    rounded && digits.len() == 18 && digits.bytes().all(|c| c.is_ascii_digit()) && !valid(digits.as_bytes())
}

pub fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '\'' | '"' | '_')
}

fn look_alike(c: char) -> char {
    match c {
        'х' | 'χ' | '×' | '✕' | '✖' | '*' => 'x', // Cyrillic, Greek and signs, in lower case by now
        'o' | 'о' | 'ο' => '0',                   // Latin, Cyrillic, Greek
        'l' | 'i' | 'і' | 'ι' => '1',
        _ => c,
    }
}

/// MOD 11-2 (ISO/IEC 7064) over the first 17 digits.
fn check_digit(body: &[u8]) -> Option<u8> {
    let sum = body
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit.is_ascii_digit().then(|| u32::from(digit - b'0') * weight));
    let sum = sum.sum::<Option<u32>>()?;
    Some(CHECKS[(sum % 11) as usize])
}

fn valid(number: &[u8]) -> bool {
    number.len() == 18 && check_digit(&number[..17]) == Some(number[17]) && plausible(number)
}

/// The birth date in digits 7 to 14 is one of a person who may be alive.
fn plausible(number: &[u8]) -> bool {
    let value = |range: std::ops::Range<usize>| {
        number[range]
            .iter()
            .try_fold(0u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
    };
    match (value(6..10), value(10..12), value(12..14)) {
        (Some(year), Some(month), Some(day)) => {
            (1880..=2099).contains(&year) && super::date::is_day(year, month, day) && number[0] != b'0'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(number: &str, part: Part, expect: &str) {
        let number = ResidentId::read(&clean(number)).unwrap();
        assert_eq!(number.part(part).join("|"), expect);
    }

    // the example number of GB 11643-1999, annex
    const STANDARD: &str = "11010519491231002x";

    #[test]
    fn one_number_however_it_is_typed() {
        for number in [
            "11010519491231002X",
            "11010519491231002x",
            " 110105 19491231 002X",
            "１１０１０５１９４９１２３１００２Ｘ",
            "11010519491231002Х",
        ] {
            check(number, Part::Id18, STANDARD);
        }
        check("110105491231002", Part::Id18, STANDARD);
        assert_eq!(ResidentId::read("110105491231002").unwrap().state(), FieldState::FifteenDigits);
    }

    #[test]
    fn a_failed_number_has_the_right_one_among_its_repairs() {
        for wrong in ["110105194912310029", "11010519491231020x", "11010519491213002x", "11010519491231002"] {
            let number = ResidentId::read(wrong).unwrap();
            assert_eq!(number.state(), FieldState::Repairable, "{wrong}");
            assert!(number.part(Part::Id18).is_empty(), "{wrong}");
            assert!(number.part(Part::Repairs).iter().any(|repair| repair == STANDARD), "{wrong}");
        }
        check(STANDARD, Part::Repairs, STANDARD);
    }

    #[test]
    fn parts_that_survive_a_wrong_digit() {
        check(STANDARD, Part::Digits7To17, "19491231002");
        check(STANDARD, Part::Digits1To10, "1101051949");
        assert!(ResidentId::read("e12345678").is_none());
    }

    // numbers of the same form: residence permits of Hong Kong, Macau and Taiwan, and foreigners' cards since 2023
    #[test]
    fn permits_of_eighteen_digits_are_valid() {
        for number in ["810000194912310028", "82000019491231002x", "830000194912310021", "911124198108030024"] {
            assert_eq!(ResidentId::read(number).unwrap().state(), FieldState::Valid, "{number}");
        }
    }
}
