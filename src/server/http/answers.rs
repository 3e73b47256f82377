//! `/v1/commissions/{commission}/answers`: what was released, in slots that are all alike from outside (SPEC 11.4).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::log::{Event, Handed};
use hedui_protocol::messages::{AnswerPage, Blob, CommissionState, SubjectAnswer};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::slot::{Slot, SlotShape, carries};
use hedui_protocol::ticket::Granted;
use jiff::Timestamp;
use serde::Deserialize;

use super::State;
use super::address::{Path, Query, other_method};
use super::caller::Office;
use super::commissions::{own, refuse_ended, refused};
use super::forms::Form;
use super::problem::Problem;
use super::receipts::Logged;
use crate::server::Linkage;
use crate::server::error::{ServerError, ServerResult};
use crate::server::store::{Filed, Leaf};

/// Answers (a subject at an agency) in one page; fewer where slots are large.
const PAGE: usize = 4000;
const PAGE_BYTES: usize = 8 << 20;

pub fn routes() -> Router<Arc<Linkage>> {
    // a head alone would be a release of nothing
    Router::new().route("/v1/commissions/{commission}/answers", get(get_answers).head(async || other_method()))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /v1/commissions/{commission}/answers?from=N`: slots of the same length, whatever they hold. A page of JSON; or, by
/// `Accept`, all from N on as JSON lines (`application/jsonl`) or Parquet (`application/vnd.apache.parquet`).
///
/// Before the commission is matched: `not-yet`, for an empty slot would say that there is no record. Once its ticket
/// holds no more: `ticket-refused`. A subject whose own authorisation has ended since is left out.
async fn get_answers(
    linkage: State,
    Office(office): Office,
    Path(commission): Path<CommissionId>,
    Query(From { from }): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).and_then(Form::of);
    loop {
        let filed = own(&linkage, &office, commission).await?;
        refuse_ended(&filed)?;
        let now = linkage.clock.now();
        let ticket = linkage.granted(commission).await?;
        ticket.holds(now).map_err(refused)?;
        if filed.state != CommissionState::Matched {
            return Err(Document::new(ProblemKind::NotYet, "the commission is not matched yet").into());
        }
        let sheet = Sheet { linkage: Arc::clone(&linkage), ticket, now };
        if from > 0 && sheet.entries(from).next().is_none() {
            return Err(Document::new(ProblemKind::Malformed, "`from` is beyond the last answer").into());
        }
        // where it was taken back or matched anew in between, that counts
        if let Some(response) = released(sheet, filed, form, from).await? {
            return Ok(response);
        }
    }
}

/// What goes out; none where the commission is not what it was any more.
async fn released(sheet: Sheet, filed: Filed, form: Option<Form>, from: u64) -> ServerResult<Option<Response>> {
    let commission = sheet.ticket.id();
    let Some(form) = form else {
        let Page { answers, handed, to, next } = sheet.page(from).await?;
        let page = Json(AnswerPage { commission, answers, next });
        let leaf = sheet.log(&filed, (from, to), handed).await?;
        return Ok(leaf.map(|leaf| Logged(leaf, page).into_response()));
    };
    let (to, handed) = sheet.all(from).await?;
    let Some(leaf) = sheet.log(&filed, (from, to), handed).await? else { return Ok(None) };
    let version = filed.version;
    let pages = futures::stream::try_unfold((sheet, Some(from)), move |(sheet, from)| async move {
        let Some(from) = from else { return Ok::<_, ServerError>(None) };
        let page = sheet.page(from).await?;
        sheet.is_still_at(version).await?;
        Ok(Some((page.answers, (sheet, page.next))))
    });
    Ok(Some(Logged(leaf, form.respond(pages)).into_response()))
}

struct Page {
    answers: Vec<SubjectAnswer>,
    /// What of it is payload, agency by agency.
    handed: BTreeMap<String, Handed>,
    to: u64,
    next: Option<u64>,
}

/// What answers of one commission look like.
struct Sheet {
    linkage: Arc<Linkage>,
    ticket: Arc<Granted>,
    now: Timestamp,
}

impl Sheet {
    fn shape(&self, agency: &str) -> SlotShape {
        let agency =
            self.linkage.project.manifest.agency(agency).expect("a granted ticket asks agencies of the manifest");
        SlotShape::of(&self.ticket, agency)
    }

    fn slots(&self) -> usize {
        usize::from(self.linkage.project.manifest.limits.answer_slots)
    }

    fn entries(&self, from: u64) -> impl Iterator<Item = (SubjectId, &str)> {
        let subjects = self.ticket.ticket().subjects.iter();
        let entries = subjects.flat_map(|entry| entry.agencies.iter().map(|agency| (entry.subject, agency.as_str())));
        entries.skip(usize::try_from(from).unwrap_or(usize::MAX))
    }

    fn is_covered(&self, (subject, agency): &(SubjectId, &str)) -> bool {
        self.ticket.covers(*subject, agency, self.now).is_ok()
    }

    /// Agencies that have a set which the commission was matched against.
    async fn present(&self) -> ServerResult<Vec<String>> {
        let sets = self.linkage.store.matched_against(self.ticket.id()).await?;
        Ok(sets.into_iter().filter(|(_, set)| set.is_some()).map(|(agency, _)| agency).collect())
    }

    /// The answers from `from` on. How many depends on what is asked, never on what was found.
    async fn page(&self, from: u64) -> ServerResult<Page> {
        let largest = self.ticket.agencies().iter().map(|agency| self.shape(agency).bytes()).max().unwrap_or(1);
        let length = (PAGE_BYTES / (largest * self.slots())).clamp(1, PAGE);
        let mut rest = self.entries(from);
        let entries: Vec<(SubjectId, &str)> = rest.by_ref().take(length).collect();
        let to = from + entries.len() as u64;
        let next = rest.next().map(|_| to);
        let entries: Vec<(SubjectId, &str)> = entries.into_iter().filter(|entry| self.is_covered(entry)).collect();
        let mut subjects: Vec<SubjectId> = entries.iter().map(|(subject, _)| *subject).collect();
        subjects.dedup();
        let mut found: HashMap<(SubjectId, String), Vec<Vec<u8>>> = HashMap::new();
        for row in self.linkage.store.matches(self.ticket.id(), &subjects).await? {
            found.entry((row.subject, row.agency)).or_default().push(row.slot);
        }
        // after the matches: of a set that is erased in between, nothing is said rather than that there is no record
        let present = self.present().await?;
        let (mut answers, mut handed) = (Vec::with_capacity(entries.len()), BTreeMap::new());
        for (subject, agency) in entries {
            let mut found = found.remove(&(subject, agency.to_owned())).unwrap_or_default();
            found.truncate(self.slots());
            found.iter().for_each(|slot| count(&mut handed, agency, slot));
            answers.push(SubjectAnswer {
                subject,
                agency: agency.to_owned(),
                slots: Blob(self.filled(agency, found, &present)),
            });
        }
        Ok(Page { answers, handed, to, next })
    }

    /// Where the answers from `from` on end, and what of them is payload.
    async fn all(&self, from: u64) -> ServerResult<(u64, BTreeMap<String, Handed>)> {
        let entries: HashSet<(SubjectId, &str)> = self.entries(from).filter(|entry| self.is_covered(entry)).collect();
        let mut handed = BTreeMap::new();
        for (subject, agency, slot) in self.linkage.store.slot_heads(self.ticket.id()).await? {
            if entries.contains(&(subject, agency.as_str())) {
                count(&mut handed, &agency, &slot);
            }
        }
        Ok((from + self.entries(from).count() as u64, handed))
    }

    /// In the log before it goes out; none where the commission is not what it was any more.
    async fn log(
        &self,
        filed: &Filed,
        (from, to): (u64, u64),
        agencies: BTreeMap<String, Handed>,
    ) -> ServerResult<Option<Leaf>> {
        let items = self.ticket.ticket().items.iter().filter(|asked| agencies.contains_key(&asked.agency));
        let items = items.cloned().collect();
        let event =
            Event::Released { office: filed.office.clone(), commission: self.ticket.id(), from, to, agencies, items };
        Ok(self.linkage.store.release(filed.version, event, self.now).await?.map(Leaf::Number))
    }

    /// What was read is of the version that the log says goes out: a stream ends where the commission is another by now.
    async fn is_still_at(&self, version: u64) -> ServerResult<()> {
        let commission = self.ticket.id();
        match self.linkage.store.commission(commission).await? {
            Some(filed) if filed.version == version => Ok(()),
            _ => Err(ServerError::Failed(format!("commission {commission} has changed while its answers were sent"))),
        }
    }

    /// Always `answer_slots` slots: those found, and empty ones.
    fn filled(&self, agency: &str, found: Vec<Vec<u8>>, present: &[String]) -> Vec<u8> {
        let shape = self.shape(agency);
        let present = present.iter().any(|name| name == agency);
        let filling = shape.write(if present { &Slot::Empty } else { &Slot::Absent });
        let mut bytes = found.concat();
        while bytes.len() < self.slots() * shape.bytes() {
            bytes.extend_from_slice(&filling);
        }
        bytes
    }
}

fn count(handed: &mut BTreeMap<String, Handed>, agency: &str, slot: &[u8]) {
    let Some(deposit) = carries(slot) else { return };
    let Handed { deposits, answers } = handed.entry(agency.to_owned()).or_default();
    *if deposit { deposits } else { answers } += 1;
}
