//! Long polling: a request waits until there is something to say, so that nobody asks in a loop.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::server::Linkage;

/// Longest wait, in seconds.
const LONGEST: u64 = 60;
/// What another server of the database does is not told here: it is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// `?wait=SECONDS`: how long the caller would wait; not at all where it does not say.
#[derive(Clone, Copy, Deserialize)]
pub struct Wait {
    #[serde(default)]
    wait: u64,
}

impl Wait {
    /// To be called before the first look: what happens after it is not missed.
    pub fn begin(self, linkage: &Linkage) -> Waiting {
        let end = Instant::now() + Duration::from_secs(self.wait.min(LONGEST));
        Waiting { end, done: linkage.wake.done.subscribe(), stop: linkage.stop.subscribe() }
    }
}

/// A request that waits.
pub struct Waiting {
    end: Instant,
    done: watch::Receiver<u64>,
    /// A server that ends answers as it is.
    stop: watch::Receiver<bool>,
}

impl Waiting {
    /// Waits until there may be something new; false when time is up.
    pub async fn again(&mut self) -> bool {
        if *self.stop.borrow() || Instant::now() >= self.end {
            return false;
        }
        let news = async {
            tokio::select! { _ = self.done.changed() => {}, _ = self.stop.changed() => {} }
        };
        let _ = timeout_at(self.end.min(Instant::now() + LOOK), news).await;
        true
    }
}
