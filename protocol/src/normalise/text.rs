//! What every kind starts from: compatibility forms folded, invisible characters gone, case lowered (SPEC 4.2).

use unicode_normalization::UnicodeNormalization as _;

// SPEC 4.2  NFKC (UAX #15), lower case, no invisible characters, inner white space single, none at the ends
pub fn clean(cell: &str) -> String {
    if cell.chars().all(stays) {
        return cell.to_owned();
    }
    let mut clean = String::with_capacity(cell.len());
    let mut gap = false;
    for c in cell.nfkc().flat_map(char::to_lowercase).filter(|c| !invisible(*c)) {
        if c.is_whitespace() {
            gap = !clean.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            clean.push(' ');
        }
        clean.push(c);
    }
    clean
}

/// Characters that all of the above leaves as they are: most cells have no other.
fn stays(c: char) -> bool {
    matches!(c, '!'..='@' | '['..='~' | '\u{4e00}'..='\u{9fa5}')
}

/// Zero-width characters, variation selectors, byte-order marks, controls that are no white space.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
        || (c.is_control() && !c.is_whitespace())
}

// SPEC 4.9  letters without their marks: decomposed (NFKD), the marks left out; letters that do not decompose as they are written without
pub fn without_marks(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        match PLAIN.iter().find(|(letter, _)| *letter == c) {
            Some((_, letters)) => plain.push_str(letters),
            None => plain.push(c),
        }
    }
    plain
}

/// Latin letters that are one with their mark, and how they are written without (as passports do, ICAO Doc 9303-3, section 6,
/// but for ø, which registers without it write o).
const PLAIN: [(char, &str); 12] = [
    ('ł', "l"),
    ('ø', "o"),
    ('đ', "d"),
    ('ð', "d"),
    ('ħ', "h"),
    ('ı', "i"),
    ('ŧ', "t"),
    ('ŋ', "n"),
    ('ß', "ss"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('þ', "th"),
];

/// The text outside of brackets of all kinds.
pub fn without_brackets(text: &str) -> String {
    let mut depth = 0u32;
    let outside = text.chars().filter(|c| match c {
        '(' | '[' | '〔' | '【' => {
            depth += 1;
            false
        }
        ')' | ']' | '〕' | '】' => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    });
    outside.collect()
}

/// A whole number that a program has written with a fraction, `2.0`, without it.
pub fn whole(text: &str) -> &str {
    let digits = |text: &str, is: fn(u8) -> bool| !text.is_empty() && text.bytes().all(is);
    match text.split_once('.') {
        Some((number, fraction)) if digits(number, |c| c.is_ascii_digit()) && digits(fraction, |c| c == b'0') => number,
        _ => text,
    }
}

// SPEC 4.11  bigrams with one pad at each end
pub fn bigrams(text: &str) -> Vec<String> {
    let mut grams = Vec::with_capacity(text.len() + 1);
    let mut before = '_';
    for c in text.chars().chain(['_']) {
        grams.push([before, c].iter().collect());
        before = c;
    }
    grams
}

// SPEC 4.11  a character and its position, counted from the start
pub fn positional(text: &str) -> Vec<String> {
    text.chars().enumerate().map(|(at, c)| format!("{at}{c}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: &str, expect: &str) {
        assert_eq!(clean(cell), expect);
        assert_eq!(clean(expect), expect, "idempotent");
    }

    #[test]
    fn what_does_not_show_does_not_count() {
        check("  Zhang\u{3000}\u{a0} WEI ", "zhang wei");
        check("李\u{200b}雷\u{fe00}", "李雷");
        check("１２３Ｘ", "123x");
        check("\u{feff}abc\0", "abc");
        check("anna", "anna");
    }

    #[test]
    fn what_stays_is_what_nothing_changes() {
        for c in (0..=0x10ffff).filter_map(char::from_u32).filter(|c| stays(*c)) {
            let text = c.to_string();
            let slowly: String = text.nfkc().flat_map(char::to_lowercase).collect();
            assert!(slowly == text && !invisible(c) && !c.is_whitespace(), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn letters_lose_their_marks() {
        assert_eq!(
            without_marks("łukasz strauß đặng bjørn œuvre þór işık ħal"),
            "lukasz strauss dang bjorn oeuvre thor isik hal"
        );
    }

    #[test]
    fn a_fraction_of_noughts_is_none() {
        for (text, expect) in
            [("2.0", "2"), ("19850419.00", "19850419"), ("2.5", "2.5"), (".0", ".0"), ("2.", "2."), ("1.0.0", "1.0.0")]
        {
            assert_eq!(whole(text), expect);
        }
    }

    #[test]
    fn grams_of_short_texts() {
        assert_eq!(bigrams("ab").join(" "), "_a ab b_");
        assert_eq!(positional("07").join(" "), "00 17");
    }
}
