//! `hedui clk …`: CLKs as clkhash makes them, for interoperation and research.

mod convert;
mod describe;
mod encode;
pub mod file;
mod schema;

use clap::Subcommand;

use crate::failure::Outcome;

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Encode a CSV file under a clkhash linkage schema (versions 1 to 3): the same bytes as clkhash 0.18.3
    Encode(encode::Encode),
    /// Write a schema of the profile `clk` around a linkage schema, for `link` and for research projects
    Schema(schema::Schema),
    /// Show how a file of CLKs looks: bits set, duplicates, outliers
    Describe(describe::Describe),
    /// Convert CLKs between clkhash's JSON, raw binary and Parquet
    Convert(convert::Convert),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Encode(encode) => encode.run(),
        Verb::Schema(schema) => schema.run(),
        Verb::Describe(describe) => describe.run(),
        Verb::Convert(convert) => convert.run(),
    }
}
