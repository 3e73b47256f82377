//! `/v1/acts`: what one operator proposes and another approves; `/v1/retention`: what ends by its term (SPEC 15).

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hedui_protocol::acts::{ActState, ActStatus, Actor, Deed, Proposal};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::State;
use super::address::{Path, Query};
use super::body;
use super::caller::Operator;
use super::problem::Problem;
use super::receipts::Logged;
use super::wait::Wait;
use crate::server::Linkage;
use crate::server::error::{ServerError, ServerResult};
use crate::server::project::Project;
use crate::server::store::{Approval, Leaf};

/// Commissions that one act may erase.
const COMMISSIONS: usize = 1000;

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new()
        .route("/v1/acts", get(get_acts))
        .route("/v1/acts", post(post_act))
        .route("/v1/acts/{act}", get(get_act))
        .route("/v1/acts/{act}/approval", post(post_approval))
        .route("/v1/retention", get(get_retention))
}

/// `GET /v1/acts`: the newest first.
async fn get_acts(linkage: State, _operator: Operator) -> Result<Json<Vec<ActStatus>>, Problem> {
    Ok(Json(linkage.store.acts(linkage.clock.now()).await?))
}

/// `POST /v1/acts`: sent again while it waits, it is the same act.
async fn post_act(
    linkage: State,
    Operator(operator): Operator,
    body::Json(proposal): body::Json<Proposal>,
) -> Result<Logged<Json<ActStatus>>, Problem> {
    sensible(&linkage, &operator, &proposal).await?;
    let act = linkage.store.propose(&proposal, &operator, linkage.clock.now()).await?;
    tracing::info!("Act {act} was proposed; another operator is to approve it");
    status(&linkage, act).await.map(|status| Logged(Leaf::Number(act), Json(status)))
}

/// What can be done at all.
async fn sensible(linkage: &Linkage, operator: &Actor, proposal: &Proposal) -> Result<(), Problem> {
    let wrong = |detail: String| Problem(Document::new(ProblemKind::Malformed, detail));
    let manifest = &linkage.project.manifest;
    if proposal.terms.is_some() != matches!(proposal.deed, Deed::OpenEpoch { .. }) {
        return Err(wrong("a manifest belongs to a new epoch, and to nothing else".into()));
    }
    match &proposal.deed {
        Deed::EraseCommissions { commissions } => {
            if commissions.is_empty() || commissions.len() > COMMISSIONS {
                return Err(wrong(format!("one act erases 1 to {COMMISSIONS} commissions")));
            }
            for commission in commissions {
                if linkage.store.commission(*commission).await?.is_none() {
                    let detail = format!("there is no commission {commission}");
                    return Err(Document::new(ProblemKind::NotFound, detail).into());
                }
            }
        }
        Deed::EraseAgency { agency } => {
            let known = manifest.agency(agency);
            known.ok_or_else(|| wrong(format!("`{agency}` is no agency of the manifest")))?;
        }
        Deed::OpenEpoch { manifest: id, epoch } => {
            let terms = proposal.terms.as_ref().expect("looked at above");
            let next = Project::read(terms.manifest.0.clone(), terms.signatures.0.clone(), "the next manifest");
            let next = next.map_err(|failure| wrong(failure.message))?;
            if next.manifest.has_party(&operator.organisation) {
                let detail =
                    format!("the next manifest makes `{}` a party: it would have no operator", operator.organisation);
                return Err(wrong(detail));
            }
            if let Some(party) = next.unsigned().next() {
                return Err(wrong(format!("`{party}` has not signed the next manifest: nobody could sign it later")));
            }
            let next = next.manifest;
            if next.id() != *id || next.epoch != *epoch {
                return Err(wrong("the next manifest has another id or epoch than the act names".into()));
            }
            if next.id() == manifest.id() {
                return Err(wrong("the next manifest is the one that the epoch has already".into()));
            }
            if next.log_key != manifest.log_key {
                return Err(wrong("the next manifest names another log key than this server has".into()));
            }
        }
        Deed::SetRetention { retention } if retention.backups == 0 => {
            return Err(wrong("a backup that is kept for no day could never be put back".into()));
        }
        Deed::EraseProject | Deed::SetRetention { .. } => {}
    }
    Ok(())
}

/// `GET /v1/acts/{act}?wait=SECONDS`: waits while files are being removed. Of what was erased, the receipt is the proof.
async fn get_act(
    linkage: State,
    _operator: Operator,
    Path(act): Path<u64>,
    Query(wait): Query<Wait>,
) -> Result<Response, Problem> {
    let mut waiting = wait.begin(&linkage);
    loop {
        let status = status(&linkage, act).await?;
        if status.state != ActState::Approved || !waiting.again().await {
            return Ok(proved(status));
        }
    }
}

/// The entry that says the most of an act.
fn proved(status: ActStatus) -> Response {
    let erases = !matches!(status.deed, Deed::OpenEpoch { .. } | Deed::SetRetention { .. });
    let leaf = match status.state {
        ActState::Done if erases => Leaf::About { what: "erased", about: status.act.to_string() },
        ActState::Done | ActState::Approved => Leaf::About { what: "approved", about: status.act.to_string() },
        ActState::Proposed | ActState::Lapsed => Leaf::Number(status.act),
    };
    Logged(leaf, Json(status)).into_response()
}

/// `POST /v1/acts/{act}/approval`: by another operator than the one who proposed it.
async fn post_approval(
    linkage: State,
    Operator(operator): Operator,
    Path(act): Path<u64>,
) -> Result<Response, Problem> {
    status(&linkage, act).await?;
    // to erase much takes longer than a request may: it goes on, and whoever asks again is told
    let (shared, now) = (Arc::clone(&linkage), linkage.clock.now());
    let approved = tokio::spawn(async move {
        let approval = shared.store.approve(act, &operator, now).await?;
        if matches!(approval, Approval::Done) {
            tracing::info!("Act {act} was approved by a second operator");
            shared.wake.tidy.notify_one();
            shared.wake.tell();
        }
        ServerResult::Ok(approval)
    });
    match approved.await.map_err(ServerError::failed)?? {
        Approval::Done => {}
        Approval::SamePerson => {
            let detail = format!(
                "act {act} needs two operators: a colleague of who proposed it, of the same organisation, approves it"
            );
            return Err(Document::new(ProblemKind::Forbidden, detail).into());
        }
        Approval::TooLate(state) => {
            let why = match state {
                ActState::Lapsed => "was not approved in time; propose it anew",
                _ => "was approved by another operator",
            };
            return Err(Document::new(ProblemKind::Forbidden, format!("act {act} {why}")).into());
        }
    }
    let leaf = Leaf::About { what: "approved", about: act.to_string() };
    status(&linkage, act).await.map(|status| Logged(leaf, Json(status)).into_response())
}

/// `GET /v1/retention?wait=SECONDS`: waits while what has ended is being removed. The receipt is the proof of what is gone.
async fn get_retention(linkage: State, _operator: Operator, Query(wait): Query<Wait>) -> Result<Response, Problem> {
    let mut waiting = wait.begin(&linkage);
    loop {
        let status = linkage.store.retention_status().await?;
        if status.ended != status.gone && waiting.again().await {
            continue;
        }
        let Some(gone) = status.gone else { return Ok(Json(status).into_response()) };
        return Ok(Logged(Leaf::About { what: "gone", about: gone.to_string() }, Json(status)).into_response());
    }
}

async fn status(linkage: &Linkage, act: u64) -> Result<ActStatus, Problem> {
    let found = linkage.store.act(act, linkage.clock.now()).await?;
    found.ok_or_else(|| Document::new(ProblemKind::NotFound, format!("there is no act {act}")).into())
}
