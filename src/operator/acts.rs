//! `hedui operator acts` and `approve`: what waits for a second operator, and that one's word.

use std::io::IsTerminal as _;

use clap::Args;
use hedui_protocol::acts::{ActState, ActStatus};
use hedui_protocol::log::Event;

use super::{Reach, line};
use crate::failure::{Failure, Outcome};
use crate::terminal;

#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    reach: Reach,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self) -> Outcome {
        let acts: Vec<ActStatus> = self.reach.client()?.get("/v1/acts").await?;
        for act in &acts {
            match self.json {
                true => println!("{}", serde_json::to_string(act).expect("an act is JSON")),
                false => println!("{}", line(act)),
            }
        }
        let waiting = acts.iter().filter(|act| act.state == ActState::Proposed).count();
        terminal::note(format!("{} acts, {waiting} of them wait for a second operator", acts.len()));
        Ok(())
    }
}

#[derive(Args, Debug)]
pub struct Approve {
    /// Its number, as `hedui operator acts` tells it
    #[arg(value_name = "ACT")]
    act: u64,
    #[command(flatten)]
    reach: Reach,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Approve {
    pub async fn run(self) -> Outcome {
        let client = self.reach.client()?;
        let proposed = super::act(&client, self.act).await?;
        terminal::note(line(&proposed));
        if !self.yes && !agrees()? {
            return Err(Failure::refused("not approved"));
        }
        let says = |event: &Event| matches!(event, Event::Approved { act, deed, .. } if *act == self.act && *deed == proposed.deed);
        let status: ActStatus = client.post_logged(&format!("/v1/acts/{}/approval", self.act), &(), says).await?;
        println!("{}", line(&status));
        Ok(())
    }
}

/// Asks whoever sits there.
fn agrees() -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody sits there to be asked: `--yes` approves"));
    }
    terminal::note("approve it? (yes or no)");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Failure::refused(format!("cannot read the answer: {e}")))?;
    Ok(answer.trim() == "yes")
}
