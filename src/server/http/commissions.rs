//! `/v1/commissions`: filed with a ticket, matched, withdrawn (SPEC 9). What came of it is in `answers`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::routing::{get, post, put};
use axum::{Json, Router};
use hedui_protocol::encodings::{Encodings, subject_hash};
use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::messages::{
    AgencyStatus, CommissionRequest, CommissionState, CommissionStatus, PART_SUBJECTS, SubjectEncodings,
};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::{Granted, Refusal, Subject, Ticket, Withdrawal};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::State;
use super::address::{Path, Query, not_found};
use super::body;
use super::caller::Office;
use super::problem::{Problem, RefusedFor};
use super::receipts::{Asked, Logged};
use super::wait::Wait;
use crate::server::Linkage;
use crate::server::error::ServerError;
use crate::server::store::{Filed, FiledState, Filing, Leaf, Release, Told};

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new()
        .route("/v1/commissions", post(post_commission))
        .route("/v1/commissions/{commission}", get(get_commission))
        .route("/v1/commissions/{commission}/encodings/{part}", put(put_encodings))
        .route("/v1/commissions/{commission}/withdrawal", post(post_withdrawal))
}

/// `POST /v1/commissions`: a ticket that is sent again is the same commission, and nothing is matched twice.
async fn post_commission(
    linkage: State,
    Office(office): Office,
    body::Json(request): body::Json<CommissionRequest>,
) -> Result<Logged<Json<CommissionStatus>>, RefusedFor> {
    let (shared, caller, asked) = (Arc::clone(&linkage), office.clone(), asked(&request));
    // a ticket that holds now may have ended when all of it is checked: what is entered is the time by which it held
    let now = linkage.clock.now();
    let check = move || accepted(&shared, &caller, &request, now).map(|ticket| (ticket, request));
    let checked = tokio::task::spawn_blocking(check).await.map_err(|e| Problem::from(ServerError::failed(e)));
    let filed = async { file(&linkage, &office, checked??, now).await };
    filed.await.map_err(|problem| RefusedFor(problem, asked))
}

/// What a request asks, whether or not it may.
fn asked(request: &CommissionRequest) -> Asked {
    let commission = Some(CommissionId(*blake3::hash(&request.ticket.bytes).as_bytes()));
    let named = serde_json::from_slice::<Ticket>(&request.ticket.bytes).map_or(0, |ticket| ticket.subjects.len());
    let sent: HashSet<SubjectId> = request.encodings.iter().map(|entry| entry.subject).collect();
    Asked { commission, subjects: named.max(sent.len()) as u64 }
}

/// Files a commission whose ticket holds.
async fn file(
    linkage: &State,
    office: &str,
    (ticket, request): (Granted, CommissionRequest),
    now: Timestamp,
) -> Result<Logged<Json<CommissionStatus>>, Problem> {
    let commission = ticket.id();
    let subjects = ticket.ticket().subjects.len();
    let quota = linkage.project.manifest.office(office).and_then(|office| office.subjects_per_day);
    let filing = Filing { ticket: &ticket, request: &request, quota };
    match linkage.store.file_commission(&filing, now).await? {
        FiledState::New => {
            linkage.tickets.remember(ticket);
            linkage.wake.commission.notify_one();
            tracing::info!("Filed commission {commission} of `{office}` with {subjects} subjects");
        }
        FiledState::Known => refuse_ended(&own(linkage, office, commission).await?)?,
        FiledState::Erased => return Err(Document::new(ProblemKind::Erased, "the epoch was erased").into()),
        FiledState::OverQuota(asked) => {
            let most = quota.unwrap_or_default();
            let detail = format!(
                "`{office}` has asked about {asked} people in 24 hours, and would now about {subjects} more; its quota is {most}"
            );
            return Err(Document::new(ProblemKind::QuotaExceeded, detail).into());
        }
    }
    let leaf = Leaf::About { what: "commission-filed", about: commission.to_string() };
    status(linkage, office, commission).await.map(|status| Logged(leaf, Json(status)))
}

/// The ticket, if it is the caller's, holds now for all its subjects, and binds the encodings that came with it.
fn accepted(linkage: &Linkage, office: &str, request: &CommissionRequest, now: Timestamp) -> Result<Granted, Problem> {
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
    if !request.encodings.is_empty() {
        encodings_are_bound(linkage, &ticket.ticket().subjects, &request.encodings)?;
    }
    Ok(ticket)
}

/// SPEC 9.3  One entry for each of these subjects and agencies, and the hash that the ticket binds.
fn encodings_are_bound(linkage: &Linkage, subjects: &[Subject], encodings: &[SubjectEncodings]) -> Result<(), Problem> {
    let mismatch = |detail: String| Problem(Document::new(ProblemKind::EncodingsMismatch, detail));
    let shape = linkage.project.manifest.shape();
    let mut given: HashMap<(SubjectId, &str), &[u8]> = HashMap::with_capacity(encodings.len());
    for entry in encodings {
        Encodings::parse(&entry.encodings.0, &shape)
            .map_err(|e| mismatch(format!("the encodings of subject {} do not read: {e}", entry.subject)))?;
        if given.insert((entry.subject, &entry.agency), &entry.encodings.0).is_some() {
            return Err(mismatch(format!("subject {} has two encodings for one agency", entry.subject)));
        }
    }
    let mut bound = 0;
    for subject in subjects {
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

/// `PUT /v1/commissions/{commission}/encodings/{part}`: any order, any number of times; the last part queues the commission.
async fn put_encodings(
    linkage: State,
    Office(office): Office,
    Path((commission, part)): Path<(CommissionId, u32)>,
    body::Json(encodings): body::Json<Vec<SubjectEncodings>>,
) -> Result<Json<CommissionStatus>, Problem> {
    refuse_ended(&own(&linkage, &office, commission).await?)?;
    let ticket = linkage.granted(commission).await?;
    ticket.holds(linkage.clock.now()).map_err(refused)?;
    let parts = parts_of(&ticket);
    let (shared, granted) = (Arc::clone(&linkage), Arc::clone(&ticket));
    let check = move || {
        let Some(subjects) = granted.ticket().subjects.chunks(PART_SUBJECTS).nth(part as usize) else {
            return Ok(Err(not_found()));
        };
        Ok(encodings_are_bound(&shared, subjects, &encodings).map(|()| encodings))
    };
    let encodings = linkage.background.run(check).await??;
    linkage.store.put_encodings(commission, part, parts, &encodings).await?;
    linkage.wake.sweep.notify_one();
    status(&linkage, &office, commission).await.map(Json)
}

/// Parts in which encodings come.
fn parts_of(ticket: &Granted) -> u32 {
    u32::try_from(ticket.ticket().subjects.len().div_ceil(PART_SUBJECTS))
        .expect("a ticket has at most a million subjects")
}

#[derive(Deserialize)]
struct After {
    /// The version that the caller has.
    #[serde(default)]
    after: u64,
}

/// `GET /v1/commissions/{commission}?wait=SECONDS&after=VERSION`: waits until there is something newer than that version.
async fn get_commission(
    linkage: State,
    Office(office): Office,
    Path(commission): Path<CommissionId>,
    Query(After { after }): Query<After>,
    Query(wait): Query<Wait>,
) -> Result<Json<CommissionStatus>, Problem> {
    let mut waiting = wait.begin(&linkage);
    while own(&linkage, &office, commission).await?.version <= after && waiting.again().await {}
    status(&linkage, &office, commission).await.map(Json)
}

/// `POST /v1/commissions/{commission}/withdrawal`: nothing goes out after it.
async fn post_withdrawal(
    linkage: State,
    Office(office): Office,
    Path(commission): Path<CommissionId>,
    body::Json(signed): body::Json<Signed>,
) -> Result<Logged<Json<CommissionStatus>>, Problem> {
    let filed = own(&linkage, &office, commission).await?;
    if filed.state == CommissionState::Erased {
        refuse_ended(&filed)?;
    }
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
    let Filed { state, version, .. } = own(linkage, office, commission).await?;
    let (mut agencies, mut missing) = (Vec::new(), Vec::new());
    if state == CommissionState::Open {
        let here = linkage.store.encoding_parts(commission).await?;
        missing = (0..parts_of(&*linkage.granted(commission).await?)).filter(|part| !here.contains(part)).collect();
    }
    if state == CommissionState::Matched {
        let ticket = linkage.granted(commission).await?;
        let hours = SignedDuration::from_hours(i64::from(linkage.project.manifest.limits.answer_hours));
        let told = linkage.store.releases(commission, linkage.clock.now() - hours).await?;
        for (agency, set) in linkage.store.matched_against(commission).await? {
            let asked =
                ticket.ticket().subjects.iter().filter(|subject| subject.agencies.contains(&agency)).count() as u64;
            agencies.push(agency_status(agency, set.is_some(), asked, &told));
        }
    }
    Ok(CommissionStatus { commission, state, missing, version, agencies })
}

/// Counts subjects, each once, by the most that was said about them.
fn agency_status(agency: String, present: bool, subjects: u64, told: &[Told]) -> AgencyStatus {
    let mut said: HashMap<SubjectId, (u8, bool)> = HashMap::new();
    for told in told.iter().filter(|told| told.agency == agency) {
        let rank = match told.release {
            Release::Deposit | Release::Answered => 4,
            Release::Pending => 3,
            Release::Declined => 2,
            Release::Possible => 1,
        };
        let (most, late) = said.entry(told.subject).or_default();
        (*most, *late) = ((*most).max(rank), *late || told.late);
    }
    let count = |rank: u8| said.values().filter(|(said, _)| *said == rank).count() as u64;
    let (answered, pending, declined, possible) = (count(4), count(3), count(2), count(1));
    let overdue = said.values().filter(|(said, late)| *said == 3 && *late).count() as u64;
    let found = answered + declined + pending + possible;
    let no_record = if present { subjects - found } else { 0 };
    AgencyStatus { agency, present, subjects, answered, declined, pending, overdue, possible, no_record }
}

pub(super) fn refuse_ended(filed: &Filed) -> Result<(), Problem> {
    match filed.state {
        CommissionState::Withdrawn => Err(refused(Refusal::Withdrawn)),
        CommissionState::Erased => Err(Document::new(ProblemKind::Erased, "the commission was erased").into()),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bank has said of eight of ten subjects; of the last two more than one thing each.
    fn said(present: bool) -> AgencyStatus {
        use Release::{Answered, Declined, Deposit, Pending, Possible};
        let told = |(number, release, late): (u8, Release, bool)| Told {
            subject: SubjectId([number; 16]),
            agency: "bank".into(),
            release,
            late,
        };
        let mut all: Vec<Told> = [
            (1, Deposit, false),
            (2, Answered, false),
            (3, Declined, false),
            (4, Pending, false),
            (5, Pending, true),
            (6, Possible, false),
            // of two records the one that was answered counts, and is late no more
            (7, Answered, false),
            (7, Pending, true),
            (8, Possible, false),
            (8, Declined, false),
            (8, Pending, false),
        ]
        .into_iter()
        .map(told)
        .collect();
        all.push(Told { agency: "tax".into(), ..told((9, Answered, false)) });
        agency_status("bank".into(), present, 10, &all)
    }

    #[test]
    fn each_subject_is_counted_once_by_the_most_that_was_said() {
        let expected = AgencyStatus {
            agency: "bank".into(),
            present: true,
            subjects: 10,
            answered: 3,
            declined: 1,
            pending: 3,
            overdue: 1,
            possible: 1,
            no_record: 2,
        };
        assert_eq!(said(true), expected);
        assert_eq!(said(false), AgencyStatus { present: false, no_record: 0, ..expected });
    }
}
