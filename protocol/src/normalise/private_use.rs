//! GBK's private-use code points: what they became once Unicode had their characters (SPEC 4.4).

/// What a private-use code point stands for, where GBK gave it and Unicode has its character.
pub fn public(c: char) -> Option<char> {
    match c {
        '\u{e5e5}' => Some('\u{3000}'), // A3A0, a space (WHATWG Encoding, index gb18030)
        '\u{e7c7}' => Some('ḿ'),        // A8BC (GB 18030-2005)
        '\u{e7c8}' => Some('ǹ'),        // A8BF (GB 18030-2000)
        '\u{e815}'..='\u{e864}' => FROM_FE50.get(u32::from(c) as usize - 0xe815).copied(),
        _ => None,
    }
}

/// U+E815 to U+E864: the 80 characters of GBK's FE50 to FEA0 (there is no FE7F), in order.
///
/// GBK_PUA.txt of mozillazg/pinyin-data (MIT); 74 of them as in the WHATWG index gb18030, which leaves U+20087, U+20089,
/// U+200CC, U+215D7, U+2298F and U+241FE private: those are GB 18030-2022's.
const FROM_FE50: [char; 80] = [
    '⺁', '𠂇', '𠂉', '𠃌', '⺄', '㑳', '㑇', '⺈', '⺋', '龴', '㖞', '㘚', '㘎', '⺌', '⺗', '㥮', '㤘', '龵', '㧏',
    '㧟', '㩳', '㧐', '龶', '龷', '㭎', '㱮', '㳠', '⺧', '𡗗', '龸', '⺪', '䁖', '䅟', '⺮', '䌷', '⺳', '⺶', '⺷',
    '𢦏', '䎱', '䎬', '⺻', '䏝', '䓖', '䙡', '䙌', '龹', '䜣', '䜩', '䝼', '䞍', '⻊', '䥇', '䥺', '䥽', '䦂', '䦃',
    '䦅', '䦆', '䦟', '䦛', '䦷', '䦶', '龺', '𤇾', '䲣', '䲟', '䲠', '䲡', '䱷', '䲢', '䴓', '䴔', '䴕', '䴖', '䴗',
    '䴘', '䴙', '䶮', '龻',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(private: char, expect: Option<char>) {
        assert_eq!(public(private), expect, "{:x}", u32::from(private));
    }

    #[test]
    fn the_table_begins_and_ends_where_gbk_does() {
        check('\u{e814}', None);
        check('\u{e815}', Some('⺁'));
        check('\u{e81a}', Some('㑳'));
        check('\u{e81e}', Some('\u{9fb4}'));
        check('\u{e843}', Some('\u{9fb9}'));
        check('\u{e844}', Some('䜣'));
        check('\u{e863}', Some('䶮'));
        check('\u{e864}', Some('\u{9fbb}'));
        check('\u{e865}', None);
    }

    #[test]
    fn no_two_private_characters_are_one() {
        let mut all = FROM_FE50.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80);
        assert!(all.iter().all(|c| public(*c).is_none()), "none of them is private itself");
    }
}
