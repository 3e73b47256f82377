//! A connection is answered only as long as its client's certificate would be let in: not revoked, and not ended, since. Then
//! it ends.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::caller::Caller;
use super::connection::Ending;
use super::problem::Problem;
use super::tally::Told;
use crate::server::certificates::Current;

#[derive(Clone)]
pub struct Trust {
    current: Current,
    told: Arc<Told>,
}

pub async fn still(
    State(trust): State<Trust>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Extension(ending): Extension<Ending>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = trust.admit(&caller, &ending) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    // a long request may have outlasted its certificate
    match trust.admit(&caller, &ending) {
        Ok(()) => response,
        Err(problem) => problem.into_response(),
    }
}

impl Trust {
    pub fn new(current: Current, told: Arc<Told>) -> Self {
        Self { current, told }
    }

    fn admit(&self, caller: &Caller, ending: &Ending) -> Result<(), Problem> {
        let certificates = self.current.borrow().clone();
        certificates.side.admits(caller.chain()).map_err(|why| {
            if ending.begin() {
                self.told.untrusted.count(why);
            }
            Problem(Document::new(ProblemKind::Forbidden, "the certificate of this connection no longer holds"))
        })
    }
}
