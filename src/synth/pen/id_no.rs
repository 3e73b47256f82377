//! Identity numbers as they are left out, mixed up, mistyped and reformatted.
//!
//! The first six digits are never changed: whatever goes wrong, the region stays one that does not exist.

use super::Pen;
use crate::synth::{address::full_width, date::Date, flaws::Flaw, household::Household};

impl Pen<'_> {
    pub(super) fn id_no(&mut self, household: &Household, at: usize) -> String {
        if self.slips(Flaw::IdMissing) {
            return self.dice.pick(&["", "", "", "无", "不详", "0"]).to_owned();
        }
        let number = self.whose_number(household, at);
        let born = household.members[at].holder.day;
        let number = self.mistake(number, born);
        self.reformat(number)
    }

    fn whose_number(&mut self, household: &Household, at: usize) -> String {
        let others = household.members.len() as u32 - 1;
        let mut whose = at;
        if others > 0 && self.slips(Flaw::IdOfKin) {
            whose = (at + 1 + self.dice.below(others) as usize) % household.members.len();
        }
        let member = &household.members[whose];
        self.numbers.id_no(household.slot(member.origin), &member.holder)
    }

    fn mistake(&mut self, mut number: String, born: i32) -> String {
        if born < LAST_15_DIGITS && self.slips(Flaw::Id15) {
            number = format!("{}{}", &number[..REGION], &number[8..17]);
        }
        if self.slips(Flaw::IdTranspose) {
            number = self.transpose(number);
        }
        if self.slips(Flaw::IdDigit) {
            let at = REGION + self.dice.below((number.len() - REGION) as u32) as usize;
            self.mistype(&mut number, at);
        }
        if self.slips(Flaw::IdTruncate) {
            number.pop();
        }
        number
    }

    /// Swaps two neighbouring digits that differ.
    fn transpose(&mut self, number: String) -> String {
        let mut digits = number.into_bytes();
        let apart = |at: &usize| digits[*at] != digits[at + 1] && digits[at + 1] != b'X';
        let places: Vec<usize> = (REGION..digits.len() - 1).filter(apart).collect();
        if !places.is_empty() {
            let at = self.dice.pick(&places);
            digits.swap(at, at + 1);
        }
        String::from_utf8(digits).expect("digits and X are ASCII")
    }

    fn reformat(&mut self, mut number: String) -> String {
        if number.ends_with('X') && self.slips(Flaw::IdLower) {
            number.make_ascii_lowercase();
        }
        if self.slips(Flaw::IdSpace) && number.len() > 15 {
            number = format!("{} {} {}", &number[..6], &number[6..14], &number[14..]);
        }
        if self.slips(Flaw::IdFull) { full_width(&number) } else { number }
    }
}

const REGION: usize = 6;
/// Numbers of 15 digits were issued to those born before about then.
const LAST_15_DIGITS: i32 = Date::new(1986, 1, 1).number();
