//! `hedui office withdraw`: commissions are taken back, provably; nothing more is released for them.

use clap::Args;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::CommissionStatus;
use hedui_protocol::problem::ProblemKind;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::Withdrawal;
use jiff::Timestamp;

use super::StateFolder;
use super::journal::{Commission, Journal, Stage};
use crate::clock::Clock;
use crate::failure::{Exit, Failure, Outcome};
use crate::options::{ManifestFile, ServerAddress, SigningKeyFile};
use crate::terminal;
use crate::transport::client::Client;

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
        let signer = Signer { office: &office.name, key: &key, now: clock.now() };
        let mut failed = Vec::new();
        for which in &self.which {
            let is_meant =
                |commission: &Commission| commission.commission_no == *which || commission.household == *which;
            let meant = journal.all().filter(|(_, commission)| is_meant(commission));
            let meant: Vec<(Stage, Commission)> =
                meant.map(|(stage, commission)| (stage, commission.clone())).collect();
            if meant.is_empty() {
                failed.push(Failure::refused(format!("no commission or household has the number `{which}`")).hint(
                    "`hedui office status --each` lists the filed commissions; who was asked about with a whole list \
                     (`--together`) is taken back with the list",
                ));
            } else if meant.iter().all(|(stage, _)| *stage == Stage::Withdrawn) {
                terminal::note(format!("All of `{which}` was withdrawn before"));
            }
            for commission in meant.iter().filter(|(stage, _)| *stage != Stage::Withdrawn) {
                match take_back(&client, &signer, &mut journal, commission).await {
                    // the server is away: nor would it answer for the others
                    Err(failure) if failure.exit == Exit::TryAgain => return Err(failure),
                    done => failed.extend(done.err()),
                }
            }
        }
        failed.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Who takes back, and when.
pub struct Signer<'s> {
    pub office: &'s str,
    pub key: &'s SigningKey,
    pub now: Timestamp,
}

/// Takes a commission back; so is one that the server has erased. One that was prepared and never confirmed may be at the
/// server, or not, or on its way there from another clerk: the journal says that it is not to be sent before the server is
/// asked again, and who sends reads the journal afterwards. One of the two finds it at the server.
pub async fn take_back(
    client: &Client,
    signer: &Signer<'_>,
    journal: &mut Journal,
    (stage, commission): &(Stage, Commission),
) -> Outcome {
    let (id, number) = (commission.commission, &commission.commission_no);
    let mut done = withdraw(client, signer, id).await;
    if *stage == Stage::Prepared && is_not_there(&done) {
        journal.unsent(id)?;
        done = withdraw(client, signer, id).await;
    }
    if *stage != Stage::Filed && is_not_there(&done) {
        terminal::note(format!("Commission {number} had not reached the server, and is not sent"));
        return Ok(());
    }
    done?;
    terminal::note(format!("Withdrew commission {number}"));
    journal.withdrawn(id)
}

async fn withdraw(client: &Client, signer: &Signer<'_>, commission: CommissionId) -> Outcome {
    let withdrawal = Withdrawal { commission, office: signer.office.to_owned(), withdrawn_at: signer.now };
    let bytes = serde_json::to_vec(&withdrawal).expect("a withdrawal is JSON");
    let signed = Signed::new(signer.key, Purpose::Withdrawal, bytes);
    let says = |event: &Event| matches!(event, Event::Withdrawn { commission: about, .. } if *about == commission);
    let path = format!("/v1/commissions/{commission}/withdrawal");
    match client.post_logged::<CommissionStatus>(&path, &signed, says).await {
        Ok(_) | Err(Failure { problem: Some(ProblemKind::Erased), .. }) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn is_not_there(done: &Outcome) -> bool {
    done.as_ref().is_err_and(|failure| failure.problem == Some(ProblemKind::NotFound))
}
