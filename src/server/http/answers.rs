//! `/v1/commissions/{commission}/answers`: what was released, in slots that are all alike from outside (SPEC 11.4).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Path, Query};
use axum::routing::get;
use axum::{Json, Router};
use hedui_protocol::ids::SubjectId;
use hedui_protocol::log::{Event, Handed};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages::{AnswerPage, Blob, CommissionState, SubjectAnswer};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::slot::{Slot, SlotShape};
use hedui_protocol::ticket::Granted;
use serde::Deserialize;

use super::caller::Office;
use super::commissions::{own, refuse_withdrawn, refused};
use super::problem::Problem;
use super::receipts::Logged;
use super::{State, body};
use crate::server::Linkage;
use crate::server::store::{Leaf, MatchRow, Release};

/// Answers (a subject at an agency) in one page; fewer where slots are large.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 8 << 20;

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/commissions/{commission}/answers", get(get_answers))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /v1/commissions/{commission}/answers?from=N`: slots of the same length, whatever they hold.
///
/// Before the commission is matched: `not-yet`, for an empty slot would say that there is no record. Once its ticket
/// holds no more: `ticket-refused`. A subject whose own authorisation has ended since is left out.
async fn get_answers(
    linkage: State,
    Office(office): Office,
    commission: Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Logged<Json<AnswerPage>>, Problem> {
    let filed = own(&linkage, &office, body::id(commission)?).await?;
    refuse_withdrawn(&filed)?;
    let (commission, now) = (filed.commission, linkage.clock.now());
    let ticket = linkage.granted(commission).await?;
    ticket.holds(now).map_err(refused)?;
    if filed.state == CommissionState::Queued {
        return Err(Document::new(ProblemKind::NotYet, "the commission is not matched yet").into());
    }
    let against = linkage.store.matched_against(commission).await?;
    let sheet = Sheet::new(&linkage.project.manifest, &ticket, against);
    let (entries, next) = sheet.page(from);
    let length = entries.len() as u64;
    let covered = |(subject, agency): &(SubjectId, &str)| ticket.covers(*subject, agency, now).is_ok();
    let entries: Vec<(SubjectId, &str)> = entries.into_iter().filter(covered).collect();
    let mut subjects: Vec<SubjectId> = entries.iter().map(|(subject, _)| *subject).collect();
    subjects.dedup();
    let found = linkage.store.matches(commission, &subjects).await?;
    // in the log before it goes out
    let event = Event::Released { office, commission, from, to: from + length, agencies: handed(&entries, &found) };
    let number = linkage.store.note(event, now).await?;
    Ok(Logged(Leaf::Number(number), Json(AnswerPage { commission, answers: sheet.answers(&entries, found), next })))
}

/// What of a page is payload, agency by agency.
fn handed(entries: &[(SubjectId, &str)], found: &[MatchRow]) -> BTreeMap<String, Handed> {
    let told: HashSet<&(SubjectId, &str)> = entries.iter().collect();
    let mut handed: BTreeMap<String, Handed> = BTreeMap::new();
    for row in found.iter().filter(|row| told.contains(&(row.subject, row.agency.as_str()))) {
        match row.release {
            Release::Deposit => { handed.entry(row.agency.clone()).or_default() }.deposits += 1,
            Release::Answered => { handed.entry(row.agency.clone()).or_default() }.answers += 1,
            Release::Possible | Release::Pending | Release::Declined => {}
        }
    }
    handed
}

/// What answers of one commission look like.
struct Sheet<'s> {
    ticket: &'s Granted,
    shapes: BTreeMap<&'s str, SlotShape>,
    slots: usize,
    /// Agencies that had a set to match against.
    present: Vec<String>,
}

impl<'s> Sheet<'s> {
    fn new(manifest: &Manifest, ticket: &'s Granted, against: Vec<(String, bool)>) -> Self {
        let shape = |name: &'s str| {
            let agency = manifest.agency(name).expect("a granted ticket asks agencies of the manifest");
            (name, SlotShape::of(ticket, agency))
        };
        let present = against.into_iter().filter(|(_, present)| *present).map(|(agency, _)| agency);
        Self {
            ticket,
            shapes: ticket.agencies().into_iter().map(shape).collect(),
            slots: usize::from(manifest.limits.answer_slots),
            present: present.collect(),
        }
    }

    /// The entries of the page that starts at `from`, and where the next one starts.
    ///
    /// A page's length depends on what is asked, never on what was found.
    fn page(&self, from: u64) -> (Vec<(SubjectId, &'s str)>, Option<u64>) {
        let largest = self.shapes.values().map(SlotShape::bytes).max().unwrap_or(1) * self.slots;
        let length = (PAGE_BYTES / largest).clamp(1, PAGE);
        let subjects = self.ticket.ticket().subjects.iter();
        let entries = subjects.flat_map(|entry| entry.agencies.iter().map(|agency| (entry.subject, agency.as_str())));
        let mut rest = entries.skip(usize::try_from(from).unwrap_or(usize::MAX));
        let page: Vec<_> = rest.by_ref().take(length).collect();
        (page, rest.next().map(|_| from + length as u64))
    }

    fn answers(&self, entries: &[(SubjectId, &'s str)], found: Vec<MatchRow>) -> Vec<SubjectAnswer> {
        let mut slots: HashMap<(SubjectId, String), Vec<Vec<u8>>> = HashMap::new();
        for row in found {
            slots.entry((row.subject, row.agency)).or_default().push(row.slot);
        }
        let answer = |(subject, agency): &(SubjectId, &'s str)| {
            let found = slots.remove(&(*subject, (*agency).to_owned())).unwrap_or_default();
            SubjectAnswer { subject: *subject, agency: (*agency).to_owned(), slots: Blob(self.filled(agency, found)) }
        };
        entries.iter().map(answer).collect()
    }

    /// Always `answer_slots` slots: those found, and empty ones.
    fn filled(&self, agency: &str, found: Vec<Vec<u8>>) -> Vec<u8> {
        let shape = &self.shapes[agency];
        let present = self.present.iter().any(|name| name == agency);
        let filling = shape.write(if present { &Slot::Empty } else { &Slot::Absent });
        let mut bytes: Vec<u8> = found.into_iter().take(self.slots).flatten().collect();
        while bytes.len() < self.slots * shape.bytes() {
            bytes.extend_from_slice(&filling);
        }
        bytes
    }
}
