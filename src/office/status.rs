//! `hedui office status`: what each agency has answered so far.

use std::collections::BTreeMap;

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use hedui_protocol::messages::{AgencyStatus, CommissionState, CommissionStatus};

use super::StateFolder;
use super::journal::{Journal, Stage};
use crate::failure::Outcome;
use crate::options::{ManifestFile, ServerAddress};

const AT_ONCE: usize = 8;

#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    state: StateFolder,
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
    /// One line a commission instead of the sum
    #[arg(long)]
    each: bool,
}

impl Status {
    pub async fn run(self) -> Outcome {
        let client = self.server.client(&self.manifest.load()?)?;
        let filed = Journal::open(&self.state.state)?.at(Stage::Filed);
        let asks = filed.iter().map(|commission| async {
            let path = format!("/v1/commissions/{}", commission.commission);
            client.get::<CommissionStatus>(&path).await.map(|status| (commission.commission_no.clone(), status))
        });
        let all: Vec<_> = futures::stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        if self.each {
            for (number, status) in &all {
                println!("{number} {}", state_word(status.state));
                status.agencies.iter().for_each(|agency| println!("{}", line(agency)));
            }
            return Ok(());
        }
        let matched = all.iter().filter(|(_, status)| status.state == CommissionState::Matched).count();
        println!("{} commissions, {matched} matched", all.len());
        let mut sums: BTreeMap<&str, AgencyStatus> = BTreeMap::new();
        for agency in all.iter().flat_map(|(_, status)| &status.agencies) {
            match sums.get_mut(agency.agency.as_str()) {
                Some(sum) => add(sum, agency),
                None => drop(sums.insert(&agency.agency, agency.clone())),
            }
        }
        sums.values().for_each(|sum| println!("{}", line(sum)));
        Ok(())
    }
}

fn add(sum: &mut AgencyStatus, more: &AgencyStatus) {
    sum.present |= more.present;
    sum.subjects += more.subjects;
    sum.answered += more.answered;
    sum.declined += more.declined;
    sum.pending += more.pending;
    sum.overdue += more.overdue;
    sum.possible += more.possible;
    sum.no_record += more.no_record;
}

fn line(status: &AgencyStatus) -> String {
    let AgencyStatus { agency, subjects, answered, declined, pending, possible, no_record, present, overdue } = status;
    let absent = if *present { "" } else { " · has not submitted" };
    let late = if *overdue > 0 { format!(", {overdue} overdue") } else { String::new() };
    format!(
        "  {agency:12} {subjects} asked · {answered} answered · {declined} declined · {pending} pending{late} · {possible} possible · {no_record} no record{absent}"
    )
}

fn state_word(state: CommissionState) -> &'static str {
    match state {
        CommissionState::Open => "encodings are missing",
        CommissionState::Queued => "queued",
        CommissionState::Matched => "matched",
        CommissionState::Withdrawn => "withdrawn",
        CommissionState::Erased => "erased",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(present: bool, overdue: u64) -> AgencyStatus {
        AgencyStatus {
            agency: "bank".into(),
            present,
            subjects: 100,
            answered: 1,
            declined: 2,
            pending: 4,
            overdue,
            possible: 8,
            no_record: 16,
        }
    }

    #[test]
    fn a_line_names_every_number_and_a_sum_has_each() {
        let words = "  bank         100 asked · 1 answered · 2 declined · 4 pending · 8 possible · 16 no record";
        assert_eq!(line(&bank(true, 0)), words);
        assert_eq!(line(&bank(false, 0)), format!("{words} · has not submitted"));
        let mut sum = bank(false, 0);
        add(&mut sum, &bank(true, 3));
        let doubled =
            "  bank         200 asked · 2 answered · 4 declined · 8 pending, 3 overdue · 16 possible · 32 no record";
        assert_eq!(line(&sum), doubled);
    }
}
