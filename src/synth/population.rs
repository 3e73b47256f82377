//! The people of a city by number: which household is whose, and who applies.

use super::{
    Progress, SynthError,
    dice::{Purpose, Streams, coin, hash},
    household::{Household, Households},
    ranked::RankedBits,
};

/// Everybody, counted once; a bit and a half of memory a person (see `RankedBits`).
pub(super) struct Population {
    pub(super) families: Households,
    /// Bit `n` says that person `n` begins a household.
    heads: RankedBits,
    applicants: u64,
}

impl Population {
    /// Counts households until there are exactly `people`; the last one is cut short if need be.
    pub(super) fn census(seed: u64, people: u64, progress: &mut Progress<'_>) -> Result<Self, SynthError> {
        let families = Households::new(seed, people);
        let mut heads = RankedBits::default();
        let mut number = 0;
        while heads.len() < people {
            assert!(
                number < families.numbers.households(),
                "households have 2.6 members on average, slots are for 2.25"
            );
            let room = people - heads.len();
            let members = (families.household(number).members.len() as u64).min(room);
            (0..members).for_each(|member| heads.push(member == 0));
            number += 1;
            if number.is_multiple_of(1024) {
                progress(heads.len())?;
            }
        }
        Ok(Self { families, heads, applicants: Streams::new(seed, Purpose::Applicant, 0).key() })
    }

    pub(super) fn people(&self) -> u64 {
        self.heads.len()
    }

    pub(super) fn households(&self) -> u64 {
        self.heads.ones()
    }

    /// The household of a person and the place in it.
    pub(super) fn locate(&self, person: u64) -> (u64, usize) {
        let head = self.heads.last_one(person).expect("the first person begins a household");
        (self.heads.rank(head), (person - head) as usize)
    }

    pub(super) fn household(&self, number: u64) -> Household {
        let mut household = self.families.household(number);
        if number + 1 == self.households() {
            let head = self.heads.last_one(self.people() - 1).expect("the last household has a head");
            household.members.truncate((self.people() - head) as usize);
        }
        household
    }

    /// About one household in ten applies.
    pub(super) fn applies(&self, household: u64) -> bool {
        coin(hash(self.applicants, household), 0, 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_place() {
        let population = Population::census(1, 1_001, &mut |_| Ok(())).unwrap();
        assert_eq!(population.people(), 1_001);
        let mut person = 0;
        for number in 0..population.households() {
            for member in 0..population.household(number).members.len() {
                assert_eq!(population.locate(person), (number, member));
                person += 1;
            }
        }
        assert_eq!(person, 1_001);
    }

    #[test]
    fn no_people_are_no_households() {
        assert_eq!(Population::census(1, 0, &mut |_| Ok(())).unwrap().households(), 0);
    }
}
