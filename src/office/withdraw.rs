//! `hedui office withdraw`: commissions are taken back, provably; nothing more is released for them.

use clap::Args;
use hedui_protocol::log::Event;
use hedui_protocol::messages::CommissionStatus;
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::Withdrawal;

use super::StateFolder;
use super::journal::{Journal, Stage};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{ManifestFile, ServerAddress, SigningKeyFile};
use crate::terminal;

#[derive(Args, Debug)]
pub struct Withdraw {
    /// Numbers of commissions, as `hedui office status --each` shows them, or of households
    #[arg(value_name = "COMMISSION|HOUSEHOLD", required = true)]
    which: Vec<String>,
    #[command(flatten)]
    manifest: ManifestFile,
    /// This office's name in the manifest
    #[arg(long, value_name = "NAME")]
    office: String,
    #[command(flatten)]
    signing_key: SigningKeyFile,
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    state: StateFolder,
}

impl Withdraw {
    pub async fn run(self, clock: &Clock) -> Outcome {
        let manifest = self.manifest.load()?;
        let office = super::own(&manifest, &self.office)?;
        let (key, _) = self.signing_key.load_for(&office.name, office.signing_key)?;
        let client = self.server.client(&manifest)?;
        let mut journal = Journal::open(&self.state.state)?;
        let filed = journal.at(Stage::Filed);
        for which in &self.which {
            let found = filed.iter().find(|c| c.commission_no == *which || c.household == *which);
            let commission = found.ok_or_else(|| {
                Failure::refused(format!("no filed commission or household has the number `{which}`"))
                    .hint("`hedui office status --each` lists the filed commissions")
            })?;
            let id = commission.commission;
            let withdrawal = Withdrawal { commission: id, office: office.name.clone(), withdrawn_at: clock.now() };
            let bytes = serde_json::to_vec(&withdrawal).expect("a withdrawal is JSON");
            let signed = Signed::new(&key, Purpose::Withdrawal, bytes);
            let says = |event: &Event| matches!(event, Event::Withdrawn { commission, .. } if *commission == id);
            let path = format!("/v1/commissions/{id}/withdrawal");
            let _: CommissionStatus = client.post_logged(&path, &signed, says).await?;
            journal.withdrawn(id)?;
            terminal::note(format!("Withdrew commission {}", commission.commission_no));
        }
        Ok(())
    }
}
