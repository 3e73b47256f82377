//! `/v1/batches`: created, filled with parts, committed (SPEC 10).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use hedui_protocol::ids::BatchId;
use hedui_protocol::messages::{BatchState, BatchStatus, Stored};
use hedui_protocol::part::{BatchHeader, PartInfo, batch_id};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use hedui_protocol::sign::{Purpose, Signed};

use super::State;
use super::address::{Path, Query, not_found};
use super::body;
use super::caller::{Agency, Caller};
use super::pace::too_slow;
use super::problem::Problem;
use super::receipts::Logged;
use super::wait::Wait;
use crate::server::Linkage;
use crate::server::error::ServerError;
use crate::server::ingest::{PART_BYTES, check_part, store_part};
use crate::server::store::{Commit, Leaf, MOST_DELTAS};

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new()
        .route("/v1/batches", post(post_batch))
        .route("/v1/batches/{batch}", get(get_batch))
        .route("/v1/batches/{batch}/parts/{number}", put(put_part))
        .route("/v1/batches/{batch}/commit", post(post_commit))
}

/// `POST /v1/batches`: a signed header becomes a batch; sent again, it is the same batch.
async fn post_batch(
    linkage: State,
    Agency(agency): Agency,
    body::Json(signed): body::Json<Signed>,
) -> Result<Json<BatchStatus>, Problem> {
    let manifest = &linkage.project.manifest;
    let malformed = |e: String| Document::new(ProblemKind::Malformed, e);
    let header = BatchHeader::parse(&signed.bytes).map_err(|e| malformed(e.to_string()))?;
    if header.agency != agency {
        let detail = format!("the batch is `{}`'s, the certificate `{agency}`'s", header.agency);
        return Err(Document::new(ProblemKind::Forbidden, detail).into());
    }
    header.basis.agrees_with(&linkage.project.basis)?;
    let key = &manifest.agency(&agency).expect("an authenticated agency is of the manifest").signing_key;
    let unsigned = || Document::new(ProblemKind::BadSignature, format!("the batch header is not signed by `{agency}`"));
    signed.verify(Purpose::Batch, key).map_err(|_| unsigned())?;
    header.adds_up(manifest.limits.part_rows).map_err(|e| malformed(e.to_string()))?;
    if let Some(part) = header.parts.iter().find(|part| part.bytes > PART_BYTES) {
        let detail = format!("part {} has more than {} MiB", part.number, PART_BYTES >> 20);
        return Err(Document::new(ProblemKind::TooLarge, detail).into());
    }
    let batch = batch_id(&signed);
    if !linkage.store.create_batch(batch, &header, &signed, linkage.clock.now()).await? {
        return Err(
            ServerError::Failed(format!("batch {batch} was erased, and its files are still being removed")).into()
        );
    }
    status(&linkage, &agency, batch).await.map(|(_, status)| Json(status))
}

/// `GET /v1/batches/{batch}?wait=SECONDS`: waits while the batch is being indexed.
async fn get_batch(
    linkage: State,
    Agency(agency): Agency,
    Path(batch): Path<BatchId>,
    Query(wait): Query<Wait>,
) -> Result<Json<BatchStatus>, Problem> {
    let mut waiting = wait.begin(&linkage);
    loop {
        let (_, status) = status(&linkage, &agency, batch).await?;
        if status.state != BatchState::Committed || !waiting.again().await {
            return Ok(Json(status));
        }
    }
}

/// `PUT /v1/batches/{batch}/parts/{number}`: any order, any number of times.
async fn put_part(
    linkage: State,
    Agency(agency): Agency,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path((batch, number)): Path<(BatchId, u32)>,
    body: Body,
) -> Result<Json<Stored>, Problem> {
    let (header, status) = status(&linkage, &agency, batch).await?;
    let info = header.parts.get(number as usize).cloned().ok_or_else(not_found)?;
    // parts that are under way may together fill only so much memory
    let _room = linkage.room.take(&caller.organisation, info.bytes).await;
    let bytes = whole(body, &info).await?;
    let (shared, name, checked) = (Arc::clone(&linkage), agency.clone(), bytes.clone());
    let check = move || {
        let manifest = &shared.project.manifest;
        let agency = manifest.agency(&name).expect("an authenticated agency is of the manifest");
        check_part(manifest, agency, &info, &checked)
    };
    linkage.background.run(check).await?;
    if status.state == BatchState::Open && status.missing.contains(&number) {
        let shelf = linkage.store.shelf(batch).await?;
        let Linkage { store, parts, .. } = &**linkage;
        if !store_part(store, parts, &shelf, number, bytes, linkage.clock.now()).await? {
            return Err(not_found());
        }
        tracing::info!("Stored part {number} of batch {batch} of `{agency}`");
    }
    Ok(Json(Stored { stored: 1 }))
}

/// The body, up to the length that the header says: not a byte more is read.
async fn whole(arriving: Body, info: &PartInfo) -> Result<Bytes, Problem> {
    let most = usize::try_from(info.bytes).expect("checked when the batch was created");
    axum::body::to_bytes(arriving, most).await.map_err(|error| {
        if too_slow(&error) {
            return body::slow();
        }
        let detail = format!("part {} is longer than the batch header says, or ended early", info.number);
        Document::new(ProblemKind::PartMismatch, detail).into()
    })
}

/// `POST /v1/batches/{batch}/commit`: all parts, or none.
async fn post_commit(
    linkage: State,
    Agency(agency): Agency,
    Path(batch): Path<BatchId>,
) -> Result<Logged<Json<BatchStatus>>, Problem> {
    let (header, before) = status(&linkage, &agency, batch).await?;
    if !before.missing.is_empty() {
        let missing: Vec<String> = before.missing.iter().take(20).map(u32::to_string).collect();
        let detail =
            format!("{} of {} parts are missing: {}", before.missing.len(), header.parts.len(), missing.join(", "));
        return Err(Document::new(ProblemKind::PartsMissing, detail).into());
    }
    if before.state == BatchState::Open {
        let wrong = match linkage.store.commit_batch(batch, &header, linkage.clock.now()).await? {
            Commit::Done => None,
            // erased meanwhile, and begun anew
            Commit::PartsMissing => return Err(not_found()),
            Commit::OtherBase => Some("the delta continues another batch than the newest that is committed".to_owned()),
            Commit::TooManyDeltas => Some(format!("the set has {MOST_DELTAS} deltas already")),
        };
        if let Some(wrong) = wrong {
            let detail = format!("{wrong}: encode and submit the set whole");
            return Err(Document::new(ProblemKind::BaseMismatch, detail).into());
        }
        linkage.wake.index.notify_one();
        tracing::info!("Committed batch {batch} of `{agency}` with {} records", header.records);
    }
    let leaf = Leaf::About { what: "batch-committed", about: batch.to_string() };
    status(&linkage, &agency, batch).await.map(|(_, status)| Logged(leaf, Json(status)))
}

/// The agency's own batch; another's is not there.
async fn status(linkage: &Linkage, agency: &str, batch: BatchId) -> Result<(BatchHeader, BatchStatus), Problem> {
    let found = linkage.store.batch(batch).await?;
    found.filter(|(header, _)| header.agency == agency).ok_or_else(not_found)
}
