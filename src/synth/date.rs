//! Days as numbers (day 0 is 1970-01-01) and the ways the files write them.

use std::fmt::Write as _;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i32,
    pub(super) month: u32,
    pub(super) day: u32,
}

/// How a file writes a birth date.
#[derive(Clone, Copy, Debug)]
pub(super) enum DateStyle {
    /// 1970-01-31
    Dashes,
    /// 19700131
    Digits,
    /// 1970/01/31
    Slashes,
    /// 1970年1月31日
    Han,
}

impl Date {
    pub(super) const fn new(year: i32, month: u32, day: u32) -> Self {
        Self { year, month, day }
    }

    /// Counts days by years that begin in March, so that the leap day comes last (Hinnant, "chrono-compatible
    /// low-level date algorithms").
    pub(super) const fn number(self) -> i32 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, month) = (year.div_euclid(400), (self.month as i32 + 9) % 12);
        let (year, day) = (year.rem_euclid(400), (153 * month + 2) / 5 + self.day as i32 - 1);
        era * DAYS_OF_400_YEARS + year * 365 + year / 4 - year / 100 + day - DAYS_TO_1970
    }

    pub(super) const fn from_number(number: i32) -> Self {
        let days = number + DAYS_TO_1970;
        let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self { year: era * 400 + year + next, month: month as u32, day: day as u32 }
    }

    /// The same day of a neighbouring year, if that year has it.
    pub(super) fn years_later(self, years: i32) -> Option<Self> {
        let moved = Self { year: self.year + years, ..self };
        (Self::from_number(moved.number()) == moved).then_some(moved)
    }

    pub(super) fn write(self, style: DateStyle, out: &mut String) {
        let Self { year, month, day } = self;
        match style {
            DateStyle::Dashes => write!(out, "{year:04}-{month:02}-{day:02}"),
            DateStyle::Digits => write!(out, "{year:04}{month:02}{day:02}"),
            DateStyle::Slashes => write!(out, "{year:04}/{month:02}/{day:02}"),
            DateStyle::Han => write!(out, "{year}年{month}月{day}日"),
        }
        .expect("a string takes any text");
    }
}

const DAYS_OF_400_YEARS: i32 = 146_097;
const DAYS_TO_1970: i32 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_go_both_ways() {
        assert_eq!(Date::new(1970, 1, 1).number(), 0);
        assert_eq!(Date::new(2000, 3, 1).number(), 11_017);
        let mut last = Date::from_number(-20_000);
        for number in -19_999..25_000 {
            let date = Date::from_number(number);
            assert_eq!(date.number(), number);
            assert!((date.year, date.month, date.day) > (last.year, last.month, last.day));
            last = date;
        }
    }

    #[test]
    fn a_leap_day_has_no_neighbour_year() {
        assert_eq!(Date::new(2000, 2, 29).years_later(1), None);
        assert_eq!(Date::new(2001, 2, 28).years_later(-1), Some(Date::new(2000, 2, 28)));
    }

    #[test]
    fn styles() {
        let written = |style| {
            let mut text = String::new();
            Date::new(1970, 1, 31).write(style, &mut text);
            text
        };
        assert_eq!(written(DateStyle::Dashes), "1970-01-31");
        assert_eq!(written(DateStyle::Digits), "19700131");
        assert_eq!(written(DateStyle::Slashes), "1970/01/31");
        assert_eq!(written(DateStyle::Han), "1970年1月31日");
    }
}
