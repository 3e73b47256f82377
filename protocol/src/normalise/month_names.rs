//! Dates whose month is an English name: 3 Mar 1970, March 3rd, 1970, 3-MAR-1970 (SPEC 4.8).

use crate::calendar::{MONTHS, WEEKDAYS};

/// Eight digits, year first. The name says which number is the month, whatever a column's order.
pub fn digits(clean: &str) -> Option<String> {
    if !clean.bytes().any(|c| c.is_ascii_lowercase()) {
        return None;
    }
    let mut words = words(clean).filter(|word| !says_nothing(word));
    let (month, day, year) = match [words.next()?, words.next()?, words.next()?] {
        [year, name, day] if year.len() == 4 => (month(name)?, day, year),
        [day, name, year] if month(name).is_some() => (month(name)?, day, year),
        [name, day, year] => (month(name)?, day, year),
    };
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
    };
    (number(year, 4..=4) && number(day, 1..=2)).then(|| format!("{year}{month:02}{day:0>2}"))
}

/// Runs of digits and runs of letters.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let runs = text.split(|c: char| !c.is_alphanumeric());
    runs.flat_map(|run| run.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()))
        .filter_map(|run| std::str::from_utf8(run).ok())
}

fn month(word: &str) -> Option<usize> {
    MONTHS.iter().position(|name| abbreviates(word, name)).map(|at| at + 1)
}

fn says_nothing(word: &str) -> bool {
    matches!(word, "st" | "nd" | "rd" | "th" | "of" | "the") || WEEKDAYS.iter().any(|name| abbreviates(word, name))
}

fn abbreviates(word: &str, name: &str) -> bool {
    word.len() >= 3 && name.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], expect: Option<&str>) {
        for text in texts {
            assert_eq!(digits(text).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn the_name_may_stand_anywhere() {
        check(
            &["3 mar 1970", "march 3, 1970", "3-mar-1970", "03mar1970", "1970-mar-03", "mar. 3 1970"],
            Some("19700303"),
        );
        check(&["3rd of march 1970", "tue, 3 mar 1970", "3 march 1970 00:00:00", "march 3rd, 1970"], Some("19700303"));
        check(&["12 sept 1970", "sep 12 1970"], Some("19700912"));
        check(&["31 april 1970"], Some("19700431"));
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        check(
            &["dec 1949", "3 mar 70", "3 ma 1970", "3 mar", "mar", "3 brumaire 1970", "1970-03-03t00:00:00", ""],
            None,
        );
    }
}
