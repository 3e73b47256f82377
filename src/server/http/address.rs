//! What a request's address says: ids of the path, numbers of the query. What does not read is never repeated.

use axum::extract::rejection::PathRejection;
use axum::extract::{self, FromRequestParts};
use axum::http::Uri;
use axum::http::request::Parts;
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Parts of the path. One that does not read names nothing that is there.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = extract::Path::from_request_parts(parts, state).await;
        read.map(|extract::Path(read)| Self(read)).map_err(|_: PathRejection| not_found())
    }
}

/// Parameters of the query, each of which may be left out. Others than the route's mean nothing.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        read(query).map(Self).ok_or_else(|| {
            // alone as well, a parameter of the route does not read
            let wrong = query.split('&').find(|pair| read::<T>(pair).is_none());
            let detail = match wrong.and_then(|pair| pair.split('=').next()) {
                Some(name) => format!("`{name}` in the query is no number that this route takes"),
                None => "a number stands in the query twice".to_owned(),
            };
            Problem(Document::new(ProblemKind::Malformed, detail))
        })
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Option<T> {
    let address = Uri::builder().path_and_query(format!("/?{query}")).build().ok()?;
    extract::Query::try_from_uri(&address).ok().map(|extract::Query(read)| read)
}

/// What is not there, and what is not the caller's, answer alike.
pub fn not_found() -> Problem {
    Problem(Document::new(ProblemKind::NotFound, "there is no such thing for this caller"))
}

/// For a path that is no route's.
pub fn no_route() -> Problem {
    Problem(Document::new(ProblemKind::NotFound, "there is no such route"))
}

/// For a route that is asked with another method.
pub fn other_method() -> Problem {
    Problem(Document::new(ProblemKind::MethodNotAllowed, "the route is not asked with this method"))
}
