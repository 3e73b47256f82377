//! `hedui synth`: the city's files, from the command line.

use std::path::PathBuf;

use clap::Args;

use super::{City, SynthError, Totals};
use crate::failure::{Failure, Outcome};
use crate::staging::Staging;
use crate::terminal::{self, Interrupt};

#[derive(Args, Debug)]
pub struct Synth {
    /// The folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// People in the city
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=City::MOST_PEOPLE))]
    people: u64,
    /// The same seed makes the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

impl Synth {
    pub fn run(self) -> Outcome {
        let totals = write(&City { people: self.people, seed: self.seed }, &self.out, &Interrupt::listen())?;
        let rows: Vec<String> = totals.rows.iter().map(|(file, rows)| format!("{file} {rows}")).collect();
        let Totals { people, households, applicant_households, applicants, .. } = totals;
        terminal::note(format!(
            "{}: {people} people in {households} households, {applicants} applicants in {applicant_households}; rows: {}",
            self.out.display(),
            rows.join(", "),
        ));
        Ok(())
    }
}

/// Writes the city with a progress bar; the folder appears when it is whole.
pub fn write(city: &City, out: &std::path::Path, interrupt: &Interrupt) -> Outcome<Totals> {
    let staging = Staging::new(out)?;
    let progress = terminal::bar(0, "synthesising a city");
    let totals = city.write(&staging.path(""), &mut |done, total| {
        progress.set_length(total);
        progress.set_position(done);
        interrupt.check().is_ok()
    });
    progress.finish_and_clear();
    let totals = totals.map_err(|e: SynthError| interrupt.check().err().unwrap_or_else(|| refused(e)))?;
    staging.finish()?;
    Ok(totals)
}

fn refused(e: SynthError) -> Failure {
    let hint = e.hint();
    let failure = Failure::refused(e);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
