//! `hedui operator retention`: how long data is kept, and the server's signed word that what has ended is gone.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::acts::RetentionStatus;
use hedui_protocol::log::Event;

use super::Reach;
use super::receipt::{WAIT, write};
use crate::failure::{Failure, Outcome};
use crate::staging::refuse_existing;

#[derive(Args, Debug)]
pub struct Retention {
    #[command(flatten)]
    reach: Reach,
    /// Wait a while for what has ended by its term to be gone, and write the server's signed receipt of it; `hedui audit receipt` and
    /// `hedui audit verify --against` read it
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

impl Retention {
    pub async fn run(self) -> Outcome {
        if let Some(file) = &self.receipt {
            refuse_existing(file)?;
        }
        let client = self.reach.client()?;
        let mut status: RetentionStatus = client.get("/v1/retention").await?;
        if self.receipt.is_some() && status.ended != status.gone {
            status = client.get(&format!("/v1/retention?wait={WAIT}")).await?;
        }
        println!("{}", line(&status));
        let Some(file) = &self.receipt else { return Ok(()) };
        if status.ended.is_none() {
            return Err(Failure::refused("nothing has ended by its term: there is nothing to be proved yet"));
        }
        // more may have ended since
        let Some(gone) = status.gone else {
            return Err(Failure::try_again("what has ended by its term is not gone yet")
                .hint("files go within seconds, deleted rows of PostgreSQL are overwritten once a day"));
        };
        let proves = |event: &Event| matches!(event, Event::Gone { through, .. } if *through == gone);
        write(file, &client.receipt_of(proves)?)
    }
}

fn line(RetentionStatus { retention, ended, gone }: &RetentionStatus) -> String {
    let so_far = match (ended, gone) {
        (None, _) => "nothing has ended by its term".to_owned(),
        (Some(ended), Some(gone)) if gone == ended => {
            format!("what had ended by its term is gone, up to entry {ended} of the log")
        }
        (Some(ended), Some(gone)) => format!(
            "what had ended by its term is gone, up to entry {gone} of the log, and up to entry {ended} it is being removed"
        ),
        (Some(ended), None) => format!("what has ended by its term, up to entry {ended} of the log, is being removed"),
    };
    format!("{retention}\n{so_far}")
}
