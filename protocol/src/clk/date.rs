//! Dates as Python's `datetime.strptime` reads them, for the directives that make a date.

use std::collections::BTreeSet;

use jiff::civil::Date;
use regex::Regex;

use super::number;
use crate::calendar::{MONTHS, WEEKDAYS};

/// A format such as `%d/%m/%Y`, made ready.
#[derive(Clone, Debug)]
pub struct DateFormat(Regex);

impl DateFormat {
    pub fn parse(format: &str) -> Result<Self, String> {
        let mut pattern = String::from(r"(?i)\A");
        let mut seen = BTreeSet::new();
        let mut characters = format.chars().peekable();
        while let Some(c) = characters.next() {
            if c.is_whitespace() {
                while characters.next_if(|c| c.is_whitespace()).is_some() {}
                pattern.push_str(r"\s+");
                continue;
            }
            if c != '%' {
                pattern.push_str(&regex::escape(&c.to_string()));
                continue;
            }
            let directive = characters.next().ok_or("ends in `%`")?;
            if directive == '%' {
                pattern.push('%');
                continue;
            }
            if !seen.insert(directive) {
                return Err(format!("has `%{directive}` twice"));
            }
            let part = expression(directive)
                .ok_or_else(|| format!("has `%{directive}`, which makes no part of a date here"))?;
            pattern.push_str(&format!("(?P<{directive}>{part})"));
        }
        let pattern = Regex::new(&pattern).map_err(|_| "does not read as a date format".to_owned())?;
        Ok(Self(pattern))
    }

    /// The date as eight digits; years below 1000 have fewer, as `strftime` writes them.
    pub fn read(&self, text: &str) -> Option<String> {
        let found = self.0.captures(text)?;
        // `match` stops where its first way through the format ends; what is left over is refused
        (found.get(0)?.end() == text.len()).then_some(())?;
        let number = |name: &str| {
            let digits: String =
                found.name(name)?.as_str().trim().chars().map(|c| number::digit(c).unwrap_or(c)).collect();
            digits.parse::<i16>().ok()
        };
        let word = |name: &str| found.name(name).map(|word| word.as_str().to_lowercase());
        let year = number("Y").or_else(|| number("y").map(|year| if year <= 68 { 2000 + year } else { 1900 + year }));
        let named = |word: String| MONTHS.iter().position(|month| month.starts_with(&word) && word.len() >= 3);
        let named = word("B").or_else(|| word("b")).and_then(named).and_then(|at| i8::try_from(at + 1).ok());
        let month = named.or_else(|| number("m").and_then(|month| i8::try_from(month).ok()));
        let day = number("d").and_then(|day| i8::try_from(day).ok());
        let date = match number("j") {
            // a day of the year decides where the year is given too
            Some(of_year) if month.is_none() || day.is_none() => {
                let start = Date::new(year.unwrap_or(1900), 1, 1).ok()?;
                start.checked_add(jiff::Span::new().days(i64::from(of_year) - 1)).ok()?
            }
            _ => Date::new(year.unwrap_or(1900), month.unwrap_or(1), day.unwrap_or(1)).ok()?,
        };
        Some(format!("{}{:02}{:02}", date.year(), date.month(), date.day())).filter(|_| date.year() >= 1)
    }
}

/// CPython 3.11, `_strptime.py`, in the C locale.
fn expression(directive: char) -> Option<String> {
    let abbreviated = |names: &[&str]| names.iter().map(|name| name[..3].to_owned()).collect::<Vec<_>>();
    let longest_first = |mut names: Vec<String>| {
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.join("|")
    };
    let whole = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Some(match directive {
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".into(),
        'f' => "[0-9]{1,6}".into(),
        'H' => r"2[0-3]|[0-1]\d|\d".into(),
        'I' => "1[0-2]|0[1-9]|[1-9]".into(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".into(),
        'm' => "1[0-2]|0[1-9]|[1-9]".into(),
        'M' => r"[0-5]\d|\d".into(),
        'S' => r"6[0-1]|[0-5]\d|\d".into(),
        'y' => r"\d\d".into(),
        'Y' => r"\d\d\d\d".into(),
        'p' => "am|pm".into(),
        'A' => longest_first(whole(&WEEKDAYS)),
        'a' => longest_first(abbreviated(&WEEKDAYS)),
        'B' => longest_first(whole(&MONTHS)),
        'b' => longest_first(abbreviated(&MONTHS)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, text: &str, expect: Option<&str>) {
        assert_eq!(DateFormat::parse(format).unwrap().read(text).as_deref(), expect, "{format} {text}");
    }

    // each was asked of CPython 3.11
    #[test]
    fn dates_as_python_reads_them() {
        check("%Y-%m-%d", "1996-12-19", Some("19961219"));
        check("%Y%m%d", "1996123", Some("19961203"));
        check("%d/%m/%y", "1/2/68", Some("20680201"));
        check("%d/%m/%y", "1/2/69", Some("19690201"));
        check("%d %b %Y", "5  MAR 2001", Some("20010305"));
        check("%B %d, %Y", "may 05, 2001", Some("20010505"));
        check("%Y %j", "2004 366", Some("20041231"));
        check("%Y", "0999", Some("9990101"));
        check("%d%m", "2902", None);
        check("%Y-%m-%d", "2001-02-30", None);
        check("%Y-%m-%d", "2001-02-03 ", None);
        check("%Y-%m-%d", "0000-02-03", None);
        check("%Y", "٢٠٠١", Some("20010101"));
    }

    #[test]
    fn formats_that_make_no_date_are_refused() {
        for format in ["%", "%Y-%Y", "%Q", "%c"] {
            assert!(DateFormat::parse(format).is_err(), "{format}");
        }
    }
}
