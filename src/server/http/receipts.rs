//! Every response carries a receipt of the log (SPEC 14.5), and refusals are entries of it.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::{CHECKPOINT_HEADER, Event, RECEIPT_HEADER};
use hedui_protocol::problem::Problem as Document;

use super::caller::Caller;
use super::problem::Problem;
use super::rate;
use crate::server::Linkage;
use crate::server::error::ServerResult;
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

/// Methods that the log names; another is what the caller chose to write.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Who asked for what, if it comes to be refused.
pub struct Refusal {
    caller: Caller,
    request: String,
}

impl Refusal {
    pub fn of(request: &Request) -> Self {
        let method = if METHODS.contains(request.method()) { request.method().as_str() } else { "another method" };
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Self { caller: Caller::of_request(request), request: format!("{method} {path}") }
    }

    pub fn organisation(&self) -> &str {
        &self.caller.organisation
    }

    /// Makes it an entry of the log.
    pub async fn enter(self, linkage: &Linkage, document: &Document, about: Option<Asked>) -> ServerResult<Leaf> {
        let event = Event::Refused {
            organisation: self.caller.organisation,
            role: self.caller.role,
            request: self.request,
            problem: document.kind.uri().to_owned(),
            commission: about.as_ref().and_then(|about| about.commission),
            subjects: about.map(|about| about.subjects),
        };
        Ok(Leaf::Number(linkage.store.note(event, linkage.clock.now()).await?))
    }
}

/// Adds the receipt; without one, what was done is not told as done.
pub async fn receipted(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let before = seen(request.headers());
    let refusal = Refusal::of(&request);
    let mut response = next.run(request).await;
    let refused = response.extensions().get::<Document>().filter(|document| document.kind.is_refusal());
    if let Some(document) = refused {
        let about = response.extensions().get::<Asked>().cloned();
        match rate::entered(&linkage, refusal, document, about).await {
            Ok(leaf) => drop(response.extensions_mut().insert(leaf)),
            Err(response) => return response,
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
