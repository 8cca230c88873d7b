//! Waits for the time at which something is due: asleep as long as may be, and awake for no longer
//! than this worker's own wake-ups take.
//!
//! Enters: the plan's way of pacing, and the times. Leaves: waits, the way that was taken, and the
//! time that was spent awake. A thread that sleeps until a time comes late, by the kernel's timer
//! slack and by what a wake-up takes. The first is turned off (PR_SET_TIMERSLACK), the second is
//! learned from every sleep, so that the worker asks to be woken so much earlier.

use std::time::{Duration, Instant};

use super::Worker;
use super::gate::Gate;
use super::schedule::nanoseconds;
use podperf_model::plan::PacingMode;
use podperf_model::result::end_result::ScheduleAdherence;

/// The longest sleep before the phase is read again.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Times at which bursts go out.
pub(in crate::workload) const BURST_TIME: Duration = Duration::from_millis(1);
/// A wake-up that takes longer tells of others who ran meanwhile, not of wake-ups.
const MAX_LEAD_NS: f64 = 200_000.0;
/// What wake-ups take before the first: tens of microseconds.
const FIRST_LEAD_NS: f64 = 30_000.0;
/// Wake-ups after which it is known whether sleeping is exact enough.
const WAKE_UPS_TO_DECIDE: u32 = 256;
/// Share of the time between two sends by which sleeping may be later on average than spinning.
const MAX_LATER_SHARE: f64 = 0.1;

/// A quantile of values that come one after the other, without keeping them: each moves the
/// estimate a step towards itself.
#[derive(Debug, Clone, Copy)]
struct Quantile {
    share: f64,
    estimate: f64,
}

impl Quantile {
    const fn of(share: f64) -> Self {
        Self { share, estimate: FIRST_LEAD_NS }
    }

    fn add(&mut self, value: f64) {
        let step = (self.estimate / 16.0).max(250.0);
        self.estimate += step * if value > self.estimate { self.share } else { self.share - 1.0 };
        self.estimate = self.estimate.clamp(0.0, MAX_LEAD_NS);
    }

    /// By how much a value is beyond it.
    fn excess(&self, value: f64) -> f64 {
        (value - self.estimate).max(0.0)
    }
}

/// The waits of one worker.
#[derive(Debug)]
pub(in crate::workload) struct SendTimer {
    /// What is done; absent: not known yet, and until then as if it were sleeping.
    mode: Option<PacingMode>,
    /// Mean time between two sends, in nanoseconds.
    gap_ns: f64,
    /// When the workers were released; bursts go out at whole milliseconds after it.
    release: Instant,
    /// What a wake-up takes: half of them, and nine tenths, take no longer.
    median: Quantile,
    high: Quantile,
    wake_ups: u32,
    /// Sum over the wake-ups of what they were later than either, in nanoseconds.
    later_ns: [f64; 2],
    /// Time awake inside the window.
    spun: Duration,
    /// When somebody else's sleep was to end.
    asked: Option<Instant>,
    /// Since when somebody else polls.
    polling: Option<Instant>,
}

impl SendTimer {
    /// For `per_second` sends of this worker, on its own thread.
    pub(in crate::workload) fn of(worker: &Worker<'_>, per_second: f64) -> Self {
        // Where it is refused, wake-ups take that much longer, which is learned like the rest.
        let _ = nix::sys::prctl::set_timerslack(1);
        let release = worker.gate().origin().unwrap_or_else(Instant::now);
        Self::new(worker.shared.plan.pacing, 1e9 / per_second, release)
    }

    /// One that has learned nothing yet.
    const fn new(mode: Option<PacingMode>, gap_ns: f64, release: Instant) -> Self {
        Self {
            mode,
            gap_ns,
            release,
            median: Quantile::of(0.5),
            high: Quantile::of(0.9),
            wake_ups: 0,
            later_ns: [0.0; 2],
            spun: Duration::ZERO,
            asked: None,
            polling: None,
        }
    }

    /// For the worker's part of `per_second` sends of all flows; absent: whatever is due at times.
    pub(in crate::workload) fn of_all(worker: &Worker<'_>, per_second: Option<f64>) -> Self {
        /// Of netperf's bursts.
        const USUAL_PER_SECOND: f64 = 1_000.0;
        let flows = f64::from(worker.shared.plan.flows.max(1));
        let own = f64::from(u32::try_from(worker.flows.ids.len()).unwrap_or(u32::MAX));
        Self::of(worker, per_second.map_or(USUAL_PER_SECOND, |all| all * own / flows))
    }

    /// Waits until `due`. The time then; absent: the run was stopped.
    pub(in crate::workload) fn wait_until(&mut self, gate: &Gate, due: Instant) -> Option<Instant> {
        let mut now = Instant::now();
        let due = self.time_to_go(now, due);
        while !gate.stopped() {
            let left = due.saturating_duration_since(now);
            if left.is_zero() {
                return Some(now);
            }
            now = match self.sleep(left) {
                Some(sleep) => {
                    let sleep = sleep.min(STOP_POLL_INTERVAL);
                    std::thread::sleep(sleep);
                    let woken = Instant::now();
                    self.woken(woken.saturating_duration_since(now + sleep));
                    woken
                }
                None => self.spin(gate, now, due),
            };
        }
        None
    }

    /// How long somebody who waits for other things too may sleep before `due`; absent: not at all,
    /// it is too near.
    pub(in crate::workload) fn before(
        &mut self,
        gate: &Gate,
        now: Instant,
        due: Instant,
    ) -> Option<Duration> {
        if let Some(asked) = self.asked.take().filter(|asked| *asked <= now) {
            self.woken(now - asked);
        }
        if let Some(since) = self.polling.take().filter(|_| gate.counting()) {
            self.spun += now.saturating_duration_since(since);
        }
        let left = self.time_to_go(now, due).saturating_duration_since(now);
        let sleep = self.sleep(left);
        match sleep {
            Some(sleep) => self.asked = Some(now + sleep),
            None => self.polling = Some(now),
        }
        sleep
    }

    /// What was taken and spent goes beside how the schedule was kept.
    pub(in crate::workload) fn report(&self, kept: &mut ScheduleAdherence) {
        kept.pacing = Some(self.mode.unwrap_or(PacingMode::Sleep));
        kept.spun_ns = nanoseconds(self.spun);
    }

    /// When what is due at `due` goes out.
    fn time_to_go(&self, now: Instant, due: Instant) -> Instant {
        if self.mode != Some(PacingMode::Burst) || due <= now {
            return due;
        }
        let since = due.saturating_duration_since(self.release);
        let ticks = since.as_nanos().div_ceil(BURST_TIME.as_nanos());
        self.release + BURST_TIME * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// How much of the time that is left is slept.
    fn sleep(&self, left: Duration) -> Option<Duration> {
        let lead_ns = match self.mode {
            Some(PacingMode::Precise) => self.high.estimate,
            Some(PacingMode::Burst) => 0.0,
            Some(PacingMode::Sleep) | None => self.median.estimate,
        };
        let lead = Duration::from_secs_f64(lead_ns / 1e9);
        left.checked_sub(lead).filter(|sleep| !sleep.is_zero())
    }

    /// A sleep ended so much later than was asked for.
    fn woken(&mut self, late: Duration) {
        let late_ns = (late.as_secs_f64() * 1e9).min(MAX_LEAD_NS);
        if self.mode.is_none() {
            self.later_ns[0] += self.median.excess(late_ns);
            self.later_ns[1] += self.high.excess(late_ns);
            self.wake_ups += 1;
            if self.wake_ups == WAKE_UPS_TO_DECIDE {
                let later = (self.later_ns[0] - self.later_ns[1]) / f64::from(self.wake_ups);
                let exact = later <= self.gap_ns * MAX_LATER_SHARE;
                self.mode = Some(if exact { PacingMode::Sleep } else { PacingMode::Precise });
            }
        }
        self.median.add(late_ns);
        self.high.add(late_ns);
    }

    /// Waits awake; the time then.
    fn spin(&mut self, gate: &Gate, begun: Instant, due: Instant) -> Instant {
        let mut now = begun;
        while now < due && !gate.stopped() {
            std::hint::spin_loop();
            now = Instant::now();
        }
        if gate.counting() {
            self.spun += now - begun;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(mode: Option<PacingMode>, gap_us: f64) -> SendTimer {
        SendTimer::new(mode, gap_us * 1e3, Instant::now())
    }

    /// Wake-ups of 50 to 149 µs, in no order.
    fn wake(timer: &mut SendTimer, count: u64) {
        (0..count).for_each(|number| timer.woken(Duration::from_micros(50 + number * 37 % 100)));
    }

    #[test]
    fn a_worker_asks_to_be_woken_so_much_earlier_as_its_wake_ups_take() {
        let us = |timer: &SendTimer| {
            let left = Duration::from_secs(1);
            (left - timer.sleep(left).unwrap()).as_micros()
        };
        for (mode, expected) in [
            (PacingMode::Sleep, 85..115),
            (PacingMode::Precise, 120..155),
            (PacingMode::Burst, 0..1),
        ] {
            let mut timer = timer(Some(mode), 1_000.0);
            wake(&mut timer, 4_000);
            assert!(expected.contains(&us(&timer)), "{mode:?}: {} µs", us(&timer));
            assert_eq!(timer.sleep(Duration::from_micros(80)).is_some(), mode == PacingMode::Burst);
        }
    }

    #[test]
    fn sleeping_is_taken_where_it_is_late_by_little_of_the_time_between_sends() {
        for (gap_us, expected) in [(1_000.0, PacingMode::Sleep), (20.0, PacingMode::Precise)] {
            let mut timer = timer(None, gap_us);
            wake(&mut timer, u64::from(WAKE_UPS_TO_DECIDE) - 1);
            assert_eq!(timer.mode, None);
            wake(&mut timer, 1);
            assert_eq!(timer.mode, Some(expected), "{gap_us}");
        }
    }

    #[test]
    fn bursts_go_out_at_whole_milliseconds() {
        let timer = timer(Some(PacingMode::Burst), 100.0);
        let at = |us| timer.release + Duration::from_micros(us);
        assert_eq!(timer.time_to_go(at(0), at(1)), at(1_000));
        assert_eq!(timer.time_to_go(at(0), at(2_000)), at(2_000));
        assert_eq!(timer.time_to_go(at(10), at(5)), at(5));
    }

    #[test]
    fn the_time_awake_is_counted_in_the_window() {
        let gate = Gate::new();
        gate.start(crate::workload::gate::Phase::Window);
        let mut timer = timer(Some(PacingMode::Precise), 1_000.0);
        let due = Instant::now() + Duration::from_millis(2);
        assert!(timer.wait_until(&gate, due).unwrap() >= due);
        let mut kept = ScheduleAdherence::default();
        timer.report(&mut kept);
        assert_eq!(kept.pacing, Some(PacingMode::Precise));
        assert!(kept.spun_ns <= 2_000_000, "{kept:?}");
        gate.advance(crate::workload::gate::Phase::Stop);
        assert_eq!(timer.wait_until(&gate, Instant::now() + Duration::from_secs(60)), None);
    }
}
