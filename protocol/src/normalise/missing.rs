//! What people and programs write where they have no value (SPEC 4.3).

use std::collections::HashSet;
use std::sync::LazyLock;

use super::script::fold;

/// No longer than this, in bytes, is a cell that says so: a longer one is not looked at any closer.
const LONGEST: usize = 48;

/// As they stand: what is left of them without their marks may be a value.
const WHOLE: [&str; 7] = ["0", "\\n", "#ref!", "#value!", "#name?", "#num!", "#div/0!"];

/// Without marks and spaces, in simplified characters. No name of a person is among them that is not rarer than the word.
const WORDS: &str = "
    asabove asbefore declined ditto dontknow fnu lnu missing na nan nil noaddress nodata noemail nofixedabode nofixedaddress
    noinformation nomaidenname noname none nonegiven noneknown nophone notapplicable notavailable notdisclosed notentered
    notgiven notknown notprovided notrecorded notreported notspecified notstated notsupplied novalue null prefernottosay
    refused same sameasabove seeabove tba tbc tbd undefined unk unknown unspecified unstated withheld
    无 空 不详 不祥 不明 不清 不清楚 不知 不知道 不适用 保密 待定 待查 待补 待补充 待补录 待录入 待核 待核实 待核查 待确认 缺失 空白 空值
    没有 暂无 暂缺 暂未提供 暂未登记 未知 未填 未填写 未填报 未提供 未登记 未录入 未采集 未留 未办理 未取名 未起名 未命名 未说明 未记录
    同上 同前 同左 同身份证 同户籍 同户籍地 同户籍地址 同户口 同现住址 同现名 佚名 无名 无名氏 无姓名 无曾用名 无别名 无电话 无手机 无手机号
    无联系电话 无联系方式 无号码 无证 无证件 无证件号 无身份证 无身份证号 无地址 无住址 无固定住所 无固定住址 无邮箱 无记录 无资料 无数据 无信息
    无此项 无法提供 无法确认 拒答 拒绝提供 不愿提供 不愿透露 尚未取名 尚未登记 查无此人
";

static LISTED: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

// SPEC 4.3  nothing but marks, or one of the words between and among marks
pub fn says_missing(clean: &str) -> bool {
    if clean.len() > LONGEST {
        return false;
    }
    // none of the words has a digit
    if clean.bytes().any(|c| c.is_ascii_digit()) {
        return WHOLE.contains(&clean);
    }
    let bare: String = clean.chars().filter(|c| !is_mark(*c)).map(fold).collect();
    bare.is_empty() || LISTED.contains(bare.as_str()) || WHOLE.contains(&clean)
}

/// Not `?` and `*`: they stand for characters of a name.
fn is_mark(c: char) -> bool {
    match c {
        '?' | '*' => false,
        ' ' | '·' | '•' | '。' | '、' | '〈' | '〉' | '《' | '》' | '「' | '」' | '『' | '』' | '【' | '】' | '〔'
        | '〕' => true,
        '–' | '—' | '‐' | '‘' | '’' | '“' | '”' => true,
        _ => c.is_ascii_punctuation(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(cells: &[&str], missing: bool) {
        for cell in cells {
            assert_eq!(says_missing(&clean(cell)), missing, "{cell}");
        }
    }

    #[test]
    fn words_between_and_among_marks() {
        check(&["", " ", "-", "--", "——", "/", "...", "…", "()", "。", "、"], true);
        check(&["#N/A", "N.A.", "n/a", "(null)", "<null>", "[NULL]", "\\N", "None.", "nil", "#REF!", "#NAME?"], true);
        check(&["missing", "Not known", "not_known", "UNKNOWN", "same", "As above", "ditto", "Don't know"], true);
        check(
            &["无", "無", "（无）", "【暂无】", "沒有", "无曾用名", "同上。", "“同上”", "未填", "未 知", "＜空＞"],
            true,
        );
        check(&["不明", "不詳", "待查", "待补", "佚名", "无名氏", "未提供", "无", "０"], true);
    }

    #[test]
    fn names_and_numbers_are_values() {
        check(&["无忌", "空山", "吴有", "缺", "同", "尚无", "未来", "查无", "无?", "空*", "□", "Noname Smith"], false);
        check(&["Nilsson", "Nanette", "Blank", "Ann", "No", "N", "Samee", "Unknown Road 3", "00", "-1", "0.5"], false);
        check(&["\u{e815}", "\u{e815}."], false);
    }

    #[test]
    fn no_word_is_too_long_or_twice_or_unreachable() {
        assert_eq!(LISTED.len(), WORDS.split_whitespace().count());
        for word in LISTED.iter() {
            assert!(says_missing(&clean(word)), "{word}");
        }
    }
}
