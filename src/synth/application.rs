//! What the office knows beyond the person: the household's number, the relation, the consent.

use super::{
    dice::{Dice, Purpose, Streams},
    household::Relation,
};
use std::fmt::Write as _;

/// The consents of a city's applicants.
pub(super) struct Applications(Streams);

impl Applications {
    pub(super) fn new(seed: u64) -> Self {
        Self(Streams::new(seed, Purpose::Consent, 0))
    }

    /// Writes the office's own columns, each after a comma.
    pub(super) fn write(&self, household: u64, person: u64, relation: Relation, dice: &mut Dice, line: &mut String) {
        let number = household * 7919 % HOUSEHOLD_NUMBERS;
        let consent = person * 7_368_787_123 % CONSENT_NUMBERS;
        let (relation, scope, status) = (label(relation), self.scope(household), status(dice));
        write!(line, ",H{number:08},{relation},SQ2026{consent:010},{scope},{status}").expect("a string takes any text");
    }

    /// The agencies that a household's consent covers: in nine of ten all, else some, at least one.
    fn scope(&self, household: u64) -> String {
        let mut dice = self.0.stream(household);
        let covered = if dice.chance(90_000) { 0b1111 } else { 1 + dice.below(0b1110) };
        "BTHV".chars().enumerate().filter(|(bit, _)| covered >> bit & 1 == 1).map(|(_, letter)| letter).collect()
    }
}

fn status(dice: &mut Dice) -> &'static str {
    match dice.below(100_000) {
        0..93_000 => "valid",
        93_000..97_000 => "expired",
        _ => "withdrawn",
    }
}

fn label(relation: Relation) -> &'static str {
    match relation {
        Relation::Head => "本人",
        Relation::Spouse => "配偶",
        Relation::Child => "子女",
        Relation::Sibling => "兄弟姐妹",
        Relation::Parent => "父母",
    }
}

/// A prime, so that multiplying keeps household numbers apart.
const HOUSEHOLD_NUMBERS: u64 = 99_999_989;
/// The factor of consent numbers ends in 3 and so has no divisor in common with this.
const CONSENT_NUMBERS: u64 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_household_in_ten_withholds_some_agency() {
        let applications = Applications::new(1);
        let scopes: Vec<String> = (0..5_000).map(|household| applications.scope(household)).collect();
        let whole = scopes.iter().filter(|scope| *scope == "BTHV").count();
        assert!((4_400..4_600).contains(&whole), "{whole}");
        assert!(scopes.iter().all(|scope| !scope.is_empty()));
        for letter in "BTHV".chars() {
            assert!(scopes.iter().any(|scope| !scope.contains(letter)), "{letter}");
        }
    }

    #[test]
    fn consents_are_mostly_valid() {
        let mut dice = Streams::new(1, Purpose::Row, 0).stream(0);
        let statuses: Vec<&str> = (0..10_000).map(|_| status(&mut dice)).collect();
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        assert!((9_200..9_400).contains(&count("valid")));
        assert!(count("expired") > 0 && count("withdrawn") > 0);
    }
}
