//! Who lives with the head of a household: brother or sister, spouse, children, a parent.

use super::{
    address::Address,
    dice::Dice,
    household::{Head, Household, Member, Relation, day_of_age},
    names::{Culture, Era, Name},
    numbers::{Holder, Origin, Sex, phone},
    tables::TABLES,
};

/// A household while its members are being added.
pub(super) struct Growing {
    pub(super) dice: Dice,
    pub(super) culture: Culture,
    pub(super) household: Household,
}

/// A member before the details are drawn.
struct Newcomer {
    relation: Relation,
    sex: Sex,
    day: i32,
    second: bool,
    origin: Origin,
    surname: &'static str,
    shared: Option<char>,
}

impl Growing {
    pub(super) fn grow(mut self, head: &Head) -> Household {
        self.add_head(head);
        self.add_sibling(head);
        let childrens_surname = self.add_spouse(head);
        self.add_children(head, childrens_surname);
        self.add_parent(head);
        self.household
    }

    fn add_head(&mut self, head: &Head) {
        let holder = Holder { sex: head.sex, day: head.day, second: false };
        self.join(Relation::Head, holder, head.origin, head.surname, head.name);
    }

    /// A brother or sister who shares the home, the surname, often a character of the name.
    fn add_sibling(&mut self, head: &Head) {
        if !self.dice.chance(8_000) {
            return;
        }
        let sex = self.sex(60_000);
        let age = (head.age + self.dice.between(-6, 5)).max(18);
        let day = day_of_age(age, &mut self.dice);
        let shared = head.shared.filter(|_| self.dice.chance(50_000));
        let (origin, surname) = (head.origin, head.surname);
        self.add(&Newcomer { relation: Relation::Sibling, sex, day, second: false, origin, surname, shared });
    }

    /// The surname that the children get: nearly always the father's.
    fn add_spouse(&mut self, head: &Head) -> &'static str {
        if !self.dice.chance(66_000) {
            return head.surname;
        }
        let sex = head.sex.other();
        let gap = if sex == Sex::Female { -2 } else { 2 };
        let age = (head.age + self.dice.between(-4, 4) + gap).max(20);
        let day = day_of_age(age, &mut self.dice);
        let origin = if self.dice.chance(45_000) { Origin::Home } else { Origin::Away };
        let surname = TABLES.surnames.draw(&mut self.dice).text;
        self.add(&Newcomer { relation: Relation::Spouse, sex, day, second: false, origin, surname, shared: None });
        let mothers = self.dice.chance(5_000);
        if (head.sex == Sex::Male) != mothers { head.surname } else { surname }
    }

    /// From the eldest on; most of those above 28 have left home.
    fn add_children(&mut self, head: &Head, surname: &'static str) {
        let mut age = head.age - 22 - self.dice.between(0, 12);
        let children = self.dice.pick(&[0, 0, 1, 1, 1, 2, 2, 3]);
        let (mut shared, mut twin_of) = (None, None);
        for _ in 0..children {
            if age < 0 {
                return;
            }
            if age > 28 && self.dice.chance(75_000) {
                age -= self.dice.between(1, 4);
                continue;
            }
            let newcomer = self.child(age, surname, shared, twin_of);
            twin_of = Some((newcomer.sex, newcomer.day));
            self.add(&newcomer);
            let name = self.household.members.last().expect("a child was just added").name;
            shared = name.shareable().filter(|_| self.dice.chance(35_000));
            age -= self.dice.between(1, 5);
        }
    }

    /// Twins have one birth date, neighbouring numbers and mostly a character in common.
    fn child(&mut self, age: i32, surname: &'static str, shared: Option<char>, elder: Option<(Sex, i32)>) -> Newcomer {
        let sex = self.sex(53_000);
        let (relation, origin) = (Relation::Child, Origin::Home);
        if let Some((elder_sex, day)) = elder.filter(|_| self.dice.chance(TWIN)) {
            let elder_name = self.household.members.last().expect("a twin has an elder").name;
            let shared = elder_name.shareable().filter(|_| self.dice.chance(70_000));
            return Newcomer { relation, sex, day, second: sex == elder_sex, origin, surname, shared };
        }
        let day = day_of_age(age, &mut self.dice);
        Newcomer { relation, sex, day, second: false, origin, surname, shared }
    }

    fn add_parent(&mut self, head: &Head) {
        if head.age >= 60 || !self.dice.chance(14_000) {
            return;
        }
        let sex = self.sex(40_000);
        let age = head.age + self.dice.between(22, 33);
        let day = day_of_age(age, &mut self.dice);
        let other = TABLES.surnames.draw(&mut self.dice).text;
        let surname = if sex == Sex::Male { head.surname } else { other };
        let (relation, origin) = (Relation::Parent, head.origin);
        self.add(&Newcomer { relation, sex, day, second: false, origin, surname, shared: None });
    }

    fn add(&mut self, new: &Newcomer) {
        let day = self.household.slot(new.origin).birthday(new.day);
        let mut holder = Holder { sex: new.sex, day, second: new.second };
        // Two holders of one slot must differ (see `Slot`); the next day of the slot's class is four days off.
        while self.household.members.iter().any(|other| other.origin == new.origin && other.holder == holder) {
            holder.day -= 4;
        }
        let name = Name::draw(self.culture, new.surname, new.sex, Era::of(day), new.shared, &mut self.dice);
        self.join(new.relation, holder, new.origin, new.surname, name);
    }

    fn join(&mut self, relation: Relation, holder: Holder, origin: Origin, surname: &'static str, name: Name) {
        let dice = &mut self.dice;
        let mothers = TABLES.surnames.draw(dice).text;
        let former = if dice.chance(15_000) { mothers } else { surname };
        let former_name = Name::draw(self.culture, former, holder.sex, Era::of(holder.day), None, dice);
        let phones = [phone(dice), phone(dice)];
        let former_address = Address::draw(dice);
        let mut member = Member { relation, holder, origin, name, former_name, phones, former_address };
        if let Some(head) = self.household.members.first()
            && member.age() < 14
        {
            member.phones[0] = head.phones[0];
        }
        self.household.members.push(member);
    }

    fn sex(&mut self, male: u32) -> Sex {
        if self.dice.chance(male) { Sex::Male } else { Sex::Female }
    }
}

/// Of 100 000 younger children.
const TWIN: u32 = 2_000;
