//! The one clock. Who needs the time takes a [`Clock`], so that a test can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that a test moves by hand, in seconds since 1970.
    Set(Arc<AtomicI64>),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Set(seconds) => {
                Timestamp::from_second(seconds.load(Ordering::SeqCst)).expect("a test sets a time within range")
            }
        }
    }
}

impl Clock {
    /// Today, in this machine's time zone.
    pub fn today(&self) -> jiff::civil::Date {
        jiff::tz::TimeZone::system().to_datetime(self.now()).date()
    }
}
