//! Which epoch a request is about: the one whose manifest its header names, or the one that the server was started with.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::ids::ManifestId;
use hedui_protocol::messages::MANIFEST_HEADER;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use tower::ServiceExt as _;

use super::problem::Problem;
use crate::server::Linkage;
use crate::server::epochs::Epochs;

/// The routes of each epoch, made when it is first asked for.
#[derive(Clone)]
struct Doors {
    epochs: Arc<Epochs>,
    routes: Arc<RwLock<HashMap<ManifestId, Router>>>,
    make: fn(Arc<Linkage>) -> Router,
}

/// Routes that lead to those of the epoch that a request names.
pub fn routes(epochs: Arc<Epochs>, make: fn(Arc<Linkage>) -> Router) -> Router {
    Router::new().fallback(enter).with_state(Doors { epochs, routes: Arc::default(), make })
}

async fn enter(State(doors): State<Doors>, request: Request) -> Response {
    match doors.lead(&request) {
        Ok(routes) => routes.oneshot(request).await.into_response(),
        Err(problem) => problem.into_response(),
    }
}

impl Doors {
    fn lead(&self, request: &Request) -> Result<Router, Problem> {
        let linkage = match request.headers().get(MANIFEST_HEADER) {
            None => self.epochs.first(),
            Some(named) => {
                let named: Option<ManifestId> = named.to_str().ok().and_then(|text| text.parse().ok());
                let found = named.and_then(|named| self.epochs.of(named));
                // whoever brings a basis hears what of it differs
                found.or_else(|| brings_a_basis(request).then(|| self.newest())).ok_or_else(|| self.unknown())?
            }
        };
        let manifest = linkage.project.manifest.id();
        if let Some(routes) = self.routes.read().expect("no holder of the lock panics").get(&manifest) {
            return Ok(routes.clone());
        }
        let routes = (self.make)(linkage);
        self.routes.write().expect("no holder of the lock panics").insert(manifest, routes.clone());
        Ok(routes)
    }

    fn newest(&self) -> Arc<Linkage> {
        self.epochs.all().pop().unwrap_or_else(|| self.epochs.first())
    }

    fn unknown(&self) -> Problem {
        let running: Vec<String> = self.epochs.all().iter().map(|linkage| named_epoch(linkage)).collect();
        let running = running.join(", ");
        let detail = format!("the server does not run the manifest that the request is made under: it runs {running}");
        Problem(Document::new(ProblemKind::ManifestMismatch, detail))
    }
}

/// Whether the body names schema, epoch and linkage key too (SPEC 3.4).
fn brings_a_basis(request: &Request) -> bool {
    request.method() == Method::POST && matches!(request.uri().path(), "/v1/batches" | "/v1/commissions")
}

fn named_epoch(linkage: &Linkage) -> String {
    let manifest = &linkage.project.manifest;
    format!("manifest {} (epoch `{}`)", manifest.id(), manifest.epoch)
}

/// Of an epoch that was erased, only its log, its acts and its manifest's name can be asked for.
pub async fn unless_erased(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let stays = path == "/v1/log" || path == "/v1/project" || path.starts_with("/v1/acts");
    if linkage.is_erased() && !(stays && request.method() == Method::GET) {
        let detail = format!("epoch `{}` was erased", linkage.project.manifest.epoch);
        return Problem(Document::new(ProblemKind::Erased, detail)).into_response();
    }
    next.run(request).await
}
