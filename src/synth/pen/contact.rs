//! Birth dates, telephone numbers and addresses, as old or as wrong as a file has them.

use super::Pen;
use crate::synth::{
    address::AddressStyle,
    date::Date,
    flaws::Flaw,
    household::{Household, Member},
};

impl Pen<'_> {
    pub(super) fn birth_date(&mut self, member: &Member) -> String {
        let mut text = String::new();
        if !self.slips(Flaw::DobMissing) {
            let date = self.misdate(Date::from_number(member.holder.day));
            date.write(self.habits().dates, &mut text);
        }
        text
    }

    fn misdate(&mut self, date: Date) -> Date {
        let swappable = date.day <= 12 && date.day != date.month;
        if swappable && self.slips(Flaw::DobSwap) {
            Date { month: date.day, day: date.month, ..date }
        } else if self.slips(Flaw::DobDay) {
            Date::from_number(date.number() + self.dice.between(1, 9) * self.dice.pick(&[1, -1]))
        } else if self.slips(Flaw::DobYear) {
            date.years_later(self.dice.pick(&[1, -1])).unwrap_or(date)
        } else if self.slips(Flaw::DobJan1) {
            Date { month: 1, day: 1, ..date }
        } else {
            date
        }
    }

    pub(super) fn phone(&mut self, member: &Member) -> String {
        let phone = member.phones[usize::from(self.slips(Flaw::PhoneOld))];
        if self.slips(Flaw::PhoneMissing) {
            return String::new();
        }
        let mut text = phone.to_string();
        if self.slips(Flaw::PhoneDigit) {
            let at = 3 + self.dice.below(8) as usize;
            self.mistype(&mut text, at);
        }
        if self.slips(Flaw::PhoneFormat) {
            return self.format_phone(&text);
        }
        text
    }

    fn format_phone(&mut self, phone: &str) -> String {
        let (first, middle, last) = (&phone[..3], &phone[3..7], &phone[7..]);
        match self.dice.below(4) {
            0 => format!("+86{phone}"),
            1 => format!("86-{phone}"),
            2 => format!("{first} {middle} {last}"),
            _ => format!("{first}-{middle}-{last}"),
        }
    }

    pub(super) fn address(&mut self, household: &Household, member: &Member) -> String {
        if self.slips(Flaw::AddrMissing) {
            return String::new();
        }
        let address = if self.slips(Flaw::AddrMoved) { &member.former_address } else { &household.address };
        let own_style = self.dice.chance(70_000);
        let style = if own_style { self.habits().addresses } else { self.dice.pick(&AddressStyle::ALL) };
        address.write(style)
    }
}

#[cfg(test)]
mod tests {
    use crate::synth::{household::Households, pen::tests::many};

    #[test]
    fn a_phone_is_never_one_that_somebody_can_have() {
        let households = Households::new(1, 100);
        for number in 0..5 {
            let household = households.household(number);
            let written = many(&household, &households.numbers, |pen, household| pen.phone(&household.members[0]));
            for phone in written.iter().filter(|phone| !phone.is_empty()) {
                let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
                let digits = digits.strip_prefix("86").unwrap_or(&digits);
                assert_eq!(digits.len(), 11, "{phone}");
                assert!(digits.starts_with("10") || digits.starts_with("12"), "{phone}");
                assert!(!digits.starts_with("106"), "{phone}");
            }
        }
    }

    #[test]
    fn an_address_is_written_in_every_style() {
        let households = Households::new(1, 100);
        let household = households.household(0);
        let written =
            many(&household, &households.numbers, |pen, household| pen.address(household, &household.members[0]));
        for style in super::AddressStyle::ALL {
            assert!(written.contains(&household.address.write(style)), "{style:?}");
        }
        assert!(written.contains(&String::new()), "missing");
    }
}
