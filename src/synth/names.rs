//! Names of people: how they are drawn and how they are written in Latin letters.

use super::{date::Date, dice::Dice, numbers::Sex, tables::TABLES};

/// Which kind of name a household has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Culture {
    Han,
    /// A given name, a dot, the father's name.
    Uyghur,
    /// One name, no surname.
    Tibetan,
}

impl Culture {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        match dice.below(100_000) {
            0..910 => Self::Uyghur,
            910..1_300 => Self::Tibetan,
            _ => Self::Han,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Han { surname: &'static str, given: Given },
    Uyghur { given: &'static str, father: &'static str },
    Tibetan(&'static str),
}

/// One or two characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) first: char,
    pub(super) second: Option<char>,
}

/// When somebody was born, as far as fashion in names goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Era {
    Before1965,
    Before1990,
    Later,
}

impl Era {
    pub(super) fn of(day: i32) -> Self {
        match day {
            _ if day < const { Date::new(1965, 1, 1).number() } => Self::Before1965,
            _ if day < const { Date::new(1990, 1, 1).number() } => Self::Before1990,
            _ => Self::Later,
        }
    }
}

impl Name {
    /// A name that begins with `surname` and, if `shared` is there, gives that character to the given name first.
    pub(super) fn draw(
        culture: Culture,
        surname: &'static str,
        sex: Sex,
        era: Era,
        shared: Option<char>,
        dice: &mut Dice,
    ) -> Self {
        match culture {
            Culture::Han => Self::Han { surname, given: Given::draw(sex, era, shared, dice) },
            Culture::Uyghur => {
                Self::Uyghur { given: dice.pick(&TABLES.uyghur_given), father: dice.pick(&TABLES.uyghur_father) }
            }
            Culture::Tibetan => Self::Tibetan(dice.pick(&TABLES.tibetan)),
        }
    }

    /// The character that a brother or sister may share: the first of two.
    pub(super) fn shareable(&self) -> Option<char> {
        match self {
            Self::Han { given: Given { first, second: Some(_) }, .. } => Some(*first),
            _ => None,
        }
    }
}

impl Given {
    pub(super) fn draw(sex: Sex, era: Era, shared: Option<char>, dice: &mut Dice) -> Self {
        let table = &TABLES.given[sex as usize][era as usize];
        if let Some(first) = shared {
            return Self { first, second: Some(table.draw(dice).text) };
        }
        let first = table.draw(dice).text;
        if dice.chance(ONE_CHARACTER[era as usize]) {
            return Self { first, second: None };
        }
        let doubled = sex == Sex::Female && !matches!(era, Era::Before1965) && dice.chance(DOUBLED);
        Self { first, second: Some(if doubled { first } else { table.draw(dice).text }) }
    }
}

/// How a file writes Latin letters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    /// LI XIAOMING
    Capitals,
    /// Li Xiaoming
    Title,
    /// XIAOMING LI
    GivenFirst,
    /// LIXIAOMING
    Joined,
}

impl Spelling {
    pub(super) const ALL: [Self; 4] = [Self::Capitals, Self::Title, Self::GivenFirst, Self::Joined];

    /// `given` is as the file has it, perhaps with errors; a character without a sound stays.
    pub(super) fn spell(self, surname: &str, given: &str) -> String {
        let mut sounds = String::new();
        for character in given.chars() {
            match TABLES.pinyin(character) {
                Some(sound) => sounds.push_str(sound),
                None => sounds.push(character),
            }
        }
        let surname = TABLES.surname_pinyin(surname).unwrap_or(surname);
        match self {
            Self::Capitals => format!("{surname} {sounds}").to_uppercase(),
            Self::Title => format!("{} {}", capitalised(surname), capitalised(&sounds)),
            Self::GivenFirst => format!("{sounds} {surname}").to_uppercase(),
            Self::Joined => format!("{surname}{sounds}").to_uppercase(),
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Of 100 000, by era.
const ONE_CHARACTER: [u32; 3] = [12_000, 36_000, 12_000];
const DOUBLED: u32 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::dice::{Purpose, Streams};

    #[test]
    fn spellings() {
        let spelt: Vec<String> = Spelling::ALL.iter().map(|spelling| spelling.spell("欧阳", "晓明")).collect();
        assert_eq!(spelt, ["OUYANG XIAOMING", "Ouyang Xiaoming", "XIAOMING OUYANG", "OUYANGXIAOMING"]);
        assert_eq!(Spelling::Capitals.spell("王", "?明"), "WANG ?MING");
    }

    #[test]
    fn a_shared_character_comes_first() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        let given = Given::draw(Sex::Male, Era::Later, Some('浩'), &mut dice);
        assert_eq!(given.first, '浩');
        assert!(given.second.is_some());
    }

    #[test]
    fn some_households_have_names_of_other_cultures() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        let others = (0..10_000).filter(|_| Culture::draw(&mut dice) != Culture::Han).count();
        assert!((90..180).contains(&others), "{others}");
    }
}
