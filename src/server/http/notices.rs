//! `/v1/notices` and `/v1/answers`: matches that an agency is asked about, and what it says (SPEC 11).

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Json, Router};
use hedui_protocol::decision::Band;
use hedui_protocol::messages::{self, Answer, Notice, NoticedMatch, Notices};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::sign::Purpose;
use hedui_protocol::slot::{Sealed, Slot, SlotShape};
use hedui_protocol::ticket::Granted;

use super::State;
use super::body::{self, not_found};
use super::caller::Agency;
use super::problem::Problem;
use crate::server::Linkage;
use crate::server::store::{Release, Stored};

/// Matches in one round of notices.
const ROUND: usize = 500;
/// Waiting matches that are looked at for it: some wait under tickets that have run out.
const LOOKED_AT: i64 = 5000;

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/notices", get(get_notices)).route("/v1/answers", post(post_answers))
}

/// `GET /v1/notices`: what waits for the calling agency, under tickets that hold.
async fn get_notices(linkage: State, Agency(agency): Agency) -> Result<Json<Notices>, Problem> {
    let now = linkage.clock.now();
    let pending = linkage.store.pending(&agency, LOOKED_AT).await?;
    let mut notices: Vec<Notice> = Vec::new();
    let (mut current, mut told, mut more) = (None, 0, false);
    for waiting in pending {
        let ticket = Granted::check(&waiting.ticket, &linkage.project.manifest);
        let holds = ticket.is_ok_and(|ticket| ticket.covers(waiting.subject, &agency, now).is_ok());
        if !holds {
            continue;
        }
        if told == ROUND {
            more = true;
            break;
        }
        told += 1;
        if current != Some(waiting.commission) {
            current = Some(waiting.commission);
            notices.push(Notice { ticket: waiting.ticket, matches: Vec::new() });
        }
        let notice = notices.last_mut().expect("pushed above");
        notice.matches.push(NoticedMatch { subject: waiting.subject, record: waiting.record, band: waiting.band });
    }
    Ok(Json(Notices { notices, more }))
}

/// `POST /v1/answers`: all of them, or none.
async fn post_answers(
    linkage: State,
    Agency(agency): Agency,
    body::Json(body): body::Json<messages::Answers>,
) -> Result<Json<messages::Stored>, Problem> {
    let mut rows = Vec::with_capacity(body.answers.len());
    for answer in &body.answers {
        let (release, slot) = checked(&linkage, &agency, answer).await?;
        rows.push((answer.commission, answer.subject, answer.record, release, slot));
    }
    let stored = linkage.store.store_answers(&agency, &rows).await?;
    if let Some(at) = stored.iter().position(|stored| *stored == Stored::Refused) {
        let record = body.answers[at].record;
        return Err(Document::new(
            ProblemKind::Forbidden,
            format!("record {record} was answered before, with another answer"),
        )
        .into());
    }
    tracing::info!("Stored {} answers of `{agency}`", stored.len());
    Ok(Json(messages::Stored { stored: stored.len() as u64 }))
}

/// The release rule again, from the agency's side: the match is there, the ticket holds, the answer is the agency's.
async fn checked(linkage: &Linkage, agency: &str, answer: &Answer) -> Result<(Release, Vec<u8>), Problem> {
    let Answer { commission, subject, record, sealed } = answer;
    let manifest = &linkage.project.manifest;
    let own = manifest.agency(agency).expect("an authenticated agency is of the manifest");
    let filed = linkage.store.commission(*commission).await?.ok_or_else(not_found)?;
    let (band, _) = linkage.store.match_of(*commission, *subject, agency, *record).await?.ok_or_else(not_found)?;
    let refused = |detail: String| Document::new(ProblemKind::TicketRefused, detail);
    let ticket = Granted::check(&filed.ticket, manifest).map_err(|e| refused(e.to_string()))?;
    let shape = SlotShape::of(&ticket, own);
    let Some(sealed) = sealed else { return Ok((Release::Declined, shape.write(&Slot::Declined { band }))) };
    ticket.covers(*subject, agency, linkage.clock.now()).map_err(|e| refused(e.to_string()))?;
    let lengths = sealed.items.iter().map(|item| item.0.len());
    if sealed.record != *record || !lengths.eq(shape.sealed_lengths()) {
        return Err(Document::new(ProblemKind::Malformed, "an answer's record or payload lengths are wrong").into());
    }
    let signed = Sealed::signed_bytes(*commission, *subject, *record, &sealed.encapsulation, &sealed.items);
    let unsigned = |_| Document::new(ProblemKind::BadSignature, format!("an answer is not signed by `{agency}`"));
    own.signing_key.verify(Purpose::Answer, &signed, &sealed.signature).map_err(unsigned)?;
    Ok((Release::Answered, shape.write(&answered(band, sealed))))
}

fn answered(band: Band, sealed: &Sealed) -> Slot {
    Slot::Answer { band, answer: sealed.clone() }
}
