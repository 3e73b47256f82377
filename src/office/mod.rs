//! The house of the requesting office: households, commissions, what was released, reports.

mod answers;
mod authorisation;
mod changes;
mod check;
mod commission;
mod fetch;
mod forget;
mod household;
mod html;
mod journal;
mod opening;
mod report;
mod request;
mod status;
mod withdraw;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hedui_protocol::manifest::{Manifest, Office};

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};

/// `hedui office …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// File a commission for each household whose members have authorised it
    Request(Box<request::Request>),
    /// Verify one household now: file its commission, wait, and tell what was released
    Check(Box<check::Check>),
    /// Show what each agency has answered so far
    Status(status::Status),
    /// Fetch what has been released
    Fetch(fetch::Fetch),
    /// Open what was fetched and write one report a household
    Report(report::Report),
    /// Take commissions back: nothing more is released for them
    Withdraw(withdraw::Withdraw),
    /// Name all commissions of a household, for the operators to erase, and take them from this office's own folder
    Forget(forget::Forget),
}

pub fn run(verb: Verb, clock: &Clock) -> Outcome {
    match verb {
        Verb::Request(request) => crate::transport::block_on(request.run(clock)),
        Verb::Check(check) => crate::transport::block_on(check.run(clock)),
        Verb::Status(status) => crate::transport::block_on(status.run()),
        Verb::Fetch(fetch) => crate::transport::block_on(fetch.run(clock)),
        Verb::Report(report) => report.run(clock),
        Verb::Forget(forget) => forget.run(),
        Verb::Withdraw(withdraw) => crate::transport::block_on(withdraw.run(clock)),
    }
}

/// The office's own folder.
#[derive(Args, Clone, Debug)]
struct StateFolder {
    /// The office's folder of commissions (mode 0700); made by the first request
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

/// The office that the caller says it is.
fn own<'m>(manifest: &'m Manifest, name: &str) -> Outcome<&'m Office> {
    manifest.office(name).ok_or_else(|| {
        let names: Vec<&str> = manifest.offices.iter().map(|office| office.name.as_str()).collect();
        Failure::refused(format!("`{name}` is no office of the manifest"))
            .hint(format!("its offices are: {}", names.join(", ")))
    })
}
