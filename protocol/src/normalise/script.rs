//! Chinese characters: variants folded to one form, and one frozen reading each (SPEC 4.4).

use std::collections::HashSet;
use std::sync::LazyLock;

use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;
use pinyin::ToPinyin as _;

use super::private_use;

/// Every Han character of the basic plane in its simplified form (OpenCC, `t2s`, Apache-2.0), by its distance from the
/// first.
static SIMPLIFIED: LazyLock<Vec<char>> = LazyLock::new(|| {
    let opencc = OpenCC::from_config(BuiltinConfig::T2s).expect("the crate's own tables read");
    let simplified = |c: char| {
        let mut folded = opencc.convert(c.encode_utf8(&mut [0; 4])).chars().collect::<Vec<_>>().into_iter();
        let first = folded.next().filter(|_| folded.next().is_none() && is_han(c));
        first.unwrap_or(c)
    };
    // surrogates and private use lie between: they stand for nothing
    (FIRST..=LAST).map(|c| char::from_u32(c).map_or('\0', simplified)).collect()
});

const FIRST: u32 = 0x3400;
const LAST: u32 = 0xfaff;

/// Every syllable that some character has, and `ü` as letters spell it: what a name in Latin letters is cut into.
static SYLLABLES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let read = ('\u{4e00}'..='\u{9fff}').filter_map(reading);
    read.chain(SPELLINGS_OF_U.iter().map(|(spelling, _)| *spelling)).collect()
});

/// `ü` after l and n: as the pinyin crate has it, as it is typed, and as passports have it (ISO 7098; GB/T 28039 `yu`).
const SPELLINGS_OF_U: &[(&str, &str)] = &[
    ("lü", "lu"),
    ("nü", "nu"),
    ("lüe", "lue"),
    ("nüe", "nue"),
    ("lv", "lu"),
    ("nv", "nu"),
    ("lve", "lue"),
    ("nve", "nue"),
    ("lyu", "lu"),
    ("nyu", "nu"),
    ("lyue", "lue"),
    ("nyue", "nue"),
];

/// A syllable with `u` for every spelling of `ü`.
fn plain(syllable: &str) -> &str {
    SPELLINGS_OF_U.iter().find(|(spelling, _)| *spelling == syllable).map_or(syllable, |(_, plain)| plain)
}

// SPEC 4.4  private use → Unicode, traditional → simplified, one character at a time
pub fn fold(c: char) -> char {
    let c = private_use::public(c).unwrap_or(c);
    match u32::from(c) {
        at @ FIRST..=LAST => SIMPLIFIED[(at - FIRST) as usize],
        _ => c,
    }
}

pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' | '〇')
}

/// The reading of a character: toneless, `ü` as `u`; of several, the pinyin crate's first.
pub fn reading(c: char) -> Option<&'static str> {
    c.to_pinyin().map(|reading| plain(reading.plain()))
}

/// Readings that a character has as a surname only.
const AS_SURNAME: &[(char, &str)] = &[
    ('曾', "zeng"),
    ('单', "shan"),
    ('解', "xie"),
    ('仇', "qiu"),
    ('区', "ou"),
    ('查', "zha"),
    ('朴', "piao"),
    ('尉', "yu"),
    ('盖', "ge"),
    ('翟', "zhai"),
    ('任', "ren"),
    ('覃', "qin"),
    ('缪', "miao"),
    ('冼', "xian"),
    ('乐', "yue"),
    ('员', "yun"),
    ('秘', "bi"),
    ('召', "shao"),
    ('黑', "he"),
    ('折', "she"),
    ('洗', "xian"),
    ('重', "chong"),
    ('种', "chong"),
    ('柏', "bai"),
    ('晁', "chao"),
    ('俞', "yu"),
    ('褚', "chu"),
    ('万', "wan"),
];

pub fn surname_reading(c: char) -> Option<&'static str> {
    AS_SURNAME.iter().find(|(known, _)| *known == c).map(|(_, reading)| *reading).or_else(|| reading(c))
}

const COMPOUND_SURNAMES: &[&str] = &[
    "欧阳", "上官", "司马", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "司徒", "长孙", "宇文", "夏侯",
    "轩辕", "端木", "南宫", "西门", "独孤", "申屠", "闻人", "澹台", "公冶", "赫连", "呼延", "东郭", "百里", "第五",
];

/// How many characters of a Han name are its surname.
pub fn surname_length(chars: &[char]) -> usize {
    let starts = |surname: &&str| chars.len() > 2 && surname.chars().eq(chars[..2].iter().copied());
    if COMPOUND_SURNAMES.iter().any(starts) { 2 } else { 1 }
}

/// How many syllables of a name in letters, from its start or from its end, may be a surname: one, and two where they spell a
/// compound one and something is left.
pub fn spelled_surname_lengths(syllables: &[String], from_end: bool) -> impl Iterator<Item = usize> {
    let compound = syllables.len() > 2 && {
        let two = if from_end { &syllables[syllables.len() - 2..] } else { &syllables[..2] };
        SPELLED_COMPOUND_SURNAMES.contains(&two.concat())
    };
    [Some(1), compound.then_some(2)].into_iter().flatten()
}

static SPELLED_COMPOUND_SURNAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    COMPOUND_SURNAMES.iter().map(|surname| surname.chars().filter_map(surname_reading).collect()).collect()
});

/// Letters cut into pinyin syllables, the longest first, `ü` as `u`; none where they are no pinyin.
pub fn syllables(letters: &str) -> Option<Vec<&str>> {
    if letters.is_empty() {
        return Some(Vec::new());
    }
    (1..=letters.len().min(6)).rev().find_map(|length| {
        let (head, tail) = letters.split_at_checked(length)?;
        let known = SYLLABLES.contains(head);
        let mut rest = if known { syllables(tail)? } else { return None };
        rest.insert(0, plain(head));
        Some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_fold_to_one_form() {
        assert_eq!("張龑戰\u{e863}李".chars().map(fold).collect::<String>(), "张䶮战䶮李");
    }

    #[test]
    fn letters_are_cut_into_syllables() {
        assert_eq!(syllables("zhangwei").unwrap(), ["zhang", "wei"]);
        assert_eq!(syllables("xian").unwrap(), ["xian"]);
        assert_eq!(syllables("lyufanghua").unwrap(), ["lu", "fang", "hua"]);
        assert_eq!(syllables("smith"), None);
    }

    #[test]
    fn surnames_have_their_own_readings() {
        assert_eq!(surname_reading('单'), Some("shan"));
        assert_eq!(surname_length(&['欧', '阳', '娜']), 2);
        assert_eq!(surname_length(&['欧', '阳']), 1, "a surname and one character");
    }
}
