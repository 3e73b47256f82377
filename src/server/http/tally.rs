//! What comes in floods is counted, and told once in a while: a flood of connections must not be one of log lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const ONCE_IN: Duration = Duration::from_secs(10);
/// Between looks at what there is to tell.
const LOOK: Duration = Duration::from_secs(1);

/// What is told of so.
#[derive(Default)]
pub struct Told {
    pub crowded: Tally,
    pub failed: Tally,
    pub slow: Tally,
    pub too_many: Tally,
    pub untrusted: Tally,
}

#[derive(Default)]
pub struct Tally(Mutex<State>);

#[derive(Default)]
struct State {
    untold: u64,
    last: String,
    told_at: Option<Instant>,
}

impl Told {
    /// Tells of each, the first at once and the others together, as long as the server runs.
    pub async fn tell_on(&self) {
        loop {
            self.tell(Instant::now());
            tokio::time::sleep(LOOK).await;
        }
    }

    fn tell(&self, now: Instant) {
        if let Some((count, _)) = self.crowded.due(now) {
            tracing::warn!("Connections were closed in their handshake, to make room for others: {count}");
        }
        if let Some((count, why)) = self.failed.due(now) {
            tracing::info!("TLS handshakes failed: {count}, the last: {why}");
        }
        if let Some((count, _)) = self.slow.due(now) {
            tracing::info!("TLS handshakes took too long: {count}");
        }
        if let Some((count, _)) = self.too_many.due(now) {
            tracing::warn!("Connections were closed, their organisation or all have too many: {count}");
        }
        if let Some((count, why)) = self.untrusted.due(now) {
            tracing::info!("Certificates no longer held, their connections were ended: {count}, the last: {why}");
        }
    }
}

impl Tally {
    /// Counts one more, and why.
    pub fn count(&self, why: impl ToString) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold += 1;
        state.last = why.to_string();
    }

    /// How many are to be told of, if there are any and it is time to, and why the last one was.
    fn due(&self, now: Instant) -> Option<(u64, String)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.untold == 0 || state.told_at.is_some_and(|told_at| now.duration_since(told_at) < ONCE_IN) {
            return None;
        }
        state.told_at = Some(now);
        Some((std::mem::take(&mut state.untold), std::mem::take(&mut state.last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let (tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.due(start), None);
        tally.count("one");
        assert_eq!(tally.due(start), Some((1, "one".to_owned())));
        tally.count("two");
        tally.count("three");
        assert_eq!(tally.due(start + ONCE_IN / 2), None);
        // though no other came
        assert_eq!(tally.due(start + ONCE_IN), Some((2, "three".to_owned())));
        assert_eq!(tally.due(start + ONCE_IN + ONCE_IN), None);
    }
}
