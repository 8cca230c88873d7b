//! The gate every worker waits at and watches: which phase the run is in.
//!
//! One writer (the engine), many readers. A worker reads it once a step, relaxed, from a cache line
//! that changes a handful of times in a run.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crossbeam_utils::CachePadded;

/// Phases of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Connected and prepared; nothing moves.
    Hold = 0,
    /// Moving, not counted.
    WarmUp = 1,
    /// Moving and counted.
    Window = 2,
    /// Still moving while both ends take their closing readings; not counted.
    Tail = 3,
    /// Senders and requesters stop; receivers read to the end.
    Stop = 4,
    /// What still runs is broken off by this end.
    Cut = 5,
}

/// Holds workers until the common start, and publishes the phase of the run.
#[derive(Debug, Default)]
pub struct Gate {
    phase: CachePadded<AtomicU8>,
    origin: OnceLock<Instant>,
    opened: OnceLock<Instant>,
    closed: OnceLock<Instant>,
    waiting: Mutex<()>,
    moved: Condvar,
}

impl Gate {
    /// A gate in [`Phase::Hold`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Releases the workers. The clock of this end's readings starts here.
    pub fn start(&self, phase: Phase) {
        self.origin.get_or_init(Instant::now);
        self.advance(phase);
    }

    /// Moves on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        match phase {
            Phase::Hold | Phase::WarmUp => {}
            Phase::Window => _ = self.opened.get_or_init(Instant::now),
            Phase::Tail | Phase::Stop | Phase::Cut => _ = self.closed.get_or_init(Instant::now),
        }
        let _held = self.lock();
        self.phase.fetch_max(phase as u8, Ordering::Release);
        self.moved.notify_all();
    }

    /// When the workers were released.
    #[must_use]
    pub fn origin(&self) -> Option<Instant> {
        self.origin.get().copied()
    }

    /// When the window opened.
    #[must_use]
    pub fn opened_at(&self) -> Option<Instant> {
        self.opened.get().copied()
    }

    /// When the window closed.
    #[must_use]
    pub fn closed_at(&self) -> Option<Instant> {
        self.closed.get().copied()
    }

    /// Waits for the start. False: the run was stopped before it started.
    #[must_use]
    pub fn wait(&self) -> bool {
        let mut held = self.lock();
        while self.load() == Phase::Hold as u8 {
            held = self.moved.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        !self.stopped()
    }

    /// The run is over for senders and requesters.
    #[inline]
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.load() >= Phase::Stop as u8
    }

    /// What ends now ends because this end broke it off.
    #[must_use]
    pub fn cut(&self) -> bool {
        self.load() == Phase::Cut as u8
    }

    /// Moving, and nothing counts yet.
    #[must_use]
    pub fn warming_up(&self) -> bool {
        self.load() == Phase::WarmUp as u8
    }

    /// Transactions that end now count.
    #[inline]
    #[must_use]
    pub fn counting(&self) -> bool {
        self.load() == Phase::Window as u8
    }

    #[inline]
    fn load(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    /// A panic elsewhere leaves nothing half-done under this lock, so poison does not matter.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_move_forward() {
        let gate = Gate::new();
        gate.start(Phase::WarmUp);
        assert!(gate.wait());
        gate.advance(Phase::Window);
        assert!(gate.counting());
        gate.advance(Phase::Stop);
        gate.advance(Phase::Window);
        assert!(gate.stopped() && !gate.cut());
        gate.advance(Phase::Cut);
        assert!(gate.stopped() && gate.cut());
    }

    #[test]
    fn a_run_stopped_before_its_start_releases_its_workers() {
        let gate = Gate::new();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| gate.wait());
            gate.advance(Phase::Stop);
            assert!(!worker.join().unwrap());
        });
    }
}
