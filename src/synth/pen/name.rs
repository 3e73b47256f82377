//! Names as they are misread, misheard, shortened, spelt and spaced.

use super::Pen;
use crate::synth::{
    flaws::Flaw,
    household::Member,
    names::{Given, Name, Spelling},
    tables::TABLES,
};

impl Pen<'_> {
    pub(super) fn name(&mut self, member: &Member) -> String {
        let name = if self.slips(Flaw::NameChange) { member.former_name } else { member.name };
        let text = match name {
            Name::Han { surname, given } => self.han(surname, given),
            Name::Uyghur { given, father } => self.minority(&[given, father]),
            Name::Tibetan(given) => self.minority(&[given]),
        };
        if self.slips(Flaw::Trailing) { text + self.dice.pick(&[" ", IDEOGRAPHIC_SPACE]) } else { text }
    }

    fn han(&mut self, surname: &str, given: Given) -> String {
        let mut surname = self.surname(surname).to_owned();
        let mut given: Vec<char> = [given.first].into_iter().chain(given.second).collect();
        self.mishear(&mut given);
        self.misread(&mut surname, &mut given);
        self.shorten(&mut given);
        let given = self.lose_rare(&given);
        if self.slips(Flaw::Pinyin) {
            return self.spelling().spell(&surname, &given);
        }
        let name = self.script(surname + &given);
        self.space(name)
    }

    fn minority(&mut self, parts: &[&str]) -> String {
        if self.slips(Flaw::Pinyin) {
            let sounds: Vec<&str> = parts.iter().map(|part| TABLES.minority_pinyin(part)).collect();
            return sounds.join(" ").to_uppercase();
        }
        let dot = if parts.len() > 1 && self.slips(Flaw::Dot) { self.dice.pick(&OTHER_DOTS) } else { "·" };
        self.script(parts.join(dot))
    }

    fn surname<'a>(&mut self, surname: &'a str) -> &'a str {
        match TABLES.variant(surname) {
            Some(variant) if self.slips(Flaw::SurnameVariant) => variant,
            _ => surname,
        }
    }

    fn mishear(&mut self, given: &mut [char]) {
        if self.slips(Flaw::Homophone) {
            let at = self.dice.below(given.len() as u32) as usize;
            let alike = TABLES.homophones(given[at]);
            if !alike.is_empty() {
                given[at] = self.dice.pick(&alike);
            }
        }
    }

    /// One character of the name, but never half of a surname of two.
    fn misread(&mut self, surname: &mut String, given: &mut [char]) {
        if !self.slips(Flaw::Lookalike) {
            return;
        }
        let mut letters = surname.chars();
        let short = letters.next().filter(|_| letters.next().is_none());
        let at = self.dice.below(given.len() as u32 + u32::from(short.is_some())) as usize;
        let character = given.get(at).copied().or(short).expect("past the given name is a short surname");
        let alike = TABLES.lookalikes(character);
        if alike.is_empty() {
            return;
        }
        let other = self.dice.pick(alike);
        match given.get_mut(at) {
            Some(character) => *character = other,
            None => *surname = other.to_string(),
        }
    }

    fn shorten(&mut self, given: &mut Vec<char>) {
        if given.len() == 2 && self.slips(Flaw::CharDrop) {
            given.remove(self.dice.below(2) as usize);
        }
        if given.len() == 2 && self.slips(Flaw::CharSwap) {
            given.swap(0, 1);
        }
    }

    fn lose_rare(&mut self, given: &[char]) -> String {
        let mut text: String = given.iter().collect();
        let rare = given.iter().copied().find(|character| TABLES.is_rare(*character));
        if let Some(rare) = rare
            && self.slips(Flaw::RareLost)
        {
            let sound = TABLES.pinyin(rare).unwrap_or("?");
            text = text.replace(rare, self.dice.pick(&["?", "*", "□", sound]));
        }
        text
    }

    /// Mostly the file's own spelling.
    fn spelling(&mut self) -> Spelling {
        if self.dice.chance(80_000) { self.habits().spelling } else { self.dice.pick(&Spelling::ALL) }
    }

    fn script(&mut self, name: String) -> String {
        if self.slips(Flaw::Traditional) {
            return name.chars().map(|character| TABLES.traditional(character)).collect();
        }
        name
    }

    fn space(&mut self, name: String) -> String {
        let mut letters = name.chars();
        if let (Some(first), Some(second), None) = (letters.next(), letters.next(), letters.next())
            && self.slips(Flaw::Space)
        {
            let space = if self.dice.chance(60_000) { IDEOGRAPHIC_SPACE } else { " " };
            return format!("{first}{space}{second}");
        }
        name
    }
}

const IDEOGRAPHIC_SPACE: &str = "\u{3000}";
const OTHER_DOTS: [&str; 6] = ["•", "．", ".", "-", " ", ""];

#[cfg(test)]
mod tests {
    use crate::synth::{household::Households, names::Name, pen::tests::many};

    #[test]
    fn a_name_is_mostly_right_and_sometimes_spelt_spaced_or_changed() {
        let households = Households::new(1, 100);
        let two = |name: &Name| matches!(name, Name::Han { given, .. } if given.second.is_none());
        let household =
            (0..).map(|number| households.household(number)).find(|found| two(&found.members[0].name)).unwrap();
        let Name::Han { surname, given } = household.members[0].name else { unreachable!("chosen so") };
        let right = format!("{surname}{}", given.first);
        let written = many(&household, &households.numbers, |pen, household| pen.name(&household.members[0]));
        assert!(written.iter().filter(|name| **name == right).count() > written.len() * 3 / 4);
        assert!(written.contains(&format!("{surname}\u{3000}{}", given.first)), "a wide space inside");
        assert!(written.iter().any(|name| name.is_ascii()), "spelt");
        assert!(written.iter().any(|name| name.starts_with(&right) && name.len() > right.len()), "a space behind");
    }
}
