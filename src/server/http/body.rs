//! Bodies: read within their limit, parsed once; what does not parse is told by its place, never by its content.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::StatusCode;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::pace::too_slow;
use super::problem::Problem;
use crate::server::Linkage;
use crate::server::error::ServerError;

/// The largest JSON body; a part may be as long as its batch header says.
pub const JSON_BYTES: u64 = 256 << 20;

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Json<T>
where
    Arc<Linkage>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let linkage = Arc::<Linkage>::from_ref(state);
        let length = request.body().size_hint().upper().unwrap_or(JSON_BYTES);
        if length > JSON_BYTES {
            return Err(too_large());
        }
        let caller = Caller::of_request(&request);
        // bodies that are under way may together fill only so much memory; one that does not tell its length may be the largest
        let _room = linkage.room.take(&caller.organisation, length).await;
        let bytes = whole(request, state).await?;
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

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ if too_slow(&rejection) => slow(),
        _ => Problem(Document::new(ProblemKind::Malformed, "the body ended before it was whole")),
    })
}

fn too_large() -> Problem {
    Problem(Document::new(ProblemKind::TooLarge, "the body is larger than this route takes"))
}

/// The line may be bad: the same may be sent again.
pub fn slow() -> Problem {
    Problem(Document::new(ProblemKind::Internal, "the body came too slowly"))
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
