//! `/v1/log`: the auditor reads the log (SPEC 14.6).

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use hedui_protocol::messages::LogPage;
use serde::Deserialize;

use super::State;
use super::address::Query;
use super::caller::Auditor;
use super::problem::Problem;
use super::wait::Wait;
use crate::server::{Linkage, log};

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/log", get(get_log))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /v1/log?from=N&wait=SECONDS`: entries from the one numbered N on; none when time is up and no more are signed.
async fn get_log(
    linkage: State,
    _auditor: Auditor,
    Query(From { from }): Query<From>,
    Query(wait): Query<Wait>,
) -> Result<Json<LogPage>, Problem> {
    let mut waiting = wait.begin(&linkage);
    loop {
        let page = log::page(&linkage.store, from, log::Told::Signed).await?;
        if !page.entries.is_empty() || !waiting.again().await {
            return Ok(Json(page));
        }
    }
}
