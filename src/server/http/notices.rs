//! `/v1/notices` and `/v1/answers`: matches that an agency is asked about, and what it says (SPEC 11).

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hedui_protocol::messages::{self, Answer, Notice, NoticedMatch, Notices};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::sign::Purpose;
use hedui_protocol::slot::{Sealed, Slot, SlotShape};
use jiff::Timestamp;
use serde::Deserialize;

use super::State;
use super::address::{Query, not_found};
use super::body;
use super::caller::Agency;
use super::problem::Problem;
use super::receipts::Logged;
use super::wait::Wait;
use crate::server::Linkage;
use crate::server::store::{AnswerRow, Leaf, Pending, Release};

/// Matches in one round of notices.
const ROUND: usize = 500;
/// Bytes of tickets in one round; one ticket is always told.
const TICKET_BYTES: usize = 32 << 20;
/// Answers taken at once.
const ANSWERS: usize = 1000;

#[derive(Deserialize)]
struct Skip {
    #[serde(default)]
    skip: u32,
}

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/notices", get(get_notices)).route("/v1/answers", post(post_answers))
}

/// `GET /v1/notices?skip=N&wait=SECONDS`: what waits for the calling agency, under tickets that hold. Asking changes nothing.
///
/// `skip`: matches at the front that the agency leaves open.
async fn get_notices(
    linkage: State,
    Agency(agency): Agency,
    Query(Skip { skip }): Query<Skip>,
    Query(wait): Query<Wait>,
) -> Result<Json<Notices>, Problem> {
    let mut waiting = wait.begin(&linkage);
    loop {
        let found = notices(&linkage, &agency, skip).await?;
        if !found.notices.is_empty() || !waiting.again().await {
            return Ok(Json(found));
        }
    }
}

async fn notices(linkage: &Linkage, agency: &str, skip: u32) -> Result<Notices, Problem> {
    let now = linkage.clock.now();
    let mut pending = linkage.store.pending(agency, skip, ROUND as u32 + 1, now).await?;
    let mut more = pending.len() > ROUND;
    pending.truncate(ROUND);
    let (mut notices, mut bytes) = (Vec::new(), 0);
    for group in pending.chunk_by(|one, next| one.commission == next.commission) {
        let commission = group[0].commission;
        let (ticket, granted) = (linkage.store.ticket(commission).await?, linkage.granted(commission).await?);
        bytes += ticket.bytes.len();
        if bytes > TICKET_BYTES && !notices.is_empty() {
            more = true;
            break;
        }
        let covered = group.iter().filter(|waiting| granted.covers(waiting.subject, agency, now).is_ok());
        let matches: Vec<NoticedMatch> = covered.map(noticed).collect();
        if !matches.is_empty() {
            notices.push(Notice { ticket, matches });
        }
    }
    Ok(Notices { notices, more })
}

fn noticed(waiting: &Pending) -> NoticedMatch {
    NoticedMatch { subject: waiting.subject, record: waiting.record, band: waiting.band }
}

/// `POST /v1/answers`: all of them, or none.
async fn post_answers(
    linkage: State,
    Agency(agency): Agency,
    body::Json(body): body::Json<messages::Answers>,
) -> Result<Response, Problem> {
    if body.answers.len() > ANSWERS {
        let detail = format!("at most {ANSWERS} answers may be sent at once");
        return Err(Document::new(ProblemKind::TooLarge, detail).into());
    }
    // what is entered is the time by which their tickets held
    let now = linkage.clock.now();
    let mut rows = Vec::with_capacity(body.answers.len());
    for answer in &body.answers {
        rows.push(checked(&linkage, &agency, answer, now).await?);
    }
    let last = linkage.store.store_answers(&agency, &rows, now).await?.map_err(|position| {
        let record = rows[position].record;
        Document::new(ProblemKind::Forbidden, format!("record {record} was answered before, with another answer"))
    })?;
    tracing::info!("Stored {} answers of `{agency}`", rows.len());
    linkage.wake.tell();
    let stored = Json(messages::Stored { stored: rows.len() as u64 });
    Ok(match last {
        Some(number) => Logged(Leaf::Number(number), stored).into_response(),
        None => stored.into_response(),
    })
}

/// The release rule again, from the agency's side: the match is there, the ticket holds, the answer is the agency's.
async fn checked(linkage: &Linkage, agency: &str, answer: &Answer, now: Timestamp) -> Result<AnswerRow, Problem> {
    let Answer { commission, subject, record, sealed } = answer;
    let (commission, subject, record) = (*commission, *subject, *record);
    let own = linkage.project.manifest.agency(agency).expect("an authenticated agency is of the manifest");
    let found = linkage.store.match_of(commission, subject, agency, record).await?;
    let asked = found.filter(|(_, release)| !matches!(release, Release::Possible | Release::Deposit));
    let (band, _) = asked.ok_or_else(not_found)?;
    let ticket = linkage.granted(commission).await?;
    let refused = |detail: String| Document::new(ProblemKind::TicketRefused, detail);
    ticket.covers(subject, agency, now).map_err(|e| refused(e.to_string()))?;
    let shape = SlotShape::of(&ticket, own);
    let Some(sealed) = sealed else {
        let slot = shape.write(&Slot::Declined { band });
        return Ok(AnswerRow { commission, subject, record, release: Release::Declined, slot });
    };
    let lengths = sealed.items.iter().map(|item| item.0.len());
    if sealed.record != record || !lengths.eq(shape.sealed_lengths()) {
        return Err(Document::new(ProblemKind::Malformed, "an answer's record or payload lengths are wrong").into());
    }
    let signed = Sealed::signed_bytes(commission, subject, record, &sealed.encapsulation, &sealed.items);
    let unsigned = |_| Document::new(ProblemKind::BadSignature, format!("an answer is not signed by `{agency}`"));
    own.signing_key.verify(Purpose::Answer, &signed, &sealed.signature).map_err(unsigned)?;
    let slot = shape.write(&Slot::Answer { band, answer: sealed.clone() });
    Ok(AnswerRow { commission, subject, record, release: Release::Answered, slot })
}
