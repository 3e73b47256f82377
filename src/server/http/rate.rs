//! How fast one organisation may ask, and be refused: so many requests a second on average, and some more at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};

use super::problem::Problem;
use super::receipts::{Asked, Refusal};
use crate::server::Linkage;
use crate::server::store::Leaf;

/// Seconds' worth of requests that may come at once.
const BURST: f64 = 4.0;
/// Refusals a second, and at once: each is an entry of the log, for good.
const REFUSALS: f64 = 5.0;
const REFUSALS_AT_ONCE: f64 = 200.0;
/// An organisation that goes on too fast is told of in the log so often.
const TELL: Duration = Duration::from_secs(60);

pub struct Rate {
    per_second: f64,
    at_once: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
    told: Option<Instant>,
}

/// Refusals of one epoch. What asks for people is counted for itself: nothing else that is refused may hide it.
pub struct Refusals {
    of_people: Rate,
    others: Rate,
}

impl Default for Refusals {
    fn default() -> Self {
        let [of_people, others] = [(); 2].map(|()| Rate::new(REFUSALS, REFUSALS_AT_ONCE));
        Self { of_people, others }
    }
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Now,
    Later { tell: bool },
}

impl Rate {
    pub fn of_requests(per_second: u32) -> Self {
        Self::new(f64::from(per_second), f64::from(per_second) * BURST)
    }

    fn new(per_second: f64, at_once: f64) -> Self {
        Self { per_second, at_once, buckets: Mutex::default() }
    }

    fn turn(&self, organisation: &str, now: Instant) -> Turn {
        let most = self.at_once;
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

    /// What was to be told could not be: the next one is.
    fn untold(&self, organisation: &str) {
        let mut buckets = self.buckets.lock().expect("no holder of the lock panics");
        if let Some(bucket) = buckets.get_mut(organisation) {
            bucket.told = None;
        }
    }
}

/// Lets a request through, or has it come again.
pub async fn limited(linkage: State<Arc<Linkage>>, request: Request, next: Next) -> Response {
    let refusal = Refusal::of(&request);
    match linkage.rate.turn(refusal.organisation(), Instant::now()) {
        Turn::Now => next.run(request).await,
        Turn::Later { tell } => later(&linkage, &linkage.rate, "requests", tell.then_some((refusal, None))).await,
    }
}

/// Makes a refusal an entry of the log, unless too many come of one organisation: then it is to ask again, and hears no more
/// than that.
pub async fn entered(
    linkage: &Linkage,
    refusal: Refusal,
    document: &Document,
    about: Option<Asked>,
) -> Result<Leaf, Response> {
    let rate = if about.is_some() { &linkage.refusals.of_people } else { &linkage.refusals.others };
    match rate.turn(refusal.organisation(), Instant::now()) {
        Turn::Now => refusal.enter(linkage, document, about).await.map_err(|why| Problem::from(why).into_response()),
        Turn::Later { tell } => Err(later(linkage, rate, "refused requests", tell.then_some((refusal, about))).await),
    }
}

/// Tells an organisation to wait, and the log that it was told so.
async fn later(linkage: &Linkage, rate: &Rate, what: &str, told: Option<(Refusal, Option<Asked>)>) -> Response {
    let detail = format!("more than {} {what} a second come from this organisation", rate.per_second);
    let document = Document::new(ProblemKind::TooManyRequests, detail);
    if let Some((refusal, about)) = told {
        tracing::warn!("An organisation is told to wait: more than {} {what} a second", rate.per_second);
        let organisation = refusal.organisation().to_owned();
        if let Err(error) = refusal.enter(linkage, &document, about).await {
            rate.untold(&organisation);
            return Problem::from(error).into_response();
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
        let (rate, start) = (Rate::of_requests(10), Instant::now());
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
        rate.untold("a");
        assert_eq!(rate.turn("a", after(60_100)), Turn::Later { tell: true });
    }
}
