//! `hedui schema …`: schemas made, looked at and compared.

mod learn;

use clap::Subcommand;

use crate::failure::Outcome;

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Learn a schema's weights: from pairs whose truth is known, or from rows beside disturbed copies of themselves
    Learn(Box<learn::Learn>),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Learn(learn) => learn.run(),
    }
}
