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
use crate::server::{Linkage, log};

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/log", get(get_log))
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /v1/log?from=N`: entries from the one numbered N on, none when there are no more that are signed.
async fn get_log(
    linkage: State,
    _auditor: Auditor,
    Query(From { from }): Query<From>,
) -> Result<Json<LogPage>, Problem> {
    Ok(Json(log::page(&linkage.store, from, log::Told::Signed).await?))
}
