//! The operator's port: health, readiness, metrics (Prometheus text format). No label names a person or a party.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::State;
use super::caller::Operator;
use super::problem::Problem;
use crate::server::Linkage;

pub fn routes(linkage: Arc<Linkage>) -> Router {
    Router::new()
        .route("/healthz", get(async |_operator: Operator| "ok\n"))
        .route("/readyz", get(get_ready))
        .route("/metrics", get(get_metrics))
        .with_state(linkage)
}

/// `GET /readyz`: the database answers.
async fn get_ready(linkage: State, _operator: Operator) -> Result<&'static str, Problem> {
    linkage.store.ping().await?;
    Ok("ready\n")
}

/// `GET /metrics`.
async fn get_metrics(linkage: State, _operator: Operator) -> Result<String, Problem> {
    let mut text = String::new();
    let tables = [
        ("hedui_batches", "state", "Batches by state.", linkage.store.batch_counts().await?),
        ("hedui_commissions", "state", "Commissions by state.", linkage.store.commission_counts().await?),
        ("hedui_matches", "release", "Matches by how they reach the office.", linkage.store.match_counts().await?),
        ("hedui_jobs_open", "kind", "Jobs that are not done, by kind.", linkage.store.job_counts().await?),
    ];
    for (name, label, help, counts) in tables {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("a String takes everything");
        for (value, count) in counts {
            writeln!(text, "{name}{{{label}=\"{value}\"}} {count}").expect("a String takes everything");
        }
    }
    Ok(text)
}
