//! Which epoch a request is about: the one whose manifest its header names, or the one that the server was started with.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::ids::ManifestId;
use hedui_protocol::messages::MANIFEST_HEADER;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use tower::ServiceExt as _;

use super::caller::Caller;
use super::problem::Problem;
use crate::server::Linkage;
use crate::server::epochs::Epochs;

/// The routes of each epoch, made when it is first asked for.
#[derive(Clone)]
struct Doors {
    epochs: Arc<Epochs>,
    routes: Arc<RwLock<HashMap<ManifestId, Router>>>,
    /// Makes an epoch's, with everything that a request passes.
    make: fn(Arc<Linkage>, Router<Arc<Linkage>>) -> Router,
    all: fn() -> Router<Arc<Linkage>>,
}

/// Routes that lead to those of the epoch that a request names.
pub fn routes(
    epochs: Arc<Epochs>,
    all: fn() -> Router<Arc<Linkage>>,
    make: fn(Arc<Linkage>, Router<Arc<Linkage>>) -> Router,
) -> Router {
    Router::new().fallback(enter).with_state(Doors { epochs, routes: Arc::default(), make, all })
}

async fn enter(State(doors): State<Doors>, request: Request) -> Response {
    match doors.lead(&request) {
        Some(routes) => routes.oneshot(request).await.into_response(),
        None => Problem(Document::new(ProblemKind::Internal, "the server stops")).into_response(),
    }
}

impl Doors {
    fn lead(&self, request: &Request) -> Option<Router> {
        let first = self.epochs.first()?;
        let Some(named) = request.headers().get(MANIFEST_HEADER) else { return Some(self.of(first)) };
        let named: Option<ManifestId> = named.to_str().ok().and_then(|text| text.parse().ok());
        if let Some(linkage) = named.and_then(|named| self.epochs.of(named)) {
            return Some(self.of(linkage));
        }
        // a party that brings a basis hears what of it differs
        let (newest, caller) = (self.epochs.all().pop()?, Caller::of_request(request));
        if brings_a_basis(request) && is_party(&newest, &caller) {
            return Some(self.of(newest));
        }
        // a refusal is paced, logged and proved as any other
        let epochs = Arc::clone(&self.epochs);
        let unknown = async move |caller: ConnectInfo<Caller>| unknown(&epochs, &caller.0);
        Some((self.make)(first, Router::new().fallback(unknown)))
    }

    fn of(&self, linkage: Arc<Linkage>) -> Router {
        let manifest = linkage.project.manifest.id();
        if let Some(routes) = self.routes.read().expect("no holder of the lock panics").get(&manifest) {
            return routes.clone();
        }
        let routes = (self.make)(linkage, (self.all)());
        self.routes.write().expect("no holder of the lock panics").insert(manifest, routes.clone());
        routes
    }
}

/// Whether the body names schema, epoch and linkage key too (SPEC 3.4).
fn brings_a_basis(request: &Request) -> bool {
    request.method() == Method::POST && matches!(request.uri().path(), "/v1/batches" | "/v1/commissions")
}

/// Whether the caller is a party of the epoch that has signed its manifest.
fn is_party(linkage: &Linkage, caller: &Caller) -> bool {
    let (project, organisation) = (&linkage.project, &caller.organisation);
    project.agency_of(organisation).is_ok() || project.office_of(organisation).is_ok()
}

/// Which manifests the server runs is told to their parties.
fn unknown(epochs: &Epochs, caller: &Caller) -> Problem {
    let all = epochs.all();
    let is_partys = all.iter().any(|linkage| is_party(linkage, caller));
    let mut detail = "the server does not run the manifest that the request is made under".to_owned();
    if is_partys || matches!(caller.role.as_str(), "operator" | "auditor") {
        let named = |linkage: &Arc<Linkage>| {
            let manifest = &linkage.project.manifest;
            format!("manifest {} (epoch `{}`)", manifest.id(), manifest.epoch)
        };
        let running: Vec<String> = all.iter().map(named).collect();
        detail = format!("{detail}: it runs {}", running.join(", "));
    }
    Problem(Document::new(ProblemKind::ManifestMismatch, detail))
}

/// Of an epoch that was erased, only its log, its acts and its manifest's name can be asked for.
pub async fn unless_erased(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let stays = matches!(path, "/v1/log" | "/v1/project" | "/v1/retention") || path.starts_with("/v1/acts");
    if linkage.is_erased() && !(stays && request.method() == Method::GET) {
        let detail = format!("epoch `{}` was erased", linkage.project.manifest.epoch);
        return Problem(Document::new(ProblemKind::Erased, detail)).into_response();
    }
    next.run(request).await
}
