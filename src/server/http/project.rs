//! `/v1/project`: which manifest the server runs.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use hedui_protocol::messages::Project;

use super::State;
use super::caller::Party;
use crate::server::Linkage;

pub fn routes() -> Router<Arc<Linkage>> {
    Router::new().route("/v1/project", get(get_project))
}

/// `GET /v1/project`.
async fn get_project(linkage: State, _party: Party) -> Json<Project> {
    let manifest = &linkage.project.manifest;
    Json(Project {
        manifest: manifest.id(),
        project: manifest.project.clone(),
        epoch: manifest.epoch.clone(),
        signed_by: linkage.project.signed_by(),
    })
}
