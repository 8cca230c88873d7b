//! Which sessions run at the same time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts the sessions of one port, from start to end.
#[derive(Debug, Default)]
pub(super) struct Overlap(Mutex<SessionCounts>);

#[derive(Debug, Default)]
struct SessionCounts {
    /// Since the server began.
    begun: u32,
    running: u32,
}

/// A session that runs; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct RunningSession<'a> {
    overlap: &'a Overlap,
    /// Others that ran when it began.
    found: u32,
    /// All that had begun then, itself included.
    begun: u32,
}

impl Overlap {
    fn lock(&self) -> MutexGuard<'_, SessionCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session.
    pub(super) fn begin(&self) -> RunningSession<'_> {
        let mut counts = self.lock();
        let found = counts.running;
        counts.running += 1;
        counts.begun = counts.begun.wrapping_add(1);
        RunningSession { overlap: self, found, begun: counts.begun }
    }
}

impl RunningSession<'_> {
    /// How many others have run beside it so far.
    pub(super) fn others(&self) -> u32 {
        self.found.saturating_add(self.overlap.lock().begun.wrapping_sub(self.begun))
    }
}

impl Drop for RunningSession<'_> {
    fn drop(&mut self) {
        self.overlap.lock().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_overlap_know_of_each_other_and_no_others() {
        let overlap = Overlap::default();
        drop(overlap.begin());
        let first = overlap.begin();
        assert_eq!(first.others(), 0);
        let second = overlap.begin();
        assert_eq!((first.others(), second.others()), (1, 1));
        drop(first);
        let third = overlap.begin();
        assert_eq!((second.others(), third.others()), (2, 1));
    }
}
