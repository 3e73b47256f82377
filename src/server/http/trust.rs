//! A connection is answered only as long as its client's certificate would be let in: not revoked, and not ended, since.

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::caller::Caller;
use super::problem::Problem;
use crate::server::certificates::Current;

pub async fn still(
    State(current): State<Current>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = admit(&current, &caller) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    // a long request may have outlasted its certificate
    match admit(&current, &caller) {
        Ok(()) => response,
        Err(problem) => problem.into_response(),
    }
}

fn admit(current: &Current, caller: &Caller) -> Result<(), Problem> {
    let certificates = current.borrow().clone();
    certificates.side.admits(caller.chain()).map_err(|why| {
        tracing::info!("A certificate no longer holds, its connection is not answered: {why}");
        Problem(Document::new(ProblemKind::Forbidden, "the certificate of this connection no longer holds"))
    })
}
