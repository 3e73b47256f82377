//! The tables of names and amounts, read once from the files under `tables/`.

use super::dice::Dice;
use std::{collections::BTreeMap, sync::LazyLock};

/// A surname; these live as long as the program.
pub(super) struct Surname {
    pub(super) text: &'static str,
    pub(super) pinyin: &'static str,
}

/// A character that given names use, or that is taken for one.
pub(super) struct Character {
    pub(super) text: char,
    pub(super) pinyin: &'static str,
    lookalikes: Vec<char>,
}

/// Words with weights.
pub(super) struct Weighted<T> {
    items: Vec<T>,
    sums: Vec<u32>,
}

impl<T: Copy> Weighted<T> {
    fn new(pairs: impl IntoIterator<Item = (T, u32)>) -> Self {
        let (mut items, mut sums, mut sum) = (Vec::new(), Vec::new(), 0);
        for (item, weight) in pairs.into_iter().filter(|(_, weight)| *weight > 0) {
            sum += weight;
            items.push(item);
            sums.push(sum);
        }
        Self { items, sums }
    }

    pub(super) fn draw(&self, dice: &mut Dice) -> T {
        let total = *self.sums.last().expect("a table has rows");
        let at = dice.below(total);
        self.items[self.sums.partition_point(|sum| *sum <= at)]
    }
}

pub(super) struct Tables {
    pub(super) surnames: Weighted<&'static Surname>,
    /// By sex, male first, and by era: born before 1965, before 1990, later.
    pub(super) given: [[Weighted<&'static Character>; 3]; 2],
    /// Given and father's name of Uyghur style, whole Tibetan names.
    pub(super) uyghur_given: Vec<&'static str>,
    pub(super) uyghur_father: Vec<&'static str>,
    pub(super) tibetan: Vec<&'static str>,
    surname_of: BTreeMap<&'static str, &'static Surname>,
    character_of: BTreeMap<char, &'static Character>,
    same_sound: BTreeMap<&'static str, Vec<char>>,
    traditional: BTreeMap<char, char>,
    variants: BTreeMap<&'static str, &'static str>,
    minority_pinyin: BTreeMap<&'static str, &'static str>,
    amounts: [Vec<u32>; 4],
}

/// Which amount to draw: the columns of `amounts.tsv`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    Balance,
    Income,
    Area,
    Price,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

/// Characters that old code pages lack.
const RARE: &str = "喆堃翀淼犇焱垚骉昇峯珺祎頔旻赟奡玥晛烜芃䶮";

impl Tables {
    pub(super) fn pinyin(&self, character: char) -> Option<&'static str> {
        self.character_of.get(&character).map(|found| found.pinyin)
    }

    pub(super) fn surname_pinyin(&self, surname: &str) -> Option<&'static str> {
        self.surname_of.get(surname).map(|found| found.pinyin)
    }

    pub(super) fn minority_pinyin(&self, part: &str) -> &'static str {
        self.minority_pinyin.get(part).expect("every part of a minority name is in the table")
    }

    /// Characters of given names that sound like this one.
    pub(super) fn homophones(&self, character: char) -> Vec<char> {
        let alike = self.pinyin(character).and_then(|sound| self.same_sound.get(sound));
        alike.into_iter().flatten().copied().filter(|other| *other != character).collect()
    }

    pub(super) fn lookalikes(&self, character: char) -> &[char] {
        self.character_of.get(&character).map_or(&[], |found| &found.lookalikes)
    }

    pub(super) fn traditional(&self, character: char) -> char {
        self.traditional.get(&character).copied().unwrap_or(character)
    }

    pub(super) fn variant(&self, surname: &str) -> Option<&'static str> {
        self.variants.get(surname).copied()
    }

    pub(super) fn is_rare(&self, character: char) -> bool {
        RARE.contains(character)
    }

    /// An amount in hundredths: a quantile drawn evenly, straight lines between the quantiles of the table.
    pub(super) fn amount(&self, amount: Amount, dice: &mut Dice) -> u64 {
        let quantiles = &self.amounts[amount as usize];
        let at = dice.below(quantiles.len() as u32 - 1) as usize;
        let (low, high) = (quantiles[at], quantiles[at + 1]);
        u64::from(low + dice.below(high - low + 1))
    }

    fn read() -> Self {
        let surnames = surnames();
        let characters = characters();
        let minority = || rows(include_str!("tables/minority.tsv"));
        let role = |role| minority().filter(|row| row[2] == role).map(|row| row[0]).collect();
        let given = |column| Weighted::new(characters.iter().map(|(character, weights)| (*character, weights[column])));
        Self {
            surnames: Weighted::new(surnames.iter().copied()),
            given: [[given(0), given(1), given(2)], [given(3), given(4), given(5)]],
            uyghur_given: role("given"),
            uyghur_father: role("father"),
            tibetan: role("tibetan"),
            surname_of: surnames.iter().map(|(surname, _)| (surname.text, *surname)).collect(),
            character_of: characters.iter().map(|(character, _)| (character.text, *character)).collect(),
            same_sound: same_sound(&characters),
            traditional: traditional(),
            variants: rows(include_str!("tables/variants.tsv")).map(|row| (row[0], row[1])).collect(),
            minority_pinyin: minority().map(|row| (row[0], row[1])).collect(),
            amounts: amounts(),
        }
    }
}

fn surnames() -> Vec<(&'static Surname, u32)> {
    let read = |row: Vec<&'static str>| {
        let surname: &'static Surname = Box::leak(Box::new(Surname { text: row[0], pinyin: row[2] }));
        (surname, number(row[1]))
    };
    rows(SURNAMES).map(read).collect()
}

fn characters() -> Vec<(&'static Character, [u32; 6])> {
    let read = |row: Vec<&'static str>| {
        let lookalikes = row[3].chars().filter(|other| *other != '-').collect();
        let character: &'static Character =
            Box::leak(Box::new(Character { text: single(row[0]), pinyin: row[1], lookalikes }));
        (character, std::array::from_fn(|column| number(row[4 + column])))
    };
    rows(CHARACTERS).map(read).collect()
}

fn same_sound(characters: &[(&'static Character, [u32; 6])]) -> BTreeMap<&'static str, Vec<char>> {
    let mut by_sound: BTreeMap<&'static str, Vec<char>> = BTreeMap::new();
    for (character, weights) in characters {
        if weights.iter().any(|weight| *weight > 0) {
            by_sound.entry(character.pinyin).or_default().push(character.text);
        }
    }
    by_sound
}

fn traditional() -> BTreeMap<char, char> {
    let surnames = rows(SURNAMES).flat_map(|row| row[0].chars().zip(row[3].chars()));
    let characters = rows(CHARACTERS).map(|row| (single(row[0]), single(row[2])));
    surnames.chain(characters).collect()
}

fn amounts() -> [Vec<u32>; 4] {
    std::array::from_fn(|column| rows(include_str!("tables/amounts.tsv")).map(|row| number(row[column])).collect())
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn number(text: &str) -> u32 {
    text.parse().expect("weights and amounts of the tables are whole numbers")
}

fn single(text: &str) -> char {
    text.chars().next().expect("the column holds one character")
}

const SURNAMES: &str = include_str!("tables/surnames.tsv");
const CHARACTERS: &str = include_str!("tables/characters.tsv");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::dice::{Purpose, Streams};

    #[test]
    fn lookups() {
        let tables = &*TABLES;
        assert_eq!(tables.pinyin('伟'), Some("wei"));
        assert_eq!(tables.surname_pinyin("欧阳"), Some("ouyang"));
        assert_eq!(tables.traditional('陈'), '陳');
        assert_eq!(tables.traditional('?'), '?');
        assert_eq!(tables.variant("闫"), None);
        assert_eq!(tables.variant("阎"), Some("闫"));
        assert!(tables.homophones('伟').iter().all(|other| *other != '伟'));
        assert_eq!(tables.lookalikes('伟'), ['纬', '炜', '韦']);
        assert!(RARE.chars().all(|rare| tables.pinyin(rare).is_some()), "a rare character can be spelt");
    }

    #[test]
    fn heavy_words_come_more_often() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        let wang = (0..10_000).filter(|_| TABLES.surnames.draw(&mut dice).text == "王").count();
        assert!((600..900).contains(&wang), "{wang}");
    }

    #[test]
    fn amounts_have_the_median_of_the_table() {
        let mut dice = Streams::new(1, Purpose::Household, 0).stream(0);
        let mut drawn: Vec<u64> = (0..10_001).map(|_| TABLES.amount(Amount::Income, &mut dice)).collect();
        drawn.sort_unstable();
        assert!((7_000_000..7_700_000).contains(&drawn[5_000]), "{}", drawn[5_000]);
    }
}
