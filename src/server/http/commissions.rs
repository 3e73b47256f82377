//! `/v1/commissions`: filed with a ticket, matched, withdrawn (SPEC 9). What came of it is in `answers`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use hedui_protocol::encodings::{Encodings, subject_hash};
use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::log::Event;
use hedui_protocol::messages::{AgencyStatus, CommissionRequest, CommissionState, CommissionStatus};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::{Granted, Refusal, Withdrawal};

use super::State;
use super::body::{self, not_found};
use super::caller::Office;
use super::problem::{Problem, RefusedFor};
use super::receipts::{Asked, Logged};
use crate::server::Linkage;
use crate::server::error::ServerError;
use crate::server::store::{Filed, FiledState, Leaf, Release};

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new()
        .route("/v1/commissions", post(post_commission))
        .route("/v1/commissions/{commission}", get(get_commission))
        .route("/v1/commissions/{commission}/withdrawal", post(post_withdrawal))
}

/// `POST /v1/commissions`: a ticket that is sent again is the same commission, and nothing is matched twice.
async fn post_commission(
    linkage: State,
    Office(office): Office,
    body::Json(request): body::Json<CommissionRequest>,
) -> Result<Logged<Json<CommissionStatus>>, RefusedFor> {
    let (shared, caller, asked) = (Arc::clone(&linkage), office.clone(), asked(&request));
    let check = move || accepted(&shared, &caller, &request).map(|ticket| (ticket, request));
    let checked = tokio::task::spawn_blocking(check).await.map_err(|e| Problem::from(ServerError::failed(e)));
    let filed = async { file(&linkage, &office, checked??).await };
    filed.await.map_err(|problem| RefusedFor(problem, asked))
}

/// What a request asks, whether or not it may.
fn asked(request: &CommissionRequest) -> Asked {
    let mut subjects: Vec<SubjectId> = request.encodings.iter().map(|entry| entry.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let commission = Some(CommissionId(*blake3::hash(&request.ticket.bytes).as_bytes()));
    Asked { commission, subjects: subjects.len() as u64 }
}

/// Files a commission whose ticket holds.
async fn file(
    linkage: &State,
    office: &str,
    (ticket, request): (Granted, CommissionRequest),
) -> Result<Logged<Json<CommissionStatus>>, Problem> {
    let (commission, now) = (ticket.id(), linkage.clock.now());
    let subjects = ticket.ticket().subjects.len();
    match linkage.store.file_commission(commission, office, &request, Event::filed(&ticket), now).await? {
        FiledState::New => {
            linkage.tickets.remember(ticket);
            linkage.wake.commission.notify_one();
            tracing::info!("Filed commission {commission} of `{office}` with {subjects} subjects");
        }
        FiledState::Known => refuse_withdrawn(&own(linkage, office, commission).await?)?,
    }
    let leaf = Leaf::About { what: "commission-filed", about: commission.to_string() };
    status(linkage, office, commission).await.map(|status| Logged(leaf, Json(status)))
}

/// The ticket, if it is the caller's, holds now for all its subjects, and binds the encodings that came with it.
fn accepted(linkage: &Linkage, office: &str, request: &CommissionRequest) -> Result<Granted, Problem> {
    let now = linkage.clock.now();
    request.basis.agrees_with(&linkage.project.basis)?;
    let ticket = Granted::check(&request.ticket, &linkage.project.manifest).map_err(refused)?;
    if ticket.ticket().office != office {
        let detail = format!("the ticket is `{}`'s, the certificate `{office}`'s", ticket.ticket().office);
        return Err(Document::new(ProblemKind::Forbidden, detail).into());
    }
    ticket.holds(now).map_err(refused)?;
    for subject in &ticket.ticket().subjects {
        for agency in &subject.agencies {
            ticket.covers(subject.subject, agency, now).map_err(refused)?;
        }
    }
    encodings_are_bound(linkage, &ticket, request)?;
    Ok(ticket)
}

/// SPEC 9.3  One entry for each subject and agency, and the hash that the ticket binds.
fn encodings_are_bound(linkage: &Linkage, ticket: &Granted, request: &CommissionRequest) -> Result<(), Problem> {
    let mismatch = |detail: String| Problem(Document::new(ProblemKind::EncodingsMismatch, detail));
    let shape = linkage.project.manifest.shape();
    let mut given: HashMap<(SubjectId, &str), &[u8]> = HashMap::with_capacity(request.encodings.len());
    for entry in &request.encodings {
        Encodings::parse(&entry.encodings.0, &shape)
            .map_err(|e| mismatch(format!("the encodings of subject {} do not read: {e}", entry.subject)))?;
        if given.insert((entry.subject, &entry.agency), &entry.encodings.0).is_some() {
            return Err(mismatch(format!("subject {} has two encodings for one agency", entry.subject)));
        }
    }
    let mut bound = 0;
    for subject in &ticket.ticket().subjects {
        let own = subject.agencies.iter().map(|agency| {
            let bytes = given.get(&(subject.subject, agency.as_str()));
            bytes.map(|bytes| (agency.as_str(), *bytes))
        });
        let own: Option<Vec<(&str, &[u8])>> = own.collect();
        let own = own.ok_or_else(|| mismatch(format!("an encoding of subject {} is missing", subject.subject)))?;
        bound += own.len();
        if subject_hash(own.into_iter()) != subject.encodings {
            return Err(mismatch(format!("the encodings of subject {} are not those of the ticket", subject.subject)));
        }
    }
    if bound == given.len() {
        Ok(())
    } else {
        Err(mismatch("there are encodings that the ticket does not name".into()))
    }
}

/// `GET /v1/commissions/{commission}`.
async fn get_commission(
    linkage: State,
    Office(office): Office,
    commission: Path<String>,
) -> Result<Json<CommissionStatus>, Problem> {
    status(&linkage, &office, body::id(commission)?).await.map(Json)
}

/// `POST /v1/commissions/{commission}/withdrawal`: nothing goes out after it.
async fn post_withdrawal(
    linkage: State,
    Office(office): Office,
    commission: Path<String>,
    body::Json(signed): body::Json<Signed>,
) -> Result<Logged<Json<CommissionStatus>>, Problem> {
    let commission: CommissionId = body::id(commission)?;
    own(&linkage, &office, commission).await?;
    let key =
        &linkage.project.manifest.office(&office).expect("an authenticated office is of the manifest").signing_key;
    let unsigned = || Document::new(ProblemKind::BadSignature, format!("the withdrawal is not signed by `{office}`"));
    signed.verify(Purpose::Withdrawal, key).map_err(|_| unsigned())?;
    let said: Option<Withdrawal> = serde_json::from_slice(&signed.bytes).ok();
    if said.is_none_or(|said| said.commission != commission || said.office != office) {
        return Err(Document::new(ProblemKind::Malformed, "the withdrawal names another commission or office").into());
    }
    linkage.store.withdraw(commission, &office, &signed, linkage.clock.now()).await?;
    tracing::info!("Commission {commission} was withdrawn by `{office}`");
    let leaf = Leaf::About { what: "withdrawn", about: commission.to_string() };
    status(&linkage, &office, commission).await.map(|status| Logged(leaf, Json(status)))
}

/// The office's own commission; another's is not there.
pub(super) async fn own(linkage: &Linkage, office: &str, commission: CommissionId) -> Result<Filed, Problem> {
    let filed = linkage.store.commission(commission).await?;
    filed.filter(|filed| filed.office == office).ok_or_else(not_found)
}

async fn status(linkage: &Linkage, office: &str, commission: CommissionId) -> Result<CommissionStatus, Problem> {
    let filed = own(linkage, office, commission).await?;
    let mut agencies = Vec::new();
    if filed.state == CommissionState::Matched {
        let ticket = linkage.granted(commission).await?;
        let rows = linkage.store.releases(commission).await?;
        for (agency, present) in linkage.store.matched_against(commission).await? {
            let asked =
                ticket.ticket().subjects.iter().filter(|subject| subject.agencies.contains(&agency)).count() as u64;
            agencies.push(agency_status(agency, present, asked, &rows));
        }
    }
    Ok(CommissionStatus { commission: filed.commission, state: filed.state, agencies })
}

/// Counts subjects, each once, by the most that was said about them.
fn agency_status(agency: String, present: bool, subjects: u64, rows: &[(SubjectId, String, Release)]) -> AgencyStatus {
    let mut said: HashMap<SubjectId, u8> = HashMap::new();
    for (subject, _, release) in rows.iter().filter(|(_, name, _)| *name == agency) {
        let rank = match release {
            Release::Deposit | Release::Answered => 4,
            Release::Pending => 3,
            Release::Declined => 2,
            Release::Possible => 1,
        };
        let most = said.entry(*subject).or_default();
        *most = (*most).max(rank);
    }
    let count = |rank: u8| said.values().filter(|said| **said == rank).count() as u64;
    let (answered, pending, declined, possible) = (count(4), count(3), count(2), count(1));
    let found = answered + declined + pending + possible;
    let no_record = if present { subjects - found } else { 0 };
    AgencyStatus { agency, present, subjects, answered, declined, pending, possible, no_record }
}

pub(super) fn refuse_withdrawn(filed: &Filed) -> Result<(), Problem> {
    if filed.state == CommissionState::Withdrawn { Err(refused(Refusal::Withdrawn)) } else { Ok(()) }
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let kind = match refusal {
        Refusal::OtherManifest { .. } => ProblemKind::ManifestMismatch,
        Refusal::BadSignature(_) => ProblemKind::BadSignature,
        Refusal::Malformed(_) => ProblemKind::Malformed,
        _ => ProblemKind::TicketRefused,
    };
    Problem(Document::new(kind, refusal.to_string()))
}
