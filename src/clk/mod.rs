//! `hedui clk …`: CLKs as clkhash makes them, for interoperation and research. Not for service projects.

mod convert;
mod describe;
mod encode;
pub mod file;

use clap::Subcommand;

use crate::failure::Outcome;

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Encode a CSV file under a clkhash linkage schema (versions 1 to 3): the same bytes as clkhash 0.18.3
    Encode(encode::Encode),
    /// Show how a file of CLKs looks: bits set, duplicates, outliers
    Describe(describe::Describe),
    /// Convert CLKs between clkhash's JSON, raw binary and Parquet
    Convert(convert::Convert),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Encode(encode) => encode.run(),
        Verb::Describe(describe) => describe.run(),
        Verb::Convert(convert) => convert.run(),
    }
}
