//! The door: `hedui <role> <verb>`. With one feature on, only that house is behind it.

use clap::{Parser, Subcommand};

#[cfg(any(feature = "agency", feature = "office", feature = "server"))]
use crate::clock::Clock;
use crate::failure::Outcome;
use crate::project;

/// Hedui (核对): verify a household's means without a register of who was checked.
///
/// Exit codes: 0 done; 1 refused (input, key or another party says no); 2 wrong usage;
/// 75 try again (the other side, or the disk, is down or full: the same command goes on where it stopped);
/// 130 interrupted; 141 nobody reads the output any more.
#[derive(Parser, Debug)]
#[command(name = "hedui", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the main job with a synthetic city: one server, four agencies, one office, over mutual TLS
    #[cfg(all(feature = "agency", feature = "server", feature = "office"))]
    Demo(crate::demo::Demo),
    /// Encode two files and match them here, with the code that the service uses
    #[cfg(feature = "agency")]
    Link(Box<crate::link::Link>),
    /// Estimate precision and recall of two files' link, without a truth, and advise thresholds
    #[cfg(feature = "agency")]
    Tune(Box<crate::tune::Tune>),
    /// Compare CLKs: every pair over a threshold, and who belongs to whom
    #[cfg(feature = "agency")]
    Match(Box<crate::pairing::Match>),
    /// CLKs as clkhash makes them, for interoperation and research
    #[cfg(feature = "agency")]
    #[command(subcommand)]
    Clk(crate::clk::Verb),
    /// Schemas: what is compared, and what agreement is worth
    #[cfg(feature = "agency")]
    #[command(subcommand)]
    Schema(crate::schema::Verb),
    /// Write a synthetic city's files
    Synth(crate::synth::command::Synth),
    /// Make keys, and show what may be told of them
    #[command(subcommand)]
    Key(project::key::Verb),
    /// A test authority for TLS certificates
    #[command(subcommand)]
    Pki(project::pki::Verb),
    /// The project's manifest
    #[command(subcommand)]
    Manifest(project::manifest::Verb),
    /// The data holder
    #[cfg(feature = "agency")]
    #[command(subcommand)]
    Agency(crate::agency::Verb),
    /// The linkage server
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Server(crate::server::command::Verb),
    /// What two of the linkage operator's people decide together
    #[cfg(feature = "operator")]
    #[command(subcommand)]
    Operator(crate::operator::Verb),
    /// What the linkage server did, proved from its log
    #[cfg(any(feature = "auditor", feature = "server"))]
    #[command(subcommand)]
    Audit(AuditVerb),
    /// The requesting office
    #[cfg(feature = "office")]
    #[command(subcommand)]
    Office(crate::office::Verb),
}

/// `hedui audit …`: the operator writes the log, the auditor reads it.
#[cfg(any(feature = "auditor", feature = "server"))]
#[derive(Subcommand, Debug)]
enum AuditVerb {
    /// Write a server's log into a folder, or go on with one: the operator, beside the server
    #[cfg(feature = "server")]
    Export(crate::server::command::ExportLog),
    /// Copy the log from a running server, or go on with a copy: the auditor, by a certificate of the role `auditor`
    #[cfg(feature = "auditor")]
    Fetch(crate::audit::Fetch),
    /// Look whether an exported log is whole, is the one that was signed, and says only what was allowed; exit 0 if so
    #[cfg(feature = "auditor")]
    Verify(crate::audit::Verify),
    /// Look whether a server's receipt holds, and say what it proves; exit 0 if so
    #[cfg(feature = "auditor")]
    Receipt(crate::audit::CheckReceipt),
    /// Find entries of an exported log
    #[cfg(feature = "auditor")]
    Search(crate::audit::Search),
    /// Tell what an exported log says as it grows
    #[cfg(feature = "auditor")]
    Watch(crate::audit::Watch),
}

#[cfg(any(feature = "auditor", feature = "server"))]
impl AuditVerb {
    fn run(self) -> Outcome {
        match self {
            #[cfg(feature = "server")]
            Self::Export(export) => crate::server::command::export(export),
            #[cfg(feature = "auditor")]
            Self::Fetch(fetch) => crate::transport::block_on(fetch.run()),
            #[cfg(feature = "auditor")]
            Self::Verify(verify) => verify.run(),
            #[cfg(feature = "auditor")]
            Self::Receipt(receipt) => receipt.run(),
            #[cfg(feature = "auditor")]
            Self::Search(search) => search.run(),
            #[cfg(feature = "auditor")]
            Self::Watch(watch) => watch.run(),
        }
    }
}

impl Cli {
    /// Whether the log is to be an object a line.
    pub fn logs_json(&self) -> bool {
        match &self.command {
            #[cfg(feature = "server")]
            Command::Server(verb) => verb.log_format() == crate::server::command::LogFormat::Json,
            _ => false,
        }
    }
}

pub fn run(cli: Cli) -> Outcome {
    match cli.command {
        #[cfg(all(feature = "agency", feature = "server", feature = "office"))]
        Command::Demo(demo) => demo.run(),
        #[cfg(feature = "agency")]
        Command::Link(link) => link.run(),
        #[cfg(feature = "agency")]
        Command::Tune(tune) => tune.run(),
        #[cfg(feature = "agency")]
        Command::Match(pairing) => pairing.run(),
        #[cfg(feature = "agency")]
        Command::Clk(verb) => crate::clk::run(verb),
        #[cfg(feature = "agency")]
        Command::Schema(verb) => crate::schema::run(verb),
        Command::Synth(synth) => synth.run(),
        Command::Key(verb) => project::key::run(verb),
        Command::Pki(verb) => project::pki::run(verb),
        Command::Manifest(verb) => project::manifest::run(verb),
        #[cfg(feature = "agency")]
        Command::Agency(verb) => crate::agency::run(verb, &Clock::System),
        #[cfg(feature = "server")]
        Command::Server(verb) => crate::server::command::run(verb, Clock::System),
        #[cfg(feature = "operator")]
        Command::Operator(verb) => crate::operator::run(verb),
        #[cfg(any(feature = "auditor", feature = "server"))]
        Command::Audit(verb) => verb.run(),
        #[cfg(feature = "office")]
        Command::Office(verb) => crate::office::run(verb, &Clock::System),
    }
}
