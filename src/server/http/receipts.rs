//! Every response carries a receipt of the log (SPEC 14.5), and refusals are entries of it.

use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::{CHECKPOINT_HEADER, Event, RECEIPT_HEADER};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::caller::Caller;
use super::problem::Problem;
use crate::server::Linkage;
use crate::server::store::Leaf;

/// An answer, and the entry that the log has of it.
pub struct Logged<A>(pub Leaf, pub A);

impl<A: IntoResponse> IntoResponse for Logged<A> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// What a refused request asked, as far as the log is to say.
#[derive(Clone, Debug)]
pub struct Asked {
    pub commission: Option<CommissionId>,
    pub subjects: u64,
}

/// Adds the receipt; without one, what was done is not told as done.
pub async fn receipted(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let before = seen(request.headers());
    let caller = request.extensions().get::<ConnectInfo<Caller>>().map(|info| info.0.clone()).unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let asked = format!("{} {path}", request.method());
    let mut response = next.run(request).await;
    let refused = response.extensions().get::<Document>().filter(|document| is_refusal(document.kind));
    if let Some(document) = refused {
        let about = response.extensions().get::<Asked>().cloned();
        let event = Event::Refused {
            organisation: caller.organisation,
            role: caller.role,
            request: asked,
            problem: document.kind.uri().to_owned(),
            commission: about.as_ref().and_then(|about| about.commission),
            subjects: about.map(|about| about.subjects),
        };
        match linkage.store.note(event, linkage.clock.now()).await {
            Ok(number) => drop(response.extensions_mut().insert(Leaf::Number(number))),
            Err(error) => return Problem(error.into_problem()).into_response(),
        }
    }
    let leaf = response.extensions().get::<Leaf>();
    match linkage.log.receipt(&linkage.store, before, leaf).await {
        Ok(receipt) => {
            let header = HeaderValue::try_from(receipt.to_header()).expect("base64 is a header's value");
            response.headers_mut().insert(RECEIPT_HEADER, header);
            response
        }
        Err(error) => Problem(error.into_problem()).into_response(),
    }
}

/// The size of the newest tree that the caller has seen; 0 where it has seen none.
fn seen(headers: &HeaderMap) -> u64 {
    let text = headers.get(CHECKPOINT_HEADER).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether somebody asked for what is not theirs, rather than too early or of a server in trouble.
fn is_refusal(kind: ProblemKind) -> bool {
    !matches!(kind, ProblemKind::NotYet | ProblemKind::PartsMissing | ProblemKind::Internal | ProblemKind::StorageFull)
}
