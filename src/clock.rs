//! The one clock. Who needs the time takes a [`Clock`], so that a test can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// So many seconds ahead of the machine's clock, as a test sets them; and after how long it is to be trusted.
    Ahead(Arc<AtomicI64>, Duration),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Ahead(seconds, _) => Timestamp::now() + SignedDuration::from_secs(seconds.load(Ordering::SeqCst)),
        }
    }

    /// How long it must have run evenly before anything is forgotten by it: one that is set ahead by mistake is set right in
    /// that time.
    pub fn settles(&self) -> Duration {
        match self {
            Self::System => Duration::from_secs(6 * 3600),
            Self::Ahead(_, settles) => *settles,
        }
    }

    /// Today, in this machine's time zone.
    pub fn today(&self) -> Date {
        day(self.now())
    }
}

/// The day of a moment, in this machine's time zone.
pub fn day(moment: Timestamp) -> Date {
    TimeZone::system().to_datetime(moment).date()
}

/// Seconds that a clock may gain or lose between two looks without having been set.
const TOLERANCE: i64 = 10;

/// Whether a clock runs evenly, beside the time that this process has run.
#[derive(Clone, Copy, Debug)]
pub struct Evenness {
    /// When it was first seen, or last seen to have been set.
    since: Instant,
    seen: (Instant, Timestamp),
}

impl Evenness {
    pub fn begin(at: Instant, now: Timestamp) -> Self {
        Self { since: at, seen: (at, now) }
    }

    /// The seconds that it was set by since the last look, if it was; negative where it was set back.
    pub fn look(&mut self, at: Instant, now: Timestamp) -> Option<i64> {
        let (before, then) = std::mem::replace(&mut self.seen, (at, now));
        let run = at.duration_since(before).as_secs().cast_signed();
        let by = now.as_second() - then.as_second() - run;
        if by.abs() <= TOLERANCE {
            return None;
        }
        self.since = at;
        Some(by)
    }

    /// Whether it has run evenly for so long, as of the last look.
    pub fn is_even_for(&self, long: Duration) -> bool {
        self.seen.0.duration_since(self.since) >= long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_and_counts_as_even_only_later() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut clock = Evenness::begin(start, at(1000));
        assert_eq!(clock.look(start + minute, at(1061)), None);
        assert!(clock.is_even_for(minute) && !clock.is_even_for(2 * minute));
        assert_eq!(clock.look(start + 2 * minute, at(1120 + 864_000)), Some(863_999));
        assert!(!clock.is_even_for(Duration::from_secs(1)));
        assert_eq!(clock.look(start + 3 * minute, at(1180)), Some(-864_000));
        assert_eq!(clock.look(start + 5 * minute, at(1310)), None, "a clock that gains ten seconds runs");
        assert!(clock.is_even_for(2 * minute) && !clock.is_even_for(3 * minute));
    }
}
