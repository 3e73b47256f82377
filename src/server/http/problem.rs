//! Problems as HTTP answers (RFC 9457).

use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hedui_protocol::basis::Mismatch;
use hedui_protocol::problem::{MEDIA_TYPE, Problem as Document, ProblemKind};

use crate::server::error::ServerError;

#[derive(Debug)]
pub struct Problem(pub Document);

impl From<ServerError> for Problem {
    fn from(error: ServerError) -> Self {
        Self(error.into_problem())
    }
}

impl From<Document> for Problem {
    fn from(document: Document) -> Self {
        Self(document)
    }
}

impl From<Mismatch> for Problem {
    fn from(mismatch: Mismatch) -> Self {
        Self(Document::new(ProblemKind::ManifestMismatch, mismatch.to_string()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).expect("every problem has an HTTP status");
        let body = serde_json::to_vec(&self.0).expect("a problem is JSON");
        (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
    }
}
