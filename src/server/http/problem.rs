//! Problems as HTTP answers (RFC 9457).

use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hedui_protocol::basis::Mismatch;
use hedui_protocol::problem::{MEDIA_TYPE, Problem as Document, ProblemKind};

use super::receipts::Asked;
use crate::server::error::ServerError;

#[derive(Debug)]
pub struct Problem(pub Document);

/// A refusal of a request about people: the log says how many.
#[derive(Debug)]
pub struct RefusedFor(pub Problem, pub Asked);

impl IntoResponse for RefusedFor {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.extensions_mut().insert(self.1);
        response
    }
}

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
        let mut response = (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}
