//! The operator's port: health, readiness, metrics (Prometheus text format). No label names a person or a party.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::caller::{Caller, Operator};
use super::problem::Problem;
use super::receipts::Refusal;
use super::{address, rate};
use crate::server::epochs::Epochs;

pub fn routes(epochs: Arc<Epochs>) -> Router {
    Router::new()
        .route("/healthz", get(async |_operator: Operator| "ok\n"))
        .route("/readyz", get(get_ready))
        .route("/metrics", get(get_metrics))
        .fallback(async |_operator: Operator| address::no_route())
        .method_not_allowed_fallback(async |_operator: Operator| address::other_method())
        .layer(from_fn_with_state(Arc::clone(&epochs), entered))
        .layer(from_fn_with_state(Arc::clone(&epochs), paced))
        .with_state(epochs)
}

/// Who is no operator, and tries this port, stands in the log of the first epoch.
async fn entered(epochs: State<Arc<Epochs>>, request: Request, next: Next) -> Response {
    let refusal = Refusal::of(&request);
    let response = next.run(request).await;
    let forbidden = response.extensions().get::<Document>().filter(|document| document.kind == ProblemKind::Forbidden);
    let (Some(document), Some(first)) = (forbidden, epochs.first()) else { return response };
    match rate::entered(&first, refusal, document, None).await {
        Ok(_) => response,
        Err(response) => response,
    }
}

/// What leaves entries comes at the pace of the parties' port; whoever watches the server may look as often as it likes.
async fn paced(epochs: State<Arc<Epochs>>, request: Request, next: Next) -> Response {
    match epochs.first() {
        Some(first) if !Caller::of_request(&request).is_operator() => rate::limited(State(first), request, next).await,
        _ => next.run(request).await,
    }
}

/// `GET /readyz`: the database answers. An epoch that is not open takes the others out of no balancer: `/metrics` has it.
async fn get_ready(epochs: State<Arc<Epochs>>, _operator: Operator) -> Result<&'static str, Problem> {
    for linkage in epochs.all() {
        linkage.store.ping().await?;
    }
    Ok("ready\n")
}

/// `GET /metrics`: of all epochs together.
async fn get_metrics(epochs: State<Arc<Epochs>>, _operator: Operator) -> Result<String, Problem> {
    let mut tables = [
        ("hedui_batches", "state", "Batches by state.", BTreeMap::new()),
        ("hedui_commissions", "state", "Commissions by state.", BTreeMap::new()),
        ("hedui_matches", "release", "Matches by how they reach the office.", BTreeMap::new()),
        ("hedui_jobs_open", "kind", "Jobs that are not done, by kind.", BTreeMap::new()),
        ("hedui_acts", "state", "Acts of operators by state.", BTreeMap::new()),
    ];
    for linkage in epochs.all() {
        let store = &linkage.store;
        let counts = [
            store.batch_counts().await?,
            store.commission_counts().await?,
            store.match_counts().await?,
            store.job_counts().await?,
            store.act_counts(linkage.clock.now()).await?,
        ];
        for ((.., sums), counts) in tables.iter_mut().zip(counts) {
            for (value, count) in counts {
                *sums.entry(value).or_insert(0) += count;
            }
        }
    }
    let mut text = String::new();
    for (name, label, help, sums) in tables {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("a String takes everything");
        for (value, count) in sums {
            writeln!(text, "{name}{{{label}=\"{value}\"}} {count}").expect("a String takes everything");
        }
    }
    let (name, help) = ("hedui_epochs_not_open", "Epochs that operators have opened and this server does not serve.");
    let count = epochs.not_open().await?;
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {count}").expect("a String takes everything");
    Ok(text)
}
