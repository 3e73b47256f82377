//! `hedui office request`: one commission a household, each on the authorisation of its members.

use std::collections::HashMap;
use std::path::Path;

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use hedui_protocol::keys::EvidenceKey;
use hedui_protocol::log::Event;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages::CommissionStatus;
use hedui_protocol::ticket::Asked;
use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};

use super::StateFolder;
use super::commission::{AskedItem, Desk, Encoders, is_covered, parts, shares_people, ticket_of};
use super::household::{self, Household, ListColumns};
use super::journal::{Commission, Journal, Stage};
use super::withdraw::take_back;
use crate::clock::{self, Clock};
use crate::failure::{Failure, Outcome};
use crate::options::{DataFile, LinkageKeyFile, ManifestFile, ServerAddress, SigningKeyFile};
use crate::terminal::{self, Interrupt};
use crate::transport::client::Client;

/// Requests under way at once.
const AT_ONCE: usize = 8;
/// Commissions that are written to the journal together, before they are sent.
const CHUNK: usize = 64;

#[derive(Args, Debug)]
pub struct Request {
    #[command(flatten)]
    data: DataFile,
    #[command(flatten)]
    columns: ListColumns,
    #[command(flatten)]
    manifest: ManifestFile,
    /// This office's name in the manifest
    #[arg(long, value_name = "NAME")]
    office: String,
    #[command(flatten)]
    key: LinkageKeyFile,
    #[command(flatten)]
    signing_key: SigningKeyFile,
    #[command(flatten)]
    server: ServerAddress,
    #[command(flatten)]
    state: StateFolder,
    /// The programme that the households apply for
    #[arg(long)]
    programme: String,
    /// What to ask; may be given several times
    #[arg(long = "item", value_name = "AGENCY.ITEM=LEVEL", required = true)]
    items: Vec<AskedItem>,
    /// First day of the period that is asked about; a year ago where it is not given
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day of that period; today where it is not given
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Days until the commission expires
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    days: u32,
    /// File anew for households whose commission asks the same and still holds
    #[arg(long)]
    again: bool,
    /// One commission for the whole list instead of one a household
    #[arg(long)]
    together: bool,
    /// The people are looked for again whenever an agency commits, until the commission expires (在库人员自主比对)
    #[arg(long)]
    standing: bool,
}

impl Request {
    pub async fn run(self, clock: &Clock) -> Outcome {
        self.file(clock, None).await.map(drop)
    }

    /// The manifest, and the office that acts.
    pub fn project(&self) -> Outcome<(Manifest, String)> {
        let manifest = self.manifest.load()?;
        let office = super::own(&manifest, &self.office)?.name.clone();
        Ok((manifest, office))
    }

    pub fn state_folder(&self) -> &Path {
        &self.state.state
    }

    pub fn client(&self, manifest: &Manifest) -> Outcome<Client> {
        self.server.client(manifest)
    }

    pub fn encoders(&self, manifest: &Manifest) -> Outcome<Encoders> {
        Ok(Encoders::new(&self.key.load_for(manifest)?, manifest, &self.agencies()))
    }

    /// Files what is not filed yet, of the whole list or of one household; all commissions that ask what this run asks.
    pub async fn file(&self, clock: &Clock, only: Option<&str>) -> Outcome<Vec<Commission>> {
        let interrupt = Interrupt::listen();
        let manifest = self.manifest.load()?;
        let mut journal = Journal::open_or_begin(&self.state.state)?;
        let client = self.server.client(&manifest)?;
        let desk = self.desk(&manifest, clock)?;
        let mut households = household::read(&self.data, &self.columns, &manifest, &self.agencies(), &desk.encoders)?;
        if let Some(only) = only {
            households.retain(|household| household.number == only);
        }
        if households.is_empty() {
            return Err(Failure::refused("the list has no household of this number"));
        }
        let people: usize = households.iter().map(|household| household.members.len()).sum();
        if self.together {
            let members = households.into_iter().flat_map(|household| household.members).collect();
            households = vec![Household { number: "list".into(), members }];
        }

        let Known { mut filed, unsent, stale } = self.known(&desk, &journal, &households);
        for commission in stale {
            take_back(&client, &desk.signer(), &mut journal, &(Stage::Prepared, commission)).await?;
        }
        let by_household: HashMap<&str, &Commission> =
            filed.iter().chain(&unsent).map(|commission| (commission.household.as_str(), commission)).collect();
        let new: Vec<&Household> =
            households.iter().filter(|household| !by_household.contains_key(household.number.as_str())).collect();
        let before = households.len() - new.len();

        let progress = terminal::bar((unsent.len() + new.len()) as u64, "filing commissions");
        let mut sent = Vec::new();
        for chunk in unsent.chunks(CHUNK) {
            interrupt.check()?;
            sent.extend(file(&client, &desk, &mut journal, chunk).await?);
            progress.inc(chunk.len() as u64);
        }
        for chunk in new.chunks(CHUNK) {
            interrupt.check()?;
            let commissions = chunk.iter().filter_map(|household| desk.commission(household).transpose());
            let commissions: Vec<Commission> = commissions.collect::<Outcome<_>>()?;
            journal.prepare(&commissions)?;
            sent.extend(file(&client, &desk, &mut journal, &commissions).await?);
            progress.inc(chunk.len() as u64);
        }
        progress.finish_and_clear();
        terminal::note(format!(
            "{} commissions filed for {} of {people} people; {before} households were filed before",
            sent.len(),
            sent.iter().map(super::opening::subjects_of).sum::<usize>(),
        ));
        if sent.is_empty() && new.is_empty() {
            terminal::note("their commissions ask the same and still hold; `--again` files new ones");
        }
        filed.extend(sent);
        Ok(filed)
    }

    /// What the journal has of these households. Of what was prepared and never confirmed the server may have everything: it is
    /// sent again where it asks what this run asks, and taken back where it asks more than the list allows. Of lists that are filed
    /// together it is the same one where somebody is in both.
    fn known(&self, desk: &Desk<'_>, journal: &Journal, households: &[Household]) -> Known {
        let by_number: HashMap<&str, &Household> =
            households.iter().map(|household| (household.number.as_str(), household)).collect();
        let (mut known, mut outdated, mut other) = (Known::default(), Vec::new(), 0);
        for (stage, commission) in journal.all().filter(|(stage, _)| matches!(stage, Stage::Prepared | Stage::Filed)) {
            let Some(household) = by_number.get(commission.household.as_str()) else { continue };
            if !desk.still_holds(commission) || self.together && !shares_people(commission, household) {
                continue;
            }
            match (stage, desk.asks_the_same(commission, household)) {
                (Stage::Prepared, true) => known.unsent.push(commission.clone()),
                (Stage::Prepared, false) if !is_covered(commission, household) => known.stale.push(commission.clone()),
                (Stage::Prepared, false) => other += 1,
                (Stage::Filed, true) if !self.again => known.filed.push(commission.clone()),
                (Stage::Filed, false) if !is_covered(commission, household) => {
                    outdated.push(commission.commission_no.as_str());
                }
                _ => {}
            }
        }
        if other > 0 {
            terminal::note(format!(
                "{other} commissions that were prepared before and not confirmed ask something else, and are not sent: the run that \
                 prepared them sends them"
            ));
        }
        if !outdated.is_empty() {
            terminal::note(format!(
                "filed before, these ask about people, or agencies, whom the list no longer lets be asked about; `hedui office \
                 withdraw` takes them back: {}",
                outdated.join(" ")
            ));
        }
        known
    }

    fn agencies(&self) -> Vec<String> {
        let mut agencies: Vec<String> = self.items.iter().map(|item| item.0.agency.clone()).collect();
        agencies.sort();
        agencies.dedup();
        agencies
    }

    fn desk<'d>(&'d self, manifest: &'d Manifest, clock: &Clock) -> Outcome<Desk<'d>> {
        let office = super::own(manifest, &self.office)?;
        let linkage_key = self.key.load_for(manifest)?;
        let (key, seed) = self.signing_key.load_for(&office.name, office.signing_key)?;
        let items: Vec<Asked> = self.items.iter().map(|item| item.0.clone()).collect();
        refuse_what_is_not_offered(manifest, &items, &self.programme)?;
        let now = clock.now();
        let desk = Desk {
            manifest,
            office: &office.name,
            key,
            evidence: EvidenceKey::from_signing_seed(&seed),
            encoders: Encoders::new(&linkage_key, manifest, &self.agencies()),
            programme: self.programme.clone(),
            wanted: (self.from, self.to),
            items,
            issued_at: now,
            expires_at: later(now, self.days)?,
            valid_until: clock::day(now).saturating_add(Span::new().days(i64::from(self.days))),
            standing: self.standing,
        };
        let window = desk.window(now);
        if window.from > window.to {
            return Err(Failure::usage("`--from` is after `--to`: the period has no day"));
        }
        Ok(desk)
    }
}

/// Commissions of the households of a list that hold.
#[derive(Default)]
struct Known {
    /// They ask what this run asks.
    filed: Vec<Commission>,
    /// So do these, and were prepared and not confirmed.
    unsent: Vec<Commission>,
    /// Prepared and not confirmed, asking more than the list allows.
    stale: Vec<Commission>,
}

fn later(now: Timestamp, days: u32) -> Outcome<Timestamp> {
    let span = SignedDuration::from_hours(24 * i64::from(days));
    now.checked_add(span).map_err(|_| Failure::usage("`--days` is out of range"))
}

/// What the server would refuse is refused here, before anything is written or sent.
fn refuse_what_is_not_offered(manifest: &Manifest, items: &[Asked], programme: &str) -> Outcome {
    if !manifest.programmes.iter().any(|known| known == programme) {
        return Err(Failure::refused(format!("`{programme}` is no programme of the manifest"))
            .hint(format!("its programmes are: {}", manifest.programmes.join(", "))));
    }
    for asked in items {
        let item = manifest.agency(&asked.agency).and_then(|agency| agency.item(&asked.item));
        if !item.is_some_and(|item| item.levels.contains(&asked.level)) {
            let Asked { agency, item, level } = asked;
            return Err(Failure::refused(format!("agency `{agency}` does not offer `{item}` at {level}"))
                .hint("`hedui manifest show` lists what each agency offers"));
        }
    }
    Ok(())
}

/// Sends those of the commissions that are prepared, and notes each as filed once the server has all of it. What another clerk
/// took back meanwhile is taken back at the server too. Those that are filed then.
async fn file(
    client: &Client,
    desk: &Desk<'_>,
    journal: &mut Journal,
    commissions: &[Commission],
) -> Outcome<Vec<Commission>> {
    journal.read_on()?;
    let mut sending = commissions.to_vec();
    sending.retain(|commission| journal.stage(commission.commission) == Some(Stage::Prepared));
    let sends = sending.iter().map(|commission| async move { (commission, file_one(client, desk, commission).await) });
    let mut sends = futures::stream::iter(sends).buffer_unordered(AT_ONCE);
    let (mut filed, mut failed) = (Vec::new(), None);
    while failed.is_none()
        && let Some((commission, sent)) = sends.next().await
    {
        let Err(failure) = sent else {
            filed.push(commission.commission);
            continue;
        };
        journal.read_on()?;
        // the server refuses what was withdrawn
        failed = Some(failure).filter(|_| !journal.is_taken_back(commission.commission));
    }
    drop(sends);
    journal.filed(&filed)?;
    sending.retain(|commission| journal.is_taken_back(commission.commission));
    for commission in sending {
        let number = &commission.commission_no;
        let hint =
            format!("{number} was taken back while it was sent: `hedui office withdraw {number}` goes on with that");
        let commission = (Stage::Withdrawn, commission);
        take_back(client, &desk.signer(), journal, &commission).await.map_err(|failure| failure.hint(hint))?;
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    let is_filed = |commission: &&Commission| journal.stage(commission.commission) == Some(Stage::Filed);
    Ok(commissions.iter().filter(is_filed).cloned().collect())
}

async fn file_one(client: &Client, desk: &Desk<'_>, commission: &Commission) -> Outcome {
    let says = |event: &Event| event.what() == "commission-filed" && event.commission() == Some(commission.commission);
    let status: CommissionStatus = client.post_logged("/v1/commissions", &desk.request(commission)?, says).await?;
    // a large commission's encodings follow in parts; those that came before an interruption are there
    let progress = terminal::bar(parts(commission) as u64, "sending parts");
    progress.inc(parts(commission).saturating_sub(status.missing.len()) as u64);
    let ticket = if status.missing.is_empty() { None } else { Some(ticket_of(commission)?) };
    let sends = ticket.iter().flat_map(|ticket| status.missing.iter().map(move |part| (ticket, *part)));
    let sends = sends.map(|(ticket, part)| {
        let progress = &progress;
        async move {
            let encodings = desk.part(commission, ticket, part as usize)?;
            let path = format!("/v1/commissions/{}/encodings/{part}", commission.commission);
            let _: CommissionStatus = client.put_json(&path, &encodings).await?;
            progress.inc(1);
            Ok(())
        }
    });
    let sent: Outcome<Vec<()>> = futures::stream::iter(sends).buffer_unordered(2).try_collect().await;
    progress.finish_and_clear();
    sent.map(drop)
}
