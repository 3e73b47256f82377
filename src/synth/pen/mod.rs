//! Writes a person down as one clerk would, with that clerk's habits and slips.

mod contact;
mod id_no;
mod name;

use super::{
    dice::Dice,
    flaws::{Flaw, Rates},
    household::{Household, Member},
    numbers::Numbers,
    register::{Habits, Register},
};

/// One clerk at one row: everything that is drawn comes from `dice`, the stream of that row.
pub(super) struct Pen<'a> {
    pub(super) register: Register,
    pub(super) numbers: &'a Numbers,
    pub(super) dice: Dice,
    pub(super) rates: &'a Rates,
}

impl Pen<'_> {
    /// The columns that every file has, each after a comma. None of them ever needs quotes.
    pub(super) fn write(&mut self, household: &Household, at: usize, line: &mut String) {
        let member = &household.members[at];
        let columns = [
            self.name(member),
            self.id_no(household, at),
            self.birth_date(member),
            self.sex(member).to_owned(),
            self.phone(member),
            self.address(household, member),
        ];
        for column in &columns {
            debug_assert!(!column.contains([',', '"', '\n']), "no column needs quotes");
            line.push(',');
            line.push_str(column);
        }
    }

    fn sex(&mut self, member: &Member) -> &'static str {
        let sex = member.holder.sex;
        let written = if self.slips(Flaw::SexWrong) { sex.other() } else { sex };
        if self.slips(Flaw::SexMissing) { "" } else { self.habits().sex(written) }
    }

    fn habits(&self) -> Habits {
        self.register.habits()
    }

    fn slips(&mut self, flaw: Flaw) -> bool {
        self.dice.chance(self.rates[flaw as usize])
    }

    /// Another digit in place of the one at `at`; what is not a digit stays.
    fn mistype(&mut self, text: &mut String, at: usize) {
        if let Some(digit) = text[at..=at].chars().next().and_then(|digit| digit.to_digit(10)) {
            let other = (digit + 1 + self.dice.below(9)) % 10;
            text.replace_range(at..=at, &other.to_string());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::synth::{
        dice::{Purpose, Streams},
        flaws::{RATES, rates},
        household::Households,
        names::Name,
    };
    use std::collections::BTreeSet;

    /// What all the files make of one member, written with each of 400 streams.
    pub(super) fn many<T>(
        household: &Household,
        numbers: &Numbers,
        mut what: impl FnMut(&mut Pen, &Household) -> T,
    ) -> Vec<T> {
        let mut written = Vec::new();
        for register in Register::ALL {
            let streams = Streams::new(1, Purpose::Row, register as u8);
            let rates = rates(register);
            for stream in 0..400 {
                let mut pen = Pen { register, numbers, dice: streams.stream(stream), rates: &rates };
                written.push(what(&mut pen, household));
            }
        }
        written
    }

    /// The row of a head with the flaws that `rates` allow.
    fn row(households: &Households, number: u64, rates: &Rates) -> Vec<String> {
        let dice = Streams::new(1, Purpose::Row, 0).stream(number);
        let mut pen = Pen { register: Register::Office, numbers: &households.numbers, dice, rates };
        let mut line = String::new();
        pen.write(&households.household(number), 0, &mut line);
        line.split(',').skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_of_flaw_changes_its_own_column() {
        let households = Households::new(1, 20_000);
        let clean: Vec<Vec<String>> = (0..2_000).map(|number| row(&households, number, &[0; Flaw::COUNT])).collect();
        for (at, (flaw, _)) in RATES.into_iter().enumerate() {
            let column = COLUMNS.iter().position(|last| at <= *last as usize).unwrap();
            let mut rates = [0; Flaw::COUNT];
            rates[at] = 100_000;
            let mut changed = 0;
            for (number, clean) in (0..).zip(&clean) {
                let flawed = row(&households, number, &rates);
                assert_eq!(flawed[..column], clean[..column], "{flaw:?} leaves the columns before alone");
                changed += usize::from(flawed[column] != clean[column]);
            }
            assert!(changed > 0, "{flaw:?}");
        }
    }

    /// The last flaw of each column.
    const COLUMNS: [Flaw; 6] =
        [Flaw::Trailing, Flaw::IdFull, Flaw::DobJan1, Flaw::SexMissing, Flaw::PhoneFormat, Flaw::AddrMoved];

    #[test]
    fn an_identity_number_has_the_forms_that_files_have() {
        let households = Households::new(1, 100);
        let household =
            (0..).map(|number| households.household(number)).find(|found| found.members[0].age() > 60).unwrap();
        let written: BTreeSet<String> =
            many(&household, &households.numbers, |pen, household| pen.id_no(household, 0)).into_iter().collect();
        let right = households.numbers.id_no(household.slot(household.members[0].origin), &household.members[0].holder);
        let has = |what: &str, like: &dyn Fn(&str) -> bool| assert!(written.iter().any(|text| like(text)), "{what}");
        has("right", &|text| text == right);
        has("empty", &str::is_empty);
        has("none", &|text| text == "无" || text == "不详" || text == "0");
        has("fifteen digits", &|text| text.len() == 15 && text.starts_with(&right[..6]));
        has("truncated", &|text| text == &right[..17]);
        has("with spaces", &|text| text.matches(' ').count() == 2);
        has("full width", &|text| text.starts_with('９'));
        has("wrong digit", &|text| {
            text.len() == 18 && text.bytes().zip(right.bytes()).filter(|(a, b)| a != b).count() == 1
        });
    }

    #[test]
    fn a_dotted_name_keeps_loses_or_changes_its_dot() {
        let households = Households::new(1, 20_000);
        let uyghur = |household: &Household| matches!(household.members[0].name, Name::Uyghur { .. });
        let household = (0..).map(|number| households.household(number)).find(uyghur).unwrap();
        let written = many(&household, &households.numbers, |pen, household| pen.name(&household.members[0]));
        for dot in ['·', '•', '．', '.', '-', ' '] {
            assert!(written.iter().any(|name| name.trim_end().contains(dot)), "{dot}");
        }
    }
}
