//! How fast one organisation may ask: so many requests a second on average, and some more at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::caller::Caller;
use super::problem::Problem;
use super::receipts::Refusal;
use crate::server::Linkage;

/// Seconds' worth of requests that may come at once.
const BURST: f64 = 4.0;
/// An organisation that goes on too fast is told of in the log so often.
const TELL: Duration = Duration::from_secs(60);

pub struct Rate {
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
    told: Option<Instant>,
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Now,
    Later { tell: bool },
}

impl Rate {
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    fn turn(&self, organisation: &str, now: Instant) -> Turn {
        let most = self.per_second * BURST;
        let mut buckets = self.buckets.lock().expect("no holder of the lock panics");
        if !buckets.contains_key(organisation) {
            buckets.insert(organisation.to_owned(), Bucket { left: most, at: now, told: None });
        }
        let bucket = buckets.get_mut(organisation).expect("it was just put there");
        bucket.left = (bucket.left + now.duration_since(bucket.at).as_secs_f64() * self.per_second).min(most);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Turn::Now;
        }
        let tell = bucket.told.is_none_or(|told| now.duration_since(told) >= TELL);
        if tell {
            bucket.told = Some(now);
        }
        Turn::Later { tell }
    }
}

/// Lets a request through, or has it come again.
pub async fn limited(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let caller = Caller::of_request(&request);
    let Turn::Later { tell } = linkage.rate.turn(&caller.organisation, Instant::now()) else {
        return next.run(request).await;
    };
    let detail = format!("more than {} requests a second come from this organisation", linkage.rate.per_second);
    let document = Document::new(ProblemKind::TooManyRequests, detail);
    if tell {
        tracing::warn!("An organisation asks faster than `--rate` allows; it is told to wait");
        if let Err(error) = Refusal::of(&request).enter(&linkage, &document, None).await {
            return Problem(error.into_problem()).into_response();
        }
    }
    let mut response = Problem(document).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organisation_is_slowed_down_and_others_are_not() {
        let (rate, start) = (Rate::new(10), Instant::now());
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        for _ in 0..40 {
            assert_eq!(rate.turn("a", start), Turn::Now);
        }
        assert_eq!(rate.turn("a", start), Turn::Later { tell: true });
        assert_eq!(rate.turn("a", start), Turn::Later { tell: false });
        assert_eq!(rate.turn("b", start), Turn::Now);
        assert_eq!(rate.turn("a", after(100)), Turn::Now);
        assert_eq!(rate.turn("a", after(100)), Turn::Later { tell: false });
        assert_eq!((0..50).filter(|_| rate.turn("a", after(60_100)) == Turn::Now).count(), 40);
        assert_eq!(rate.turn("a", after(60_100)), Turn::Later { tell: false });
    }
}
