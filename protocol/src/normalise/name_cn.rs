//! Names in Chinese characters, or written in pinyin (SPEC 4.5).

use super::FieldState;
use super::script::{fold, is_han, reading, spelled_surname_lengths, surname_length, surname_reading, syllables};
use super::shape::shape;
use super::text;
use super::variants::canonical;
use crate::schema::Part;

/// A name, read: its Han characters in order, or its syllables where it is written in letters.
pub struct NameCn {
    han: Vec<char>,
    /// A syllable for each character; none where its reading is not known.
    syllables: Option<Vec<String>>,
    /// Some character is uncertain: the name as a whole cannot be compared.
    uncertain: bool,
}

impl NameCn {
    // SPEC 4.5  notes in brackets go; dots, spaces and other marks go; ? * □ and the like are uncertain characters
    pub fn read(clean: &str) -> Option<Self> {
        let kept: Vec<char> = text::without_brackets(clean).chars().map(fold).collect();
        let uncertain = kept.iter().copied().any(is_uncertain);
        let mut han: Vec<char> = kept.iter().copied().filter(|c| is_han(*c)).collect();
        let is_behind = |title: &&str| han.len() > 2 && han[han.len() - 2..].iter().copied().eq(title.chars());
        if TITLES.iter().any(is_behind) {
            han.truncate(han.len() - 2);
        }
        let letters: Vec<String> = words_of_letters(&kept);
        if han.is_empty() {
            let syllables: Option<Vec<Vec<&str>>> = letters.iter().map(|word| syllables(word)).collect();
            let spelled = syllables.map(|words| words.concat().into_iter().map(str::to_owned).collect());
            // a name in letters that is no pinyin is still a name: its words are its syllables
            let spelled: Vec<String> = spelled.unwrap_or(letters);
            return (!spelled.is_empty()).then_some(Self { han, syllables: Some(spelled), uncertain });
        }
        let surname = surname_length(&han);
        let readings =
            han.iter().enumerate().map(|(at, c)| if at < surname { surname_reading(*c) } else { reading(*c) });
        let mut readings: Option<Vec<String>> = readings.map(|reading| reading.map(str::to_owned)).collect();
        if let Some(readings) = &mut readings {
            // a rare character replaced by its pinyin: the letters stand for it
            readings.extend(letters.iter().cloned());
        }
        Some(Self { syllables: readings, uncertain: uncertain || !letters.is_empty(), han })
    }

    pub fn state(&self) -> FieldState {
        if self.uncertain { FieldState::Uncertain } else { FieldState::Valid }
    }

    pub fn part(&self, part: Part) -> Vec<String> {
        let whole = !self.uncertain && !self.han.is_empty();
        match part {
            Part::Bag if whole => self.bags(),
            Part::Shape if whole => vec![self.shape()],
            Part::LessOne if self.uncertain && !self.han.is_empty() => vec![sorted(self.han.clone())],
            Part::LessOne if whole => self.less_one(),
            Part::Pinyin => self.spelled(|syllables| vec![sorted(syllables.concat().chars().collect())]),
            Part::Initials => self.spelled(|syllables| {
                vec![sorted(syllables.iter().filter_map(|syllable| syllable.chars().next()).collect())]
            }),
            Part::SurnamePinyin => self.surname(),
            Part::GivenPinyin => self.given(),
            _ => Vec::new(),
        }
    }

    // SPEC 4.5  bag: the name as it is written, and with every variant character in its canonical form where that differs
    fn bags(&self) -> Vec<String> {
        let mut bags = vec![sorted(self.han.clone())];
        if self.han.iter().any(|c| canonical(*c) != *c) {
            bags.push(sorted(self.han.iter().copied().map(canonical).collect()));
        }
        bags
    }

    // SPEC 4.5  shape: the characters' shapes as a sorted bag, joined by `-`
    fn shape(&self) -> String {
        let mut shapes: Vec<String> = self.han.iter().map(|c| shape(*c)).collect();
        shapes.sort_unstable();
        shapes.join("-")
    }

    // SPEC 4.5  less one: the name without one of its characters, each in turn; a name of two is itself
    fn less_one(&self) -> Vec<String> {
        let length = self.han.len();
        if !(3..=4).contains(&length) {
            return vec![sorted(self.han.clone())];
        }
        let without = |left_out: usize| {
            let rest = self.han.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, c)| *c);
            sorted(rest.collect())
        };
        let mut names: Vec<String> = (0..length).map(without).collect();
        names.sort();
        names.dedup();
        names
    }

    fn spelled(&self, spell: impl Fn(&[String]) -> Vec<String>) -> Vec<String> {
        let unreadable = self.uncertain && self.han.is_empty();
        self.syllables.as_deref().filter(|_| !unreadable).map_or_else(Vec::new, spell)
    }

    // SPEC 4.5  surname: the first syllables of a Han name; of a name in letters the first or the last
    fn surname(&self) -> Vec<String> {
        let Some(syllables) = &self.syllables else { return Vec::new() };
        distinct(self.cuts(syllables).into_iter().map(|(surname, _)| surname))
    }

    // SPEC 4.5  given name: the syllables after a Han name's surname; of a name in letters all but the first or the last
    fn given(&self) -> Vec<String> {
        let Some(syllables) = self.syllables.as_deref().filter(|_| !self.uncertain) else { return Vec::new() };
        distinct(self.cuts(syllables).into_iter().map(|(_, given)| given).filter(|given| !given.is_empty()))
    }

    /// Surname and given name, in every way that they may be meant.
    fn cuts(&self, syllables: &[String]) -> Vec<(String, String)> {
        let at = |at: usize| (syllables[..at].concat(), syllables[at..].concat());
        if !self.han.is_empty() {
            return vec![at(surname_length(&self.han).min(syllables.len()))];
        }
        let first = spelled_surname_lengths(syllables, false).map(at);
        let last = spelled_surname_lengths(syllables, true).map(|length| {
            let (given, surname) = at(syllables.len() - length);
            (surname, given)
        });
        first.chain(last).collect()
    }

    pub fn grams(&self) -> Vec<String> {
        let mut grams: Vec<String> = self.han.iter().map(|c| format!("c{c}")).collect();
        grams.extend(self.han.windows(2).map(|pair| format!("b{}{}", pair[0], pair[1])));
        grams.extend(self.han.iter().map(|c| format!("g{}", shape(*c))));
        for (at, syllable) in self.syllables.iter().flatten().enumerate() {
            grams.push(format!("s{at}{syllable}"));
            grams.push(format!("y{syllable}"));
        }
        grams
    }
}

/// What people are called behind their names.
const TITLES: [&str; 6] = ["先生", "女士", "小姐", "同志", "太太", "老师"];

/// Signs for a character that could not be written, private use, and radicals (CJK Radicals Supplement), of which no name is.
fn is_uncertain(c: char) -> bool {
    matches!(c, '?' | '*' | '□' | '〓' | '\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{2e80}'..='\u{2eff}')
}

fn sorted(mut chars: Vec<char>) -> String {
    chars.sort_unstable();
    chars.into_iter().collect()
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

/// The runs of Latin letters, without tone marks.
fn words_of_letters(chars: &[char]) -> Vec<String> {
    let plain = text::without_marks(&chars.iter().collect::<String>());
    let words = plain.split(|c: char| !c.is_ascii_alphabetic());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, part: Part, expect: &str) {
        let name = NameCn::read(&text::clean(name)).unwrap();
        assert_eq!(name.part(part).join("|"), expect);
    }

    #[test]
    fn a_bag_is_the_same_however_a_name_is_written() {
        for name in ["张伟丽", "張偉麗", " 张 伟丽", "张伟丽(已故)", "张\u{3000}伟丽", "丽张伟", "张伟丽女士"]
        {
            check(name, Part::Bag, "丽伟张");
        }
        for name in ["阿卜杜拉·买买提", "阿卜杜拉•买买提", "阿卜杜拉.买买提", "阿卜杜拉买买提"]
        {
            check(name, Part::Bag, "买买卜拉提杜阿");
        }
    }

    #[test]
    fn two_spellings_of_a_name_share_a_bag() {
        check("肖伟丽", Part::Bag, "丽伟肖|丽伟萧");
        check("萧伟丽", Part::Bag, "丽伟萧");
        check("蕭偉麗", Part::Bag, "丽伟萧");
        check("付喆", Part::Bag, "付喆|傅哲");
        check("邹淼", Part::Bag, "淼邹");
        check("肖?", Part::Bag, "");
    }

    #[test]
    fn pinyin_meets_characters_in_either_order() {
        for name in ["张伟", "ZHANG WEI", "Wei Zhang", "zhangwei", "Zhāng Wěi"] {
            check(name, Part::Pinyin, "aeghinwz");
            check(name, Part::Initials, "wz");
        }
        check("zhang wei", Part::SurnamePinyin, "zhang|wei");
        check("单伟", Part::SurnamePinyin, "shan");
        check("欧阳娜", Part::SurnamePinyin, "ouyang");
    }

    #[test]
    fn u_with_two_dots_meets_all_that_it_is_spelled_as() {
        for name in
            ["吕芳华", "呂芳華", "Lü Fanghua", "Lǚ Fānghuá", "LU FANGHUA", "LYU FANGHUA", "LV FANGHUA", "FANGHUA LV"]
        {
            check(name, Part::Pinyin, "aafghlnuu");
            let surnames = NameCn::read(&text::clean(name)).unwrap().part(Part::SurnamePinyin);
            assert!(surnames.contains(&"lu".to_owned()), "{name}");
        }
        check("王略", Part::GivenPinyin, "lue");
        check("WANG LYUE", Part::GivenPinyin, "lue|wang");
    }

    #[test]
    fn a_compound_surname_in_letters_is_whole_or_its_first_syllable() {
        check("OUYANG XIUWEN", Part::SurnamePinyin, "ou|ouyang|wen");
        check("OUYANG XIUWEN", Part::GivenPinyin, "yangxiuwen|xiuwen|ouyangxiu");
        check("Guanghua SIMA", Part::SurnamePinyin, "guang|ma|sima");
        check("Ou Yang", Part::SurnamePinyin, "ou|yang");
        check("欧阳修文", Part::GivenPinyin, "xiuwen");
    }

    #[test]
    fn look_alikes_share_a_shape() {
        for name in ["王伟清", "王玮晴", "王偉請", "清伟王"] {
            check(name, Part::Shape, "1433-1456-203");
        }
        check("王伟", Part::Shape, "1433-1456");
        for unsure in ["王?", "王wei", "Wang Wei"] {
            check(unsure, Part::Shape, "");
        }
    }

    #[test]
    fn an_uncertain_character_is_left_open() {
        check("李?", Part::Bag, "");
        check("李□雷", Part::LessOne, "李雷");
        check("李\u{2ee2}雷", Part::Bag, "");
        check("李\u{e815}雷", Part::LessOne, "李雷");
        check("李雷", Part::LessOne, "李雷");
        check("李小雷", Part::LessOne, "小李|小雷|李雷");
        check("李yan", Part::Bag, "");
        check("李yan", Part::Pinyin, "ailny");
    }
}
