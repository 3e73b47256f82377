//! The house of the linkage operator's people: what two of them decide together, from their own desks (SPEC 15).

mod acts;
mod propose;
mod receipt;
mod retention;

use clap::{Args, Subcommand};
use hedui_protocol::acts::{ActState, ActStatus, Deed};
use hedui_protocol::problem::ProblemKind;

use crate::failure::Outcome;
use crate::options::{ManifestFile, ServerAddress};
use crate::transport::client::Client;

/// `hedui operator …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Propose that something be done; another operator is to approve it
    #[command(subcommand)]
    Propose(propose::Propose),
    /// Approve what another operator has proposed
    Approve(acts::Approve),
    /// List what was proposed, approved and done
    Acts(acts::List),
    /// Wait until what an act erases is gone, and write the server's signed receipt of it
    Receipt(receipt::Receipt),
    /// Show how long data is kept, and write the server's signed receipt that what has ended is gone
    Retention(retention::Retention),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Propose(propose) => crate::transport::block_on(propose.run()),
        Verb::Approve(approve) => crate::transport::block_on(approve.run()),
        Verb::Acts(list) => crate::transport::block_on(list.run()),
        Verb::Receipt(receipt) => crate::transport::block_on(receipt.run()),
        Verb::Retention(retention) => crate::transport::block_on(retention.run()),
    }
}

/// The epoch that is spoken of, and how its server is reached.
#[derive(Args, Clone, Debug)]
struct Reach {
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
}

impl Reach {
    fn client(&self) -> Outcome<Client> {
        self.server.client(&self.manifest.load()?)
    }
}

/// The act of this number.
async fn act(client: &Client, act: u64) -> Outcome<ActStatus> {
    client.get(&format!("/v1/acts/{act}")).await.map_err(|failure| match failure.problem {
        Some(ProblemKind::NotFound) => failure.hint("`hedui operator acts` lists them"),
        _ => failure,
    })
}

/// An act in words: a line, and one for each commission that it erases.
fn line(status: &ActStatus) -> String {
    let ActStatus { act, deed, state, proposed_by, proposed_at, approved_by, .. } = status;
    let state = match state {
        ActState::Proposed => "proposed",
        ActState::Lapsed => "lapsed",
        ActState::Approved => "approved, files are being removed",
        ActState::Done => "done",
    };
    let approved = approved_by.as_ref().map(|by| format!(", approved by {}", by.name)).unwrap_or_default();
    let mut line = format!("act {act}: {deed} ({state}; proposed by {} at {proposed_at}{approved})", proposed_by.name);
    if let Deed::EraseCommissions { commissions } = deed {
        commissions.iter().for_each(|commission| line.push_str(&format!("\n  {commission}")));
    }
    line
}
