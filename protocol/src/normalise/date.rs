//! Dates of birth in the forms that files hold (SPEC 4.8).

use super::FieldState;
use crate::schema::Part;

/// Eight digits, year first; a day that no calendar has is kept, because typing errors make such days.
pub struct Date {
    digits: String,
    state: FieldState,
}

impl Date {
    // SPEC 4.8  YYYYMMDD; YYYY-M-D, YYYY/M/D, YYYY.M.D, YYYY年M月D日, each with or without a time after it
    pub fn read(clean: &str) -> Option<Self> {
        let day = clean.split([' ', 't']).next().unwrap_or_default();
        let groups: Vec<&str> = day.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
        let digits = match groups.as_slice() {
            [eight] if eight.len() == 8 => (*eight).to_owned(),
            [year, month, day] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
                format!("{year}{month:0>2}{day:0>2}")
            }
            _ => return None,
        };
        // placeholders of systems that demand a date
        if matches!(digits.as_str(), "19000101" | "18991230" | "99991231" | "00000000") {
            return None;
        }
        let number = |range: std::ops::Range<usize>| digits[range].parse::<u32>().unwrap_or(0);
        let real = is_day(number(0..4), number(4..6), number(6..8));
        let state = if real { FieldState::Valid } else { FieldState::Malformed };
        Some(Self { digits, state })
    }

    pub fn state(&self) -> FieldState {
        self.state
    }

    pub fn digits(&self) -> &str {
        &self.digits
    }

    pub fn part(&self, part: Part) -> Option<String> {
        let (year, month, day) = (&self.digits[..4], &self.digits[4..6], &self.digits[6..]);
        match part {
            Part::Date => Some(self.digits.clone()),
            Part::Year => Some(year.to_owned()),
            Part::MonthDay => Some(self.digits[4..].to_owned()),
            Part::YearMonth => Some(format!("{year}{month}")),
            Part::YearDay => Some(format!("{year}{day}")),
            _ => None,
        }
    }
}

pub fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[test]
    fn one_day_however_it_is_written() {
        for text in [
            "1949-12-01",
            "19491201",
            "1949/12/1",
            "1949年12月1日",
            "1949.12.01",
            "1949-12-01T00:00:00",
            "１９４９-12-1",
        ] {
            assert_eq!(Date::read(&clean(text)).unwrap().digits(), "19491201", "{text}");
        }
        for text in ["", "49-12-01", "1900-01-01", "dec 1949", "1949"] {
            assert!(Date::read(&clean(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn a_day_that_is_none_is_kept_and_said() {
        let date = Date::read("19490230").unwrap();
        assert_eq!((date.state(), date.part(Part::YearMonth).unwrap().as_str()), (FieldState::Malformed, "194902"));
    }
}
