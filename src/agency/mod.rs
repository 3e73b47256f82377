//! The house of the data holder: check a file, encode it, submit it, answer on match.

mod answer;
mod check;
mod cohorts;
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
    Check(check::Check),
    /// Encode a file and seal its payloads into a folder of parts, locally
    Encode(encode::Encode),
    /// Send an encoded folder to the linkage server; goes on where it stopped
    Submit(submit::Submit),
    /// Answer the matches that this agency is asked about
    Answer(answer::Answer),
}

pub fn run(verb: Verb, clock: &Clock) -> Outcome {
    match verb {
        Verb::Check(check) => check.run(),
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
        manifest.agency(&self.agency).ok_or_else(|| {
            let names: Vec<&str> = manifest.agencies.iter().map(|agency| agency.name.as_str()).collect();
            Failure::refused(format!("`{}` is no agency of the manifest", self.agency))
                .hint(format!("its agencies are: {}", names.join(", ")))
        })
    }
}
