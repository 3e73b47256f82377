//! `hedui office forget`: what this office keeps of a household, and which commissions the operators are to erase.

use clap::Args;
use hedui_protocol::ids::CommissionId;

use super::StateFolder;
use super::answers;
use super::journal::{Journal, Stage};
use crate::failure::{Failure, Outcome};
use crate::terminal;

#[derive(Args, Debug)]
pub struct Forget {
    /// The household's number
    #[arg(value_name = "HOUSEHOLD")]
    household: String,
    #[command(flatten)]
    state: StateFolder,
    /// Name the commissions, and take nothing away
    #[arg(long)]
    dry_run: bool,
}

impl Forget {
    pub fn run(self) -> Outcome {
        let mut journal = Journal::open(&self.state.state)?;
        let own: Vec<(Stage, CommissionId)> = journal
            .all()
            .filter(|(_, commission)| commission.household == self.household)
            .map(|(stage, commission)| (stage, commission.commission))
            .collect();
        if own.is_empty() {
            return Err(Failure::refused(format!("no commission is of household `{}`", self.household)));
        }
        let ids: Vec<CommissionId> = own.iter().map(|(_, commission)| *commission).collect();
        let open = own.iter().filter(|(stage, _)| matches!(stage, Stage::Prepared | Stage::Filed)).count();
        // the ids first: once they are forgotten here, nobody could name them. The server never had those that were not sent
        let sent = own.iter().filter(|(stage, _)| *stage != Stage::Unsent);
        sent.for_each(|(_, commission)| println!("{commission}"));
        if !self.dry_run {
            // nobody who fetches meanwhile writes them back
            let held = answers::hold(&self.state.state)?;
            answers::forget(&held, &ids)?;
            journal.forget(&ids)?;
        }
        let did = if self.dry_run { "would be" } else { "were" };
        terminal::note(format!("{} commissions {did} taken from {}", ids.len(), self.state.state.display()));
        if open > 0 {
            terminal::note(format!(
                "{open} of them were not withdrawn: what the server has of them it holds until two operators erase it"
            ));
        }
        terminal::note("reports that were written elsewhere are yours to remove");
        Ok(())
    }
}
