//! Characters that other systems may not be able to write, and so write in another way.

use hedui_protocol::normalise::is_han;

/// Chinese characters beyond the 20,902 of GBK, with which many systems stop. They are found replaced: by pinyin, by `?`,
/// by another character of the same sound.
pub fn rare(cell: &str) -> bool {
    // 〇 is a Han character to us and a sign to GBK, which has it
    cell.chars().any(|c| is_han(c) && c != '〇' && !matches!(c, '\u{4e00}'..='\u{9fa5}'))
}

/// Code points that mean nothing outside the system that gave them a glyph.
pub fn private_use(cell: &str) -> bool {
    cell.chars().any(|c| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: &str, expect: (bool, bool)) {
        assert_eq!((rare(cell), private_use(cell)), expect, "{cell:?}");
    }

    #[test]
    fn rare_and_private_characters_are_told_from_the_usual() {
        check("一龥張〇", (false, false));
        check("Zhang · 12?", (false, false));
        check("", (false, false));
        for rare in ["李䶮", "\u{9fa6}", "𠮷", "\u{f900}"] {
            check(rare, (true, false));
        }
        for private in ["李\u{e000}", "\u{e863}", "\u{f8ff}", "\u{f0000}", "\u{10fffd}"] {
            check(private, (false, true));
        }
        check("䶮\u{e863}", (true, true));
    }
}
