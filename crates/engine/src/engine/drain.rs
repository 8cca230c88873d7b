//! The time after the stop, in which receivers read what is still under way: as long as it moves,
//! and no longer than a slow link may take.

use std::time::{Duration, Instant};

use super::Engine;
use super::stall::StandstillWatch;

/// A drain of which nothing comes for so long is over, or for so many round trips.
const MIN_PATIENCE: Duration = Duration::from_secs(2);
const ROUND_TRIPS: u32 = 8;
const MAX_PATIENCE: Duration = Duration::from_secs(10);
/// However slow the link is.
pub const MAX_DRAIN: Duration = Duration::from_secs(120);
/// Between two looks, at first and at last.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Follows one drain.
#[derive(Debug)]
pub struct DrainWatch {
    begun: Instant,
    most: Duration,
    stall: StandstillWatch,
}

impl DrainWatch {
    /// Begins now with an engine that is winding down; ends after `most` in any case.
    #[must_use]
    pub fn new(engine: &Engine, most: Duration) -> Self {
        let round_trip = engine.longest_round_trip();
        let patience = (round_trip * ROUND_TRIPS).clamp(MIN_PATIENCE, MAX_PATIENCE);
        let mut stall = StandstillWatch::new(patience);
        // What has moved so far is no progress of the drain.
        stall.is_stalled(engine);
        Self { begun: Instant::now(), most, stall }
    }

    /// When to look the next time: soon at first, since most drains take no time.
    #[must_use]
    pub fn due(&self) -> Instant {
        let [least, most] = POLL_INTERVALS;
        Instant::now() + (self.begun.elapsed() / 16).clamp(least, most)
    }

    /// Something is still under way and moves.
    pub fn goes_on(&mut self, engine: &Engine) -> bool {
        engine.draining() && self.begun.elapsed() < self.most && !self.stall.is_stuck(engine)
    }

    /// Something moved when it was looked at last.
    #[must_use]
    pub const fn moves(&self) -> bool {
        self.stall.moves()
    }

    /// The other end says that its part of the drain goes on.
    pub fn note_progress(&mut self) {
        self.stall.note_progress();
    }
}

impl Engine {
    /// Some worker has not come to its end, or some peer has not acknowledged all that was sent.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.pool.running() || !self.pool.unfinished().is_empty()
    }

    /// The longest round trip of a connection, smoothed, with what it varies by.
    fn longest_round_trip(&self) -> Duration {
        let us = self
            .tcp_infos()
            .map(|info| u64::from(info.rtt_us) + 4 * u64::from(info.rttvar_us))
            .max();
        Duration::from_micros(us.unwrap_or(0))
    }
}
