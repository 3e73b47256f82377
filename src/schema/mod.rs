//! `hedui schema …`: schemas made, looked at and compared.

mod check;
mod diff;
mod guess;
mod init;
mod learn;
mod shape;
mod strangers;

use clap::Subcommand;

use crate::failure::Outcome;

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Guess a schema from a file's header and values, and explain each guess
    Init(init::Init),
    /// Say whether a schema reads, and what it does with a file's own values
    Check(check::Check),
    /// Say what a change of schema makes incomparable
    Diff(diff::Diff),
    /// Learn a schema's weights: from pairs whose truth is known, or from rows beside disturbed copies of themselves
    Learn(Box<learn::Learn>),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Init(init) => init.run(),
        Verb::Check(check) => check.run(),
        Verb::Diff(diff) => diff.run(),
        Verb::Learn(learn) => learn.run(),
    }
}
