//! Bodies: read within their limit, parsed once; what does not parse is told by its place, never by its content.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Path, Request};
use axum::http::StatusCode;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::server::error::ServerError;

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Raw::from_request(request, state).await?.0;
        // a large body must not hold up everybody else's requests
        let parsed = tokio::task::spawn_blocking(move || parse_json(&bytes)).await.map_err(ServerError::failed)?;
        Ok(Self(parsed?))
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Document> {
    serde_json::from_slice(bytes).map_err(|e| {
        let place = format!("line {}, column {}", e.line(), e.column());
        Document::new(ProblemKind::Malformed, format!("the body does not read as JSON of this route: {place}"))
    })
}

/// A body as it came.
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection: BytesRejection| {
            let (kind, detail) = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => (ProblemKind::TooLarge, "the body is larger than this route takes"),
                _ => (ProblemKind::Malformed, "the body ended before it was whole"),
            };
            Problem(Document::new(kind, detail))
        })
    }
}

/// An id of the path; one that does not read names nothing that is there.
pub fn id<T: std::str::FromStr>(Path(text): Path<String>) -> Result<T, Problem> {
    parse(&text)
}

pub fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| not_found())
}

/// What is not there, and what is not the caller's, answer alike.
pub fn not_found() -> Problem {
    Problem(Document::new(ProblemKind::NotFound, "there is no such thing for this caller"))
}

#[cfg(test)]
mod tests {
    use hedui_protocol::messages::Answers;

    use super::*;

    #[test]
    fn a_body_that_does_not_read_is_told_its_place_and_not_its_value() {
        let problem = parse_json::<Answers>(br#"{"answers": "110105194912310021"}"#).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Malformed);
        assert!(problem.detail.contains("line 1"), "{}", problem.detail);
        assert!(!problem.detail.contains("1101"), "{}", problem.detail);
    }
}
