//! Identity and telephone numbers that have the usual shape and that nobody can hold.
//!
//! A region code begins with 99. No region of GB/T 2260 does, and in the permit of permanent residents, which also
//! begins with 9, the next two digits are a province, of which none begins with 9. A telephone number begins with 10 or
//! 12, which no mobile network uses.

use super::{
    date::Date,
    dice::{Dice, Purpose, Streams, hash},
    shuffle::Shuffle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sex {
    Male,
    Female,
}

impl Sex {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Male => Self::Female,
            Self::Female => Self::Male,
        }
    }
}

/// Where a number was issued: the household's own region, or the one that its newcomers came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Home,
    Away,
}

/// A place in the space of numbers that one household has to itself.
///
/// Invariant: no two (household, origin) have the same slot. Within a slot two people differ by birth date, by sex or,
/// as twins do, by `Holder::second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    region: u32,
    pair: u32,
    /// Who uses the slot is born on a day whose number leaves this remainder by 4.
    pub(super) day_class: i32,
}

impl Slot {
    /// The last day at or before `day` on which a holder of this slot may be born.
    pub(super) fn birthday(&self, day: i32) -> i32 {
        day - (day - self.day_class).rem_euclid(DAY_CLASSES as i32)
    }
}

/// What a number says about who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) sex: Sex,
    pub(super) day: i32,
    /// The younger of twins of one sex: the neighbouring serial number.
    pub(super) second: bool,
}

/// All identity numbers of a city.
///
/// A slot is (day class, region, pair of serial numbers), so there are 4 · regions · 249 of them, and a permutation deals
/// them to households. The serial number of a holder is that of the slot moved by an amount that only region and birth
/// date decide: those who share both are moved alike and stay apart, so every number is unique by construction.
pub(super) struct Numbers {
    regions: u32,
    slots: Shuffle,
    key: u64,
}

impl Numbers {
    /// For a city of so many people, whose households have at least 2.25 members on average.
    pub(super) fn new(seed: u64, people: u64) -> Self {
        let slots = (people * 8).div_ceil(9);
        let regions = slots.div_ceil(u64::from(DAY_CLASSES * PAIRS)).max(FEWEST_REGIONS);
        let regions = u32::try_from(regions).expect("a city has at most ten million people");
        assert!(regions <= MOST_REGIONS, "a city has at most ten million people");
        let key = Streams::new(seed, Purpose::Numbers, 0).key();
        Self { regions, slots: Shuffle::new(u64::from(DAY_CLASSES * PAIRS) * u64::from(regions), key), key }
    }

    /// How many households have slots.
    pub(super) fn households(&self) -> u64 {
        u64::from(DAY_CLASSES * PAIRS) * u64::from(self.regions) / 2
    }

    pub(super) fn slot(&self, household: u64, origin: Origin) -> Slot {
        let place = self.slots.at(2 * household + u64::from(origin == Origin::Away));
        let (rest, pair) = (place / u64::from(PAIRS), (place % u64::from(PAIRS)) as u32);
        let (region, class) = (rest / u64::from(DAY_CLASSES), rest % u64::from(DAY_CLASSES));
        Slot { region: region as u32, pair, day_class: class as i32 }
    }

    /// The 18 characters of a number: region, birth date, serial number (odd for men), check character.
    pub(super) fn id_no(&self, slot: &Slot, holder: &Holder) -> String {
        assert_eq!(slot.birthday(holder.day), holder.day, "a birth date of the slot's day class");
        let Date { year, month, day } = Date::from_number(holder.day);
        let region = slot.region * 7919 % MOST_REGIONS;
        let serial = self.serial(slot, holder);
        let mut text = format!("99{region:04}{year:04}{month:02}{day:02}{serial:03}");
        text.push(check_character(text.as_bytes()));
        text
    }

    fn serial(&self, slot: &Slot, holder: &Holder) -> u32 {
        let alike = (u64::from(slot.region) << 32) | u64::from(holder.day as u32);
        let moved = (hash(self.key, alike) % u64::from(2 * PAIRS)) as u32;
        let place = (2 * slot.pair + u32::from(holder.second) + moved) % (2 * PAIRS);
        2 * place + if holder.sex == Sex::Male { 1 } else { 2 }
    }
}

/// GB 11643-1999, ISO 7064 MOD 11-2.
pub(super) fn check_character(digits: &[u8]) -> char {
    let remainder = digits.iter().fold(0, |sum, digit| (sum + u32::from(digit - b'0')) * 2 % 11);
    char::from(b"10X98765432"[remainder as usize])
}

/// Eleven digits. 106 is left out: services send messages from such numbers.
pub(super) fn phone(dice: &mut Dice) -> u64 {
    let second = dice.pick(&[0, 2]);
    let third = u64::from(dice.pick(b"\x00\x01\x02\x03\x04\x05\x07\x08\x09"));
    (100 + 10 * second + third) * 100_000_000 + u64::from(dice.below(100_000_000))
}

const FEWEST_REGIONS: u64 = 128;
const MOST_REGIONS: u32 = 10_000;
const DAY_CLASSES: u32 = 4;
/// Pairs of serial numbers that one sex has in a region and on a day: 996 of 001 to 999.
const PAIRS: u32 = 249;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The hardest case for uniqueness: everybody of a class is born on the same day, and has a twin.
    #[test]
    fn numbers_are_unique_when_all_share_a_birth_date() {
        let numbers = Numbers::new(3, 100);
        let mut seen = BTreeSet::new();
        for household in 0..numbers.households() {
            let slot = numbers.slot(household, Origin::Home);
            for (sex, second) in [(Sex::Male, false), (Sex::Male, true), (Sex::Female, false), (Sex::Female, true)] {
                let holder = Holder { sex, day: slot.birthday(9_000), second };
                assert!(seen.insert(numbers.id_no(&slot, &holder)), "household {household}");
            }
        }
    }

    #[test]
    fn ten_million_people_have_slots_enough() {
        assert!(Numbers::new(1, 10_000_000).households() >= 4_400_000);
    }

    #[test]
    fn check_characters_of_known_numbers() {
        assert_eq!(check_character(b"11010519491231002"), 'X', "the example of GB 11643");
        assert_eq!(check_character(b"44052418800101001"), '4');
    }

    #[test]
    fn a_serial_number_is_odd_for_men() {
        let numbers = Numbers::new(1, 100);
        let slot = numbers.slot(7, Origin::Away);
        for sex in [Sex::Male, Sex::Female] {
            let text = numbers.id_no(&slot, &Holder { sex, day: slot.birthday(4_000), second: false });
            assert_eq!(text[14..17].parse::<u32>().unwrap() % 2 == 1, sex == Sex::Male);
            assert!(text.starts_with("99") && text.len() == 18);
        }
    }
}
