//! What comes in floods is counted, and told once in a while: a flood of connections must not be one of log lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const ONCE_IN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Tally(Mutex<State>);

#[derive(Default)]
struct State {
    untold: u64,
    told_at: Option<Instant>,
}

impl Tally {
    /// Counts one more: how many are to be told of, if it is time to.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold += 1;
        if state.told_at.is_some_and(|told_at| now.duration_since(told_at) < ONCE_IN) {
            return None;
        }
        state.told_at = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let (tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.count(start), Some(1));
        assert_eq!(tally.count(start), None);
        assert_eq!(tally.count(start + ONCE_IN / 2), None);
        assert_eq!(tally.count(start + ONCE_IN), Some(3));
    }
}
