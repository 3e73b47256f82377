//! The house of the data holder: check a file, encode it, submit it, answer on match.

mod absent;
mod answer;
mod check;
mod cohorts;
mod delta;
mod encode;
mod rows;
mod submit;

use clap::{Args, Subcommand};
use hedui_protocol::manifest::{Agency, Manifest};

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{DataFile, ManifestFile};

/// `hedui agency …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Look at a file before encoding it: what is filled, malformed, doubtful; nothing leaves the house
    ///
    /// Counts and row numbers; a value is shown only with --show-values.
    ///
    /// What the state of the file does to recall is told for each pass: of how many rows it has every value that it
    /// compares, and for want of which field it lacks the rest. Those it lacks are lost to this pass for certain. Those
    /// it has are the most that it can find, and no forecast: it finds a row only if the other side wrote the same. A
    /// row that lacks several fields is counted at each of them. Rows that few passes can find are the first to be
    /// missed when a value differs on the other side.
    Check(Box<check::Check>),
    /// Encode a file and seal its payloads into a folder of parts, locally
    Encode(encode::Encode),
    /// Send an encoded folder to the linkage server; goes on where it stopped
    Submit(submit::Submit),
    /// Answer the matches that this agency is asked about
    Answer(answer::Answer),
}

pub fn run(verb: Verb, clock: &Clock) -> Outcome {
    match verb {
        Verb::Check(check) => check.run(clock),
        Verb::Encode(encode) => encode.run(clock),
        Verb::Submit(submit) => crate::transport::block_on(submit.run()),
        Verb::Answer(answer) => crate::transport::block_on(answer.run(clock)),
    }
}

/// The agency that acts, and its file.
#[derive(Args, Debug)]
struct OwnFile {
    #[command(flatten)]
    data: DataFile,
    #[command(flatten)]
    manifest: ManifestFile,
    /// This agency's name in the manifest
    #[arg(long, value_name = "NAME")]
    agency: String,
}

impl OwnFile {
    fn agency<'m>(&self, manifest: &'m Manifest) -> Outcome<&'m Agency> {
        own(manifest, &self.agency)
    }
}

fn own<'m>(manifest: &'m Manifest, name: &str) -> Outcome<&'m Agency> {
    manifest.agency(name).ok_or_else(|| {
        let names: Vec<&str> = manifest.agencies.iter().map(|agency| agency.name.as_str()).collect();
        Failure::refused(format!("`{name}` is no agency of the manifest"))
            .hint(format!("its agencies are: {}", names.join(", ")))
    })
}
