//! Dates of birth in the forms that files hold (SPEC 4.8).

use super::FieldState;
use super::han_numbers::in_figures;
use super::lunar::{self, Marked};
use super::month_names;
use crate::schema::{DateOrder, Part};

/// Eight digits, year first; a day that no calendar has is kept, because typing errors make such days.
pub struct Date {
    digits: String,
    state: FieldState,
    /// The cell said that it is lunar: the digits are the solar day that it means, and nothing is left to guess.
    was_lunar: bool,
}

impl Date {
    pub fn read(clean: &str, order: DateOrder) -> Option<Self> {
        if clean.is_ascii() {
            return Self::solar(month_names::digits(clean).or_else(|| digits(clean, order))?, false);
        }
        let Some(Marked { figures, leap }) = Marked::read(clean) else {
            let figures = || digits(&in_figures(clean), order);
            return Self::solar(digits(clean, order).or_else(figures)?, false);
        };
        Self::solar(lunar::solar_day(&digits(&figures, order)?, leap)?, true)
    }

    fn solar(digits: String, was_lunar: bool) -> Option<Self> {
        // placeholders of systems that demand a date
        if matches!(digits.as_str(), "19000101" | "18991230" | "99991231" | "00000000") {
            return None;
        }
        let number = |range: std::ops::Range<usize>| digits[range].parse::<u32>().unwrap_or(0);
        let real = is_day(number(0..4), number(4..6), number(6..8));
        let heaped = digits.ends_with("0101") && !was_lunar;
        let state = match (real, heaped) {
            (true, true) => FieldState::Heaped,
            (true, false) => FieldState::Valid,
            (false, _) => FieldState::Malformed,
        };
        Some(Self { digits, state, was_lunar })
    }

    pub fn state(&self) -> FieldState {
        self.state
    }

    /// The digits that are known: of a heaped date the year.
    pub fn digits(&self) -> &str {
        if self.state == FieldState::Heaped { &self.digits[..4] } else { &self.digits }
    }

    pub fn part(&self, part: Part) -> Vec<String> {
        if part == Part::Lunar && self.state != FieldState::Heaped {
            let meant = (!self.was_lunar).then(|| lunar::solar(&self.digits));
            return std::iter::once(self.digits.clone()).chain(meant.into_iter().flatten()).collect();
        }
        self.single(part).into_iter().collect()
    }

    fn single(&self, part: Part) -> Option<String> {
        let (year, month, day) = (&self.digits[..4], &self.digits[4..6], &self.digits[6..]);
        match part {
            Part::Year => Some(year.to_owned()),
            // the first of January stands for "some day of that year" far more often than for itself
            _ if self.state == FieldState::Heaped => None,
            Part::Date => Some(self.digits.clone()),
            // day and month exchanged give the same
            Part::MonthDayEither => Some([month.min(day), month.max(day)].concat()),
            Part::MonthDay => Some(self.digits[4..].to_owned()),
            Part::YearMonth => Some(format!("{year}{month}")),
            Part::YearDay => Some(format!("{year}{day}")),
            _ => None,
        }
    }
}

// SPEC 4.8  YYYYMMDD; YYYY-M-D, YYYY/M/D, YYYY.M.D, YYYY年M月D日, whatever the order; D-M-YYYY and the like, or M-D-YYYY where
// the column says so or says nothing and no month is that high; each with or without a weekday or a time after it
fn digits(text: &str, order: DateOrder) -> Option<String> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let day = text.split([' ', 't', '星', '周', '週', '礼', '禮']).next().unwrap_or_default();
    let groups: Vec<&str> = day.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    match groups.as_slice() {
        [eight] if eight.len() == 8 => in_order(eight, order),
        [year, month, day] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
            Some(format!("{year}{month:0>2}{day:0>2}"))
        }
        [one, other, year]
            if year.len() == 4 && one.len() <= 2 && other.len() <= 2 && order != DateOrder::YearFirst =>
        {
            Some(year_last(year, &format!("{one:0>2}"), &format!("{other:0>2}"), order))
        }
        _ => None,
    }
}

/// Eight digits as the column writes them; where it does not say, the year is where one can be.
fn in_order(eight: &str, order: DateOrder) -> Option<String> {
    let is_year = |digits: &str| ("1850".."2100").contains(&digits);
    let (one, other, year) = (eight.get(..2)?, eight.get(2..4)?, eight.get(4..)?);
    let last = match order {
        DateOrder::YearFirst => false,
        DateOrder::DayFirst | DateOrder::MonthFirst => true,
        DateOrder::Any => !is_year(eight.get(..4)?) && is_year(year),
    };
    Some(if last { year_last(year, one, other, order) } else { eight.to_owned() })
}

fn year_last(year: &str, one: &str, other: &str, order: DateOrder) -> String {
    let month_first = match order {
        DateOrder::MonthFirst => true,
        DateOrder::Any => other > "12" && one <= "12",
        DateOrder::DayFirst | DateOrder::YearFirst => false,
    };
    let (day, month) = if month_first { (other, one) } else { (one, other) };
    format!("{year}{month}{day}")
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
            assert_eq!(Date::read(&clean(text), DateOrder::Any).unwrap().digits(), "19491201", "{text}");
        }
        for text in [
            "一九四九年十二月一日",
            "一九四九年十二月一日 星期四",
            "1949年12月1日（周四）",
            "星期四1949年12月1日",
            "Thu 1949-12-01",
            "生于 1949-12-01",
            "1949年十二月1日",
            "Dec 1, 1949",
            "1-DEC-1949",
        ] {
            assert_eq!(Date::read(&clean(text), DateOrder::Any).unwrap().digits(), "19491201", "{text}");
        }
        for text in ["", "49-12-01", "1900-01-01", "dec 1949", "1949", "1949年初", "一九四九"] {
            assert!(Date::read(&clean(text), DateOrder::Any).is_none(), "{text}");
        }
    }

    #[test]
    fn a_columns_order_decides_where_a_date_has_two_readings() {
        let check = |text: &str, order, digits: &str| {
            assert_eq!(Date::read(&clean(text), order).unwrap().digits(), digits, "{text} {order:?}");
        };
        check("03-04-1949", DateOrder::Any, "19490403");
        check("3/4/1949", DateOrder::MonthFirst, "19490304");
        check("3/24/1949", DateOrder::Any, "19490324");
        check("24031949", DateOrder::Any, "19490324");
        check("03041949", DateOrder::MonthFirst, "19490304");
        check("20031949", DateOrder::YearFirst, "20031949");
        for order in [DateOrder::DayFirst, DateOrder::MonthFirst, DateOrder::YearFirst] {
            check("1949-03-04", order, "19490304");
            check("4 Mar 1949", order, "19490304");
        }
    }

    #[test]
    fn a_date_against_its_columns_order_is_malformed() {
        let check = |text: &str, order, digits: Option<&str>| {
            let date = Date::read(&clean(text), order);
            assert_eq!(date.as_ref().map(Date::digits), digits, "{text} {order:?}");
            assert!(date.is_none_or(|date| date.state() == FieldState::Malformed), "{text} {order:?}");
        };
        check("24/3/1949", DateOrder::MonthFirst, Some("19492403"));
        check("3/24/1949", DateOrder::DayFirst, Some("19492403"));
        check("24031949", DateOrder::MonthFirst, Some("19492403"));
        check("03241949", DateOrder::DayFirst, Some("19492403"));
        check("24/3/1949", DateOrder::YearFirst, None);
        check("3/4/1949", DateOrder::YearFirst, None);
    }

    #[test]
    fn the_first_of_january_is_known_by_its_year() {
        let date = Date::read("1949-01-01", DateOrder::Any).unwrap();
        assert_eq!((date.state(), date.digits()), (FieldState::Heaped, "1949"));
        assert_eq!(date.part(Part::Year), ["1949"]);
        let others = [Part::Date, Part::Lunar, Part::MonthDay, Part::YearMonth, Part::YearDay];
        assert!(others.iter().all(|part| date.part(*part).is_empty()));
    }

    #[test]
    fn a_day_that_is_none_is_kept_and_said() {
        let date = Date::read("19490230", DateOrder::Any).unwrap();
        assert_eq!((date.state(), date.part(Part::YearMonth)), (FieldState::Malformed, vec!["194902".to_owned()]));
    }

    #[track_caller]
    fn check_part(text: &str, part: Part, expect: &str) {
        let date = Date::read(&clean(text), DateOrder::Any);
        assert_eq!(date.map(|date| date.part(part).join("|")).unwrap_or_default(), expect, "{text}");
    }

    #[test]
    fn a_lunar_date_in_a_solar_column_meets_the_solar_one() {
        check_part("1949-12-31", Part::Lunar, "19491231");
        check_part("1949-11-12", Part::Lunar, "19491112|19491231");
        check_part("1976-08-08", Part::Lunar, "19760808|19760901|19761001");
        check_part("1900-11-12", Part::Lunar, "19001112");
        check_part("1950-02-30", Part::Lunar, "19500230|19500416"); // no solar day
    }

    #[test]
    fn a_date_that_says_it_is_lunar_is_read_as_the_solar_one() {
        for text in
            ["农历1949年十一月十二", "农历1949-11-12", "阴历：1949年冬月十二日", "1949/11/12（農曆）", "农历19491112"]
        {
            check_part(text, Part::Date, "19491231");
            check_part(text, Part::Lunar, "19491231");
        }
        for text in ["1949年十一月初三", "1949年冬月初三", "旧历1949-11-03", "夏曆1949年11月3日"] {
            check_part(text, Part::Date, "19491222");
        }
        for text in ["1949年正月初一", "1949年大年初一", "一九四九年正月一日", "1949年正月大年初一"]
        {
            check_part(text, Part::Date, "19490129");
        }
        check_part("1976年闰8月8日", Part::Date, "19761001");
        check_part("农历1976年闰八月初八", Part::Date, "19761001");
        check_part("农历1949年正月初一", Part::MonthDay, "0129");
        for text in ["农历1949年闰三月初一", "农历1949-02-31", "农历2100-01-01", "农历"] {
            check_part(text, Part::Year, "");
        }
    }
}
