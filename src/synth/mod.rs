//! Makes up a city: an office's applicants, the files of four agencies that know some of them, and the truth.
//!
//! Nobody in it is real, and no identity or telephone number in it can be anybody's (see `numbers`). The bytes depend on
//! the arguments alone. Every row is a function of the seed, the person and the file, so rows are computed when their
//! turn comes and memory stays under half a byte a person (6 MB for ten million).

mod address;
mod application;
pub mod command;
mod date;
mod dice;
mod error;
mod files;
mod flaws;
mod growing;
mod holdings;
mod household;
mod names;
mod numbers;
mod output;
mod pen;
mod population;
mod ranked;
mod register;
mod shuffle;
mod tables;

pub use error::SynthError;

use files::{Files, file_name, truth_name};
use population::Population;
use register::Register;
use std::path::Path;

/// The city to make up.
#[derive(Clone, Copy, Debug)]
pub struct City {
    /// Exactly how many people live in it.
    pub people: u64,
    pub seed: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    pub people: u64,
    pub households: u64,
    pub applicant_households: u64,
    /// Also the rows of `office.csv`.
    pub applicants: u64,
    /// By file, the office first: `office`, `bank`, `tax`, `housing`, `vehicle`.
    pub rows: [(&'static str, u64); 5],
    /// By agency: pairs of a row of the office and a row of the agency that are one person.
    pub true_pairs: [(&'static str, u64); 4],
}

impl City {
    /// Beyond this, identity numbers would run out.
    pub const MOST_PEOPLE: u64 = 10_000_000;

    /// Writes `office.csv`, a file and a `truth_` file for each agency into `out`, which is made if need be.
    ///
    /// None of the files may be there. `progress` hears (done, total) about every thousand people, and says whether to go on.
    pub fn write(&self, out: &Path, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Totals, SynthError> {
        let Self { people, seed } = *self;
        if people > Self::MOST_PEOPLE {
            return Err(SynthError::TooManyPeople { people });
        }
        output::prepare(out, file_names())?;
        let mut meter = Meter { people, walks: 0, progress };
        let population = Population::census(seed, people, &mut meter.walk())?;
        let files = Files { folder: out, seed, population: &population };
        let office = files.office(&mut meter.walk())?;
        let mut totals = Totals {
            people,
            households: population.households(),
            applicant_households: office.households,
            applicants: office.count(),
            rows: Register::ALL.map(|register| (register.name(), office.count())),
            true_pairs: Register::AGENCIES.map(|register| (register.name(), 0)),
        };
        for (at, register) in Register::AGENCIES.into_iter().enumerate() {
            let written = files.agency(register, &office, &mut meter.walk())?;
            totals.rows[at + 1].1 = written.rows;
            totals.true_pairs[at].1 = written.true_pairs;
        }
        meter.end()?;
        Ok(totals)
    }
}

fn file_names() -> impl Iterator<Item = String> {
    let truths = Register::AGENCIES.into_iter().map(truth_name);
    Register::ALL.into_iter().map(file_name).chain(truths)
}

/// Adds up the walks through the population: the census, then one a file.
struct Meter<'a> {
    people: u64,
    walks: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

/// Hears how far a walk has come; an error ends it.
type Progress<'p> = dyn FnMut(u64) -> Result<(), SynthError> + 'p;

impl Meter<'_> {
    const WALKS: u64 = 1 + Register::ALL.len() as u64;

    fn walk(&mut self) -> impl FnMut(u64) -> Result<(), SynthError> {
        let before = self.walks * self.people;
        self.walks += 1;
        let total = Self::WALKS * self.people;
        let progress = &mut *self.progress;
        move |done| if progress(before + done, total) { Ok(()) } else { Err(SynthError::Stopped) }
    }

    fn end(&mut self) -> Result<(), SynthError> {
        self.walk()(0)
    }
}

#[cfg(test)]
mod tests;
