//! Bodies that come too slowly are cut off: who drips keeps a connection and its memory from nobody for long.

use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::{Instant, Sleep};

/// A body may take this long whatever its length, from when it is first asked for,
const AT_ONCE: Duration = Duration::from_secs(10);
/// and must come at least this fast, bytes a second, beyond that.
const PACE: u64 = 16 << 10;

/// The body was cut off; its client may be on a bad line, and send it again.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body came too slowly")
    }
}

impl Error for TooSlow {}

/// Whether this is why a body did not become whole.
pub fn too_slow(error: &(dyn Error + 'static)) -> bool {
    error.is::<TooSlow>() || error.source().is_some_and(too_slow)
}

pub async fn paced(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(Paced { body, clock: None, bytes: 0 }))).await
}

struct Paced {
    body: Body,
    /// When it was first asked for, and when it ends.
    clock: Option<(Instant, Pin<Box<Sleep>>)>,
    bytes: u64,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(|frame| frame.data_ref())
            {
                this.bytes += data.len() as u64;
            }
            return Poll::Ready(frame);
        }
        let (since, end) = this.clock.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + AT_ONCE)))
        });
        let until = *since + AT_ONCE + Duration::from_millis(this.bytes * 1000 / PACE);
        if until != end.deadline() {
            end.as_mut().reset(until);
        }
        end.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
