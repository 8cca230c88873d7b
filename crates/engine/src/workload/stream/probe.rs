//! Timed turns of several send methods, and the choice that follows.
//!
//! Enters: what was sent, as it is sent. Leaves: whose turn it is, and in the end the cheapest
//! method and why. The measure is the CPU time of the sending thread per byte, since that is what a
//! method can save; its clock is read once a turn. Zero copy is out where the kernel copied all the
//! same. Nothing here sends.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use podperf_model::plan::SendMethod;

/// Turns that each method gets; the first one warms caches and windows up and does not count.
const TURNS_PER_METHOD: usize = 4;
/// The longest turn; a longer one would measure nothing more.
const MAX_TURN: Duration = Duration::from_millis(25);
/// A turn of fewer calls does not count.
const MIN_CALLS: u64 = 4;
/// Another method is chosen when its cost is at most this share of `write`'s.
const MAX_COST_RATIO: f64 = 0.9;
/// Largest share of zero-copy sends that the kernel may have copied: those at the start, say.
const MAX_COPIED_RATIO: f64 = 0.01;

/// A method, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) method: SendMethod,
    pub(super) reason: String,
}

/// The timed turns of all methods.
#[derive(Debug)]
pub(super) struct MethodProbe {
    turn: Duration,
    /// Turns that have begun, over all methods and rounds.
    begun: usize,
    since: Instant,
    cpu: Duration,
    bytes: u64,
    calls: u64,
    measured: Vec<Measured>,
    refusals: Vec<String>,
}

/// What was measured in the turns of one method.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    method: SendMethod,
    /// CPU time of the sending thread in nanoseconds per byte, by turn.
    costs: Vec<f64>,
    /// Why it is out.
    objection: Option<String>,
}

impl MethodProbe {
    /// Over these methods, for a part of `warm_up`. `refusals` are those that cannot be tried.
    pub(super) fn new(methods: Vec<SendMethod>, refusals: Vec<String>, warm_up: Duration) -> Self {
        let turns = u32::try_from(methods.len() * TURNS_PER_METHOD).unwrap_or(u32::MAX);
        let measured = |method| Measured {
            method,
            costs: Vec::with_capacity(TURNS_PER_METHOD),
            objection: None,
        };
        Self {
            // Half of the warm-up: the window is not to see any of it.
            turn: (warm_up / 2 / turns).min(MAX_TURN),
            begun: 0,
            since: Instant::now(),
            cpu: Duration::ZERO,
            bytes: 0,
            calls: 0,
            measured: methods.into_iter().map(measured).collect(),
            refusals,
        }
    }

    /// The method whose turn it is sent `bytes` by one call.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.calls += 1;
    }

    /// It is time for [`Self::next_turn`].
    pub(super) fn turn_is_over(&self) -> bool {
        self.begun == 0 || self.since.elapsed() >= self.turn
    }

    /// Ends the turn and begins that of the method whose number is returned; nothing when all are
    /// through. `reported` are zero-copy sends so far and those copied.
    pub(super) fn next_turn(&mut self, reported: (u64, u64)) -> Option<usize> {
        let now = thread_cpu();
        if let Some((round, number)) = self.place(self.begun.checked_sub(1))
            && round > 0
            && self.calls >= MIN_CALLS
        {
            let spent = now.saturating_sub(self.cpu);
            #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
            self.measured[number].costs.push(spent.as_secs_f64() * 1e9 / self.bytes as f64);
        }
        (self.since, self.cpu, self.bytes, self.calls) = (Instant::now(), now, 0, 0);
        while let Some((round, number)) = self.place(Some(self.begun)) {
            self.begun += 1;
            let next = &mut self.measured[number];
            if next.method == SendMethod::Zerocopy && round > 0 {
                next.objection = objection(reported);
            }
            if next.objection.is_none() {
                return Some(number);
            }
        }
        if let Some(last) = self.measured.iter_mut().find(|own| own.method == SendMethod::Zerocopy)
        {
            last.objection = objection(reported);
        }
        None
    }

    /// The choice after the turns so far.
    pub(super) fn cheapest(&self) -> Chosen {
        cheapest(&self.measured, &self.refusals)
    }

    /// Round and method of a turn.
    fn place(&self, turn: Option<usize>) -> Option<(usize, usize)> {
        let (turn, methods) = (turn?, self.measured.len());
        (turn < methods * TURNS_PER_METHOD).then(|| (turn / methods, turn % methods))
    }
}

/// What speaks against zero copy: of `done` sends that the kernel reported on, it copied `copied`.
fn objection((done, copied): (u64, u64)) -> Option<String> {
    if done == 0 {
        return Some("zerocopy: the kernel reported on none of its sends".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = copied as f64 / done as f64;
    (share > MAX_COPIED_RATIO)
        .then(|| format!("zerocopy: the kernel copied {copied} of {done} sends all the same"))
}

/// The cheapest method that nothing speaks against; `write` where none is clearly cheaper.
fn cheapest(measured: &[Measured], refusals: &[String]) -> Chosen {
    let cost = |own: &Measured| median(&own.costs).filter(|_| own.objection.is_none());
    let costs: Vec<(SendMethod, f64)> =
        measured.iter().filter_map(|own| Some((own.method, cost(own)?))).collect();
    let figures: Vec<String> =
        costs.iter().map(|(method, cost)| format!("{} {cost:.4} ns/B", method.name())).collect();
    let of = |method| costs.iter().find(|(own, _)| *own == method).map(|(_, cost)| *cost);
    let best = costs.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (method, why) = match (of(SendMethod::Write), best) {
        (Some(write), Some(&(method, cost))) if cost <= MAX_COST_RATIO * write => {
            (method, "the cheapest in CPU time of the sending thread")
        }
        (Some(_), _) => {
            (SendMethod::Write, "none is 10 % cheaper in CPU time of the sending thread")
        }
        (None, _) => (SendMethod::Write, "too few calls in the warm-up to tell which is cheaper"),
    };
    let objections = measured.iter().filter_map(|own| own.objection.clone());
    let remarks: Vec<String> =
        (!figures.is_empty()).then(|| figures.join(", ")).into_iter().chain(objections).collect();
    let remarks = [remarks.as_slice(), refusals].concat().join("; ");
    let reason = if remarks.is_empty() { why.to_owned() } else { format!("{why}: {remarks}") };
    Chosen { method, reason }
}

/// The middle value; the lower one of two.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(method: SendMethod, costs: &[f64]) -> Measured {
        Measured { method, costs: costs.to_vec(), objection: None }
    }

    fn chosen(measured: &[Measured]) -> SendMethod {
        cheapest(measured, &[]).method
    }

    #[test]
    fn write_is_left_for_a_clearly_cheaper_method_alone() {
        let write = measured(SendMethod::Write, &[0.1, 0.1, 0.1]);
        // The median: one turn may be disturbed.
        let close = measured(SendMethod::Sendfile, &[0.01, 0.095, 0.1]);
        assert_eq!(chosen(&[write.clone(), close.clone()]), SendMethod::Write);
        let cheap = measured(SendMethod::Splice, &[0.04, 0.05, 0.9]);
        assert_eq!(chosen(&[write, close, cheap]), SendMethod::Splice);
    }

    #[test]
    fn zero_copy_that_is_copied_is_out_however_cheap() {
        let write = measured(SendMethod::Write, &[0.1]);
        let mut zerocopy = measured(SendMethod::Zerocopy, &[0.001]);
        assert_eq!(chosen(&[write.clone(), zerocopy.clone()]), SendMethod::Zerocopy);
        zerocopy.objection = objection((100, 2));
        let chosen = cheapest(&[write, zerocopy], &["no memfd".to_owned()]);
        assert_eq!(chosen.method, SendMethod::Write);
        assert_eq!(
            chosen.reason,
            "none is 10 % cheaper in CPU time of the sending thread: write 0.1000 ns/B; zerocopy: \
             the kernel copied 2 of 100 sends all the same; no memfd"
        );
        assert_eq!(objection((100, 1)), None);
        assert!(objection((0, 0)).is_some());
    }

    #[test]
    fn without_a_figure_of_write_there_is_nothing_to_compare_with() {
        let splice = measured(SendMethod::Splice, &[0.001]);
        assert_eq!(chosen(&[measured(SendMethod::Write, &[]), splice]), SendMethod::Write);
        assert_eq!(chosen(&[]), SendMethod::Write);
    }

    #[test]
    fn every_method_gets_its_turns_and_a_copied_one_loses_them() {
        let methods = vec![SendMethod::Write, SendMethod::Zerocopy];
        let turns = |reported| {
            let mut probe = MethodProbe::new(methods.clone(), Vec::new(), Duration::from_secs(1));
            let mut turns = Vec::new();
            while let Some(method) = probe.next_turn(reported) {
                turns.push(method);
                (0..MIN_CALLS).for_each(|_| probe.moved(1000));
            }
            (turns, probe.measured.iter().map(|own| own.costs.len()).collect::<Vec<_>>())
        };
        assert_eq!(turns((10, 0)), (vec![0, 1, 0, 1, 0, 1, 0, 1], vec![3, 3]));
        assert_eq!(turns((10, 10)), (vec![0, 1, 0, 0, 0], vec![3, 0]));
    }
}
