//! `hedui office check`: one household, now: its commission is filed, matched, opened and told on the spot.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::ticket::Capacity;

use super::answers::Fetched;
use super::fetch::{self, Came, Patience};
use super::opening::{AgencyAnswer, Reader};
use super::report::{HouseholdReport, latest, load_opening_key, report};
use super::request::Request;
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};

#[derive(Args, Debug)]
pub struct Check {
    /// The household's number in the list
    #[arg(long, value_name = "NUMBER")]
    household_no: String,
    #[command(flatten)]
    request: Request,
    /// This office's opening key (32 bytes, mode 0600)
    #[arg(long, value_name = "FILE")]
    opening_key: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub async fn run(self, clock: &Clock) -> Outcome {
        let (manifest, office) = self.request.project()?;
        let key = load_opening_key(&self.opening_key, manifest.office(&office).expect("it was found there"))?;
        let number = &self.household_no;
        let filed = self.request.file(clock, Some(number)).await?;
        let latest = latest(&filed);
        let commission = filed.iter().find(|commission| latest.contains(&commission.commission));
        let commission = commission.ok_or_else(|| Failure::refused("nobody of this household may be asked about"))?;
        let client = self.request.client(&manifest)?;
        let (id, patience) = (commission.commission, Patience::new(client.patience()));
        let fetched = match fetch::fetch(&client, id, None, &patience).await? {
            Came::New(fetched) => fetched,
            Came::Refused(why) => Fetched::refused(id, why),
            Came::Queued | Came::Nothing => {
                return Err(Failure::try_again(format!("commission {} is not matched yet", commission.commission_no))
                    .hint("run the same command again, with a longer `--wait` where that does not help"));
            }
        };
        let encoders = self.request.encoders(&manifest)?;
        let reader = Reader { manifest: &manifest, key: &key, encoders: &encoders, now: clock.now() };
        let report = report(&reader, commission, &fetched)?;
        if self.json {
            println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
        } else {
            print(&report);
        }
        Ok(())
    }
}

fn print(report: &HouseholdReport) {
    let HouseholdReport { household, commission_no, programme, window, .. } = report;
    println!("{household} · {commission_no} · {programme} · {} to {}", window.from, window.to);
    if let Some(refused) = &report.refused {
        println!("  refused by the server: {refused}");
    }
    for member in &report.members {
        let obligor = if member.capacity == Some(Capacity::Obligor) { " · obligor" } else { "" };
        println!("  {} · {}{obligor}", member.name, member.relation);
        if let Some(excluded) = member.excluded {
            println!("    not asked about: {}", word(&excluded));
        }
        member.agencies.iter().for_each(agency);
    }
}

fn agency(answer: &AgencyAnswer) {
    let AgencyAnswer { agency, state, records, .. } = answer;
    if records.is_empty() {
        println!("    {agency:12} {}", word(state));
    }
    for record in records {
        for item in &record.items {
            let payload = serde_json::to_string(&item.payload).expect("a payload is JSON");
            println!("    {agency:12} {} · {} {} {payload}", word(&record.band), item.item, item.level);
        }
    }
}

/// A choice, as reports write it.
fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).expect("a choice is JSON");
    value.as_str().unwrap_or_default().to_owned()
}
