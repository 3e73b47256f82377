//! Households: who lives together, and what each of them is called, was born and can be reached at.

use super::{
    address::Address,
    date::Date,
    dice::{Dice, Purpose, Streams},
    growing::Growing,
    names::{Culture, Era, Name},
    numbers::{Holder, Numbers, Origin, Sex, Slot},
    tables::TABLES,
};

/// The day on which ages are counted.
pub(super) const TODAY: i32 = Date::new(2026, 6, 30).number();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Head,
    Spouse,
    Child,
    Sibling,
    Parent,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) relation: Relation,
    pub(super) holder: Holder,
    pub(super) origin: Origin,
    pub(super) name: Name,
    /// The name before it was changed, for files that are old enough.
    pub(super) former_name: Name,
    /// The number in use and the one before.
    pub(super) phones: [u64; 2],
    pub(super) former_address: Address,
}

impl Member {
    pub(super) fn age(&self) -> i32 {
        (TODAY - self.holder.day) * 4 / 1461
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Household {
    pub(super) address: Address,
    pub(super) members: Vec<Member>,
    home: Slot,
    away: Slot,
}

impl Household {
    pub(super) fn slot(&self, origin: Origin) -> &Slot {
        match origin {
            Origin::Home => &self.home,
            Origin::Away => &self.away,
        }
    }
}

/// All households of a city; each is made anew whenever it is asked for, and always the same.
pub(super) struct Households {
    streams: Streams,
    namesakes: Streams,
    pub(super) numbers: Numbers,
}

impl Households {
    pub(super) fn new(seed: u64, people: u64) -> Self {
        Self {
            streams: Streams::new(seed, Purpose::Household, 0),
            namesakes: Streams::new(seed, Purpose::Namesake, 0),
            numbers: Numbers::new(seed, people),
        }
    }

    pub(super) fn household(&self, number: u64) -> Household {
        let (head, dice) = self.natural_head(number);
        let head = self.namesake(number, &head).unwrap_or(head);
        Growing { dice, culture: head.culture, household: self.empty(number, head.address) }.grow(&head)
    }

    fn empty(&self, number: u64, address: Address) -> Household {
        let slot = |origin| self.numbers.slot(number, origin);
        Household { address, members: Vec::with_capacity(8), home: slot(Origin::Home), away: slot(Origin::Away) }
    }

    /// The head before anybody is made a namesake, and the stream that the rest of the household is drawn from.
    fn natural_head(&self, number: u64) -> (Head, Dice) {
        let mut dice = self.streams.stream(number);
        let culture = Culture::draw(&mut dice);
        let sex = if dice.chance(68_000) { Sex::Male } else { Sex::Female };
        let age = 22 + (0..3).map(|_| dice.between(0, 69)).sum::<i32>() / 3;
        let origin = if dice.chance(70_000) { Origin::Home } else { Origin::Away };
        let day = self.numbers.slot(number, origin).birthday(day_of_age(age, &mut dice));
        let shared = dice.chance(30_000).then(|| TABLES.given[sex as usize][1].draw(&mut dice).text);
        let surname = TABLES.surnames.draw(&mut dice).text;
        let name = Name::draw(culture, surname, sex, Era::of(day), shared, &mut dice);
        let address = Address::draw(&mut dice);
        (Head { culture, sex, age, day, origin, surname, name, shared, address }, dice)
    }

    /// In some households of odd number the head is called like the head of an earlier one of even number, and was born
    /// about the same day or, less often, on the very day.
    fn namesake(&self, number: u64, head: &Head) -> Option<Head> {
        if number.is_multiple_of(2) || head.culture != Culture::Han {
            return None;
        }
        let mut dice = self.namesakes.stream(number);
        let apart = match dice.below(100_000) {
            0..SAME_DAY => 0,
            SAME_DAY..NAMESAKES => dice.between(1, 40) * dice.pick(&[1, -1]),
            _ => return None,
        };
        let slot = self.numbers.slot(number, head.origin);
        // On the very day only if that is one of the slot's, which holds for one head in four.
        let fits =
            |model: &Head| model.culture == Culture::Han && (apart != 0 || slot.birthday(model.day) == model.day);
        let evens = (number / 2 + 1) as u32;
        let model = (0..40).map(|_| self.natural_head(2 * u64::from(dice.below(evens))).0).find(fits)?;
        let day = slot.birthday(model.day + apart);
        Some(Head { day, origin: head.origin, address: head.address, ..model })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) culture: Culture,
    pub(super) sex: Sex,
    pub(super) age: i32,
    pub(super) day: i32,
    pub(super) origin: Origin,
    pub(super) surname: &'static str,
    pub(super) name: Name,
    /// The character that the head's generation of the family shares.
    pub(super) shared: Option<char>,
    pub(super) address: Address,
}

pub(super) fn day_of_age(age: i32, dice: &mut Dice) -> i32 {
    TODAY - age * 365 - age / 4 - dice.between(0, 364)
}

/// Of 100 000 households of odd number.
const SAME_DAY: u32 = 600;
const NAMESAKES: u32 = 4_600;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn households() -> Households {
        Households::new(1, 20_000)
    }

    #[test]
    fn a_household_is_the_same_each_time() {
        let households = households();
        assert!((0..50).all(|number| households.household(number) == households.household(number)));
    }

    #[test]
    fn households_have_the_size_that_the_numbers_need() {
        let households = households();
        let members: usize = (0..4_000).map(|number| households.household(number).members.len()).sum();
        assert!((9_600..11_600).contains(&members), "{members}: 2.4 to 2.9 members");
    }

    #[test]
    fn a_child_uses_the_phone_of_the_head() {
        let households = households();
        let young = (0..200).map(|number| households.household(number)).find_map(|household| {
            household.members.iter().find(|member| member.age() < 14).map(|child| child.phones[0]).zip(Some(household))
        });
        let (phone, household) = young.unwrap();
        assert_eq!(phone, household.members[0].phones[0]);
    }

    #[test]
    fn twins_have_neighbouring_numbers() {
        let households = households();
        let twins: Vec<(u32, u32)> = (0..8_000)
            .map(|number| households.household(number))
            .filter_map(|household| {
                let second = household.members.iter().position(|member| member.holder.second)?;
                let serial = |member: &Member| {
                    let number = households.numbers.id_no(household.slot(member.origin), &member.holder);
                    number[14..17].parse::<u32>().unwrap()
                };
                Some((serial(&household.members[second - 1]), serial(&household.members[second])))
            })
            .collect();
        assert!(twins.len() > 5, "{}", twins.len());
        assert!(twins.iter().filter(|(elder, younger)| elder.abs_diff(*younger) == 2).count() + 1 >= twins.len());
    }

    #[test]
    fn some_heads_share_a_name_and_a_birth_date() {
        let households = households();
        let mut seen: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for number in 0..8_000 {
            let head = &households.household(number).members[0];
            seen.entry(format!("{:?}{:?}", head.name, head.holder.sex)).or_default().push(head.holder.day);
        }
        let gaps = |most: i32| -> usize {
            let close = |days: &Vec<i32>| {
                let mut days = days.clone();
                days.sort_unstable();
                days.windows(2).filter(|pair| pair[1] - pair[0] <= most).count()
            };
            seen.values().map(close).sum()
        };
        assert!((12..60).contains(&gaps(0)), "{}", gaps(0));
        assert!((120..300).contains(&gaps(44)), "{}", gaps(44));
    }
}
