//! What fails again and again is told once in a while, and at once where the reason is another.

use std::time::{Duration, Instant};

/// What fails each time for the same reason is told so often.
const TELL: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Telling(Option<(String, Instant)>);

impl Telling {
    /// Whether this reason is to be told now.
    pub fn is_due(&mut self, why: &str, now: Instant) -> bool {
        let known = self.0.as_ref().is_some_and(|(known, told)| known == why && now.duration_since(*told) < TELL);
        if !known {
            self.0 = Some((why.to_owned(), now));
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_a_minute_and_another_one_at_once() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        assert!(telling.is_due("the bucket is away", start));
        assert!(!telling.is_due("the bucket is away", start + TELL / 2));
        assert!(telling.is_due("a part is missing", start + TELL / 2));
        assert!(!telling.is_due("a part is missing", start + TELL));
        assert!(telling.is_due("a part is missing", start + TELL / 2 + TELL));
    }
}
