//! When a sink that is away is tried again.

use std::time::Duration;

const MIN_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Waits between attempts, each twice as long as the one before.
#[derive(Debug, Default)]
pub(crate) struct RetryWaits {
    last: Option<Duration>,
}

impl RetryWaits {
    /// How long to wait now; no shorter than what was `asked` for.
    pub(crate) fn next_wait(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.last.map_or(MIN_WAIT, |last| last.saturating_mul(2).min(MAX_WAIT));
        self.last = Some(wait);
        wait.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_no_shorter_than_what_was_asked_for() {
        let mut backoff = RetryWaits::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait(None).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.next_wait(Some(MAX_WAIT * 2)), MAX_WAIT * 2);
    }
}
