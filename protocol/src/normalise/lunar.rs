//! The lunar calendar: the solar day of a lunar date, and dates that say of themselves that they are lunar (SPEC 4.8).

use icu_calendar::types::Month;
use icu_calendar::{Date, Iso};

use super::han_numbers::{in_figures, numeral};

/// Years that tables of the calendar cover.
const YEARS: std::ops::RangeInclusive<i32> = 1901..=2099;
const MARKS: [&str; 8] = ["农历", "農曆", "阴历", "陰曆", "旧历", "舊曆", "夏历", "夏曆"];
/// Words that no solar date has.
const MONTHS: [&str; 4] = ["正月", "冬月", "腊月", "臘月"];
const NEW_YEAR: &str = "大年初一";
const LEAP: [char; 2] = ['闰', '閏'];

/// A date that its cell calls lunar, in figures.
pub struct Marked {
    pub figures: String,
    pub leap: bool,
}

impl Marked {
    // SPEC 4.8  marks and 闰 go; 大年初一 正月 冬月 腊月 and Han numerals become figures
    pub fn read(clean: &str) -> Option<Self> {
        if clean.is_ascii() {
            return None;
        }
        let leap = clean.contains(LEAP);
        let marked = MARKS.iter().chain(&MONTHS).chain([&NEW_YEAR]).any(|mark| clean.contains(mark));
        if !marked && !leap && !has_early_day(clean) {
            return None;
        }
        let plain = MARKS.iter().fold(clean.replace(LEAP, ""), |plain, mark| plain.replace(mark, ""));
        let plain = plain.replace(NEW_YEAR, "正月初一").replace("正月正月", "正月");
        let plain = plain.replace("正月", "一月").replace("冬月", "十一月").replace(['腊', '臘'], "十二");
        Some(Self { figures: in_figures(plain.trim()), leap })
    }
}

/// 初 and a number: one of the first ten days of a lunar month.
fn has_early_day(clean: &str) -> bool {
    clean.split('初').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit() || numeral(c).is_some()))
}

/// The solar days that eight digits may mean as a lunar date: of the month, and of the leap month after it.
pub fn solar(digits: &str) -> impl Iterator<Item = String> {
    [false, true].into_iter().filter_map(move |leap| solar_day(digits, leap))
}

/// The solar day of a lunar one, in eight digits; none where the calendar has no such day.
pub fn solar_day(digits: &str, leap: bool) -> Option<String> {
    let number: u32 = digits.parse().ok()?;
    let (year, month, day) = ((number / 10_000) as i32, (number / 100 % 100) as u8, (number % 100) as u8);
    if !YEARS.contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let month = if leap { Month::leap(month) } else { Month::new(month) };
    let solar = Date::try_new_chinese_traditional(year, month, day).ok()?.to_calendar(Iso);
    let year = u32::try_from(solar.year().extended_year()).expect("from 1901 on");
    let number = 10_000 * year + 100 * u32::from(solar.month().ordinal) + u32::from(solar.day_of_month().0);
    Some(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lunar: &str, solar: &str) {
        assert_eq!(super::solar(lunar).collect::<Vec<_>>().join(" "), solar, "{lunar}");
    }

    // Hong Kong Observatory: the conversion table of 1966; and "Which day is the Tuen Ng Festival for this year (2013)",
    // which says that folk calendars are a day late. The others: new years' days, leap months, the first National Day.
    #[test]
    fn days_of_the_published_table() {
        check("19010101", "19010219");
        check("19490810", "19491001");
        check("19491112", "19491231");
        check("19660101", "19660121");
        check("19760808", "19760901 19761001"); // that year has a leap eighth month
        check("20000101", "20000205");
        check("20130501", "20130608");
        check("20200401", "20200423 20200523"); // and this one a leap fourth
        check("20201230", "20210211");
    }

    #[test]
    fn what_no_lunar_calendar_has_is_no_day() {
        check("20200430", "20200522"); // that leap month has 29 days
        check("20200131", "");
        check("20200130", "");
        check("19001112", "");
        check("21000101", "");
        check("20201301", "");
        check("99999999", "");
    }

    /// Pins the calendar: tokens of a new version of the crate must be those of this one.
    #[test]
    fn two_centuries_of_days_stay_as_they_are() {
        let mut hash = blake3::Hasher::new();
        for year in 1901..=2099 {
            for month in 1..=12 {
                for day in 1..=30 {
                    solar(&format!("{year}{month:02}{day:02}")).for_each(|day| {
                        hash.update(day.as_bytes());
                    });
                }
            }
        }
        assert_eq!(hash.finalize().to_hex()[..16], *"94c2e92c8385ec73");
    }

    #[test]
    fn what_is_called_lunar_is_read_in_figures() {
        let read = |text: &str| Marked::read(text).map(|marked| (marked.figures, marked.leap));
        for (text, figures) in [
            ("农历1949年十一月十二", "1949年11月12"),
            ("1949年冬月十二(农历)", "1949年11月12()"),
            ("阴历一九四九年腊月廿九日", "1949年12月29日"),
            ("農曆一九四九年正月初十", "1949年1月初10"),
            ("农历 1949-11-12", "1949-11-12"),
            ("农历二〇〇〇年三月三十", "2000年3月30"),
            ("农历二〇〇〇年三月二十一", "2000年3月21"),
        ] {
            assert_eq!(read(text), Some((figures.to_owned(), false)), "{text}");
        }
        assert_eq!(read("农历1984年闰十月初三"), Some(("1984年10月初3".to_owned(), true)));
        assert_eq!(read("1949年大年初一"), Some(("1949年1月初1".to_owned(), false)));
        for solar in ["1949-11-12", "一九四九年十一月十二日", "1949年初", "1949年元月3日"] {
            assert_eq!(read(solar), None, "{solar}");
        }
    }
}
