//! Telephone numbers and other digits whose position matters (SPEC 4.9).

use crate::schema::Part;

// SPEC 4.9  digits only, the last eleven; fewer than seven, or one digit throughout, is no number
pub fn read(clean: &str) -> Option<String> {
    let digits: String = clean.chars().filter(char::is_ascii_digit).collect();
    let last = &digits[digits.len().saturating_sub(11)..];
    let constant = last.bytes().all(|digit| Some(digit) == last.bytes().next());
    (last.len() >= 7 && !constant).then(|| last.to_owned())
}

pub fn part(number: &str, part: Part) -> Option<String> {
    let (head, last_4) = number.split_at(number.len().saturating_sub(4));
    match part {
        Part::Number => Some(number.to_owned()),
        Part::Last4 => Some(last_4.to_owned()),
        Part::AllButLast4 => (!head.is_empty()).then(|| head.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_however_it_is_written() {
        for text in ["13812345678", "+8613812345678", "86-13812345678", "138 1234 5678", "138-1234-5678"] {
            assert_eq!(read(text).unwrap(), "13812345678", "{text}");
        }
        assert!(read("00000000000").is_none());
        assert!(read("12345").is_none());
        assert_eq!(part("13812345678", Part::Last4).unwrap(), "5678");
    }
}
