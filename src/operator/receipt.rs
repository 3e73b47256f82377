//! `hedui operator receipt`: the server's signed word that what an act erases is gone.

use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::acts::{ActState, Deed};
use hedui_protocol::log::Event;

use super::{Reach, line};
use crate::failure::{Failure, Outcome};
use crate::staging::{refuse_existing, write_private};
use crate::terminal;

/// Seconds that the server is asked to hold its answer back.
pub const WAIT: u64 = 50;

#[derive(Args, Debug)]
pub struct Receipt {
    /// The act's number
    #[arg(value_name = "ACT")]
    act: u64,
    #[command(flatten)]
    reach: Reach,
    /// Where the receipt is written; `hedui audit receipt` and `hedui audit verify --against` read it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Receipt {
    pub async fn run(self) -> Outcome {
        refuse_existing(&self.out)?;
        let client = self.reach.client()?;
        let mut status = super::act(&client, self.act).await?;
        while status.state == ActState::Approved {
            status = client.get(&format!("/v1/acts/{}?wait={WAIT}", self.act)).await?;
        }
        if status.state != ActState::Done {
            return Err(Failure::refused(format!("{}: there is nothing to be proved yet", line(&status))));
        }
        let erases = !matches!(status.deed, Deed::OpenEpoch { .. } | Deed::SetRetention { .. });
        let proves = |event: &Event| match event {
            Event::Erased { act, deed, .. } => *act == self.act && *deed == status.deed,
            Event::Approved { act, deed, .. } => !erases && *act == self.act && *deed == status.deed,
            _ => false,
        };
        let receipt = client.receipt_of(proves)?;
        println!("{}", line(&status));
        write(&self.out, &receipt)
    }
}

pub fn write(file: &Path, receipt: &[u8]) -> Outcome {
    write_private(file, receipt)?;
    terminal::note(format!("{}: the server's receipt", file.display()));
    Ok(())
}
