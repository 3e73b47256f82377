//! Characters that other systems may not be able to write, and so write in another way.

use encoding_rs::GBK;
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

/// Text that was read once in the wrong encoding: characters replaced for good, or Chinese in UTF-8 that somebody took
/// for GB18030 (李雷 became 鏉庨浄). It names nobody any more.
pub fn misdecoded(cell: &str) -> bool {
    if cell.contains('\u{fffd}') {
        return true;
    }
    // an odd last byte has no character in GB18030: it was lost, or stands there as a question mark
    let text = cell.trim_end_matches('?');
    if text.chars().filter(|c| is_han(*c)).count() < 2 {
        return false;
    }
    // as browsers' GBK has it, which writes € for the byte 80
    let bytes = GBK.encode(text).0;
    let before = match std::str::from_utf8(&bytes) {
        Ok(before) => before,
        Err(cut) if cut.error_len().is_none() => {
            std::str::from_utf8(&bytes[..cut.valid_up_to()]).expect("valid so far")
        }
        Err(_) => return false,
    };
    // names whose bytes happen to be UTF-8 (袁皓晨) turn into letters of other scripts beside Han ones beyond the first plane
    let chinese = |c: char| c.is_ascii() || matches!(c, '·' | '\u{3000}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
    before.chars().filter(|c| is_han(*c)).count() > 1 && before.chars().all(chinese)
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

    #[test]
    fn text_once_misread_is_told_from_names() {
        for name in [
            "李雷",
            "韩梅梅",
            "北京市海淀区27号",
            "涓浣",
            "渌泞",
            "袁皓晨",
            "冉娣凤",
            "涂皓晨",
            "閻榮",
            "Zhang?",
            "?",
            "",
        ] {
            assert!(!misdecoded(name), "{name:?}");
        }
        for name in ["李雷", "欧阳雷", "韩梅梅", "王秀英", "北京市海淀区"] {
            let misread = GBK.decode_without_bom_handling(name.as_bytes()).0;
            assert!(misdecoded(&misread), "{name:?} misread");
            assert!(misdecoded(&misread.replace('\u{fffd}', "?")), "{name:?} misread, with a question mark");
        }
    }
}
