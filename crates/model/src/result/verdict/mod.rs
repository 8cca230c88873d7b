//! What bound a run, and the readings that say so.
//!
//! Enters: a merged [`Run`]. Leaves: a [`Verdict`]; `unclear`, with what was looked at, when the
//! readings do not tell. The tests run in this order, and the first that holds decides:
//!
//! 1. A ceiling that was asked for and reached explains the figure whatever else was busy: pacing,
//!    then the offered rate of an open loop, then the device's line rate.
//! 2. A quota stops every thread at once and makes all CPU shares below look idle.
//! 3. One CPU full of softirqs starves a receiver whose own CPU is not full.
//! 4. Full CPUs: of a machine shared by both ends, told apart only by process figures; else of the
//!    fuller end. They come before TCP's own account, because a receiver without CPU closes its
//!    window and a sender without CPU leaves its buffer empty.
//! 5. What the path did to TCP's congestion window, or to datagrams: `loss` where segments were
//!    lost and no queue stood, `path` where a queue or a shaper held them, or datagrams were lost
//!    on the way. Where both ends share a machine, podperf's processes must have had CPU to spare:
//!    what waits for a CPU looks like a queue.
//! 6. The generator's own ceiling over loopback, where a calibration tells it. Between two machines
//!    it comes after a full end, because loopback shares one machine's CPUs and so understates; on
//!    one machine before it, because there full CPUs are what the ceiling is made of.
//! 7. TCP's account of what held the sender back: receive window, send buffer; before the busy CPUs
//!    of a shared machine where it is not podperf that fills them.
//! 8. A closed loop with CPU to spare on both ends waits for the round trip.

mod ceiling;
mod cpu;
mod path;

use crate::result::run::{Bound, Limited, Run, Verdict};
use crate::result::span::float;

/// Share of the busy time that TCP was limited by one cause, from which on it bound the run.
const MIN_LIMITED_SHARE: f64 = 0.5;

/// Share of the requests a closed loop may have in flight that must be, for the round trip to be
/// what it waits for.
const MIN_IN_FLIGHT_SHARE: f64 = 0.5;

/// What bound `run`.
#[must_use]
pub fn judge(run: &Run) -> Verdict {
    if run.throughput.is_none() {
        return unclear(vec!["nothing was measured".to_owned()]);
    }
    const TESTS: &[fn(&Run) -> Option<Verdict>] = &[
        ceiling::pacing,
        ceiling::offered_rate,
        ceiling::link,
        cpu::quota,
        cpu::softirq_core,
        cpu::full_end,
        path::loss,
        path::path,
        ceiling::generator,
        cpu::full_process,
        |run| cpu::plenty(run).then(|| tcp_limits(run)).flatten(),
        cpu::full_machine,
        tcp_limits,
        round_trip,
    ];
    TESTS.iter().find_map(|test| test(run)).unwrap_or_else(|| unclear(looked_at(run)))
}

const fn unclear(evidence: Vec<String>) -> Verdict {
    Verdict { bound_by: Bound::Unclear, evidence }
}

fn bound(bound_by: Bound, evidence: impl Into<String>) -> Verdict {
    Verdict { bound_by, evidence: vec![evidence.into()] }
}

/// The mean over all streams of what TCP says held their senders back.
fn mean_limits(run: &Run) -> Option<Limited> {
    let all: Vec<Limited> = run.streams.iter().filter_map(|stream| stream.limited).collect();
    let mean = |of: fn(&Limited) -> f64| {
        #[expect(clippy::cast_precision_loss, reason = "a number of streams")]
        let count = all.len() as f64;
        all.iter().map(of).sum::<f64>() / count
    };
    (!all.is_empty()).then(|| Limited {
        busy: mean(|limited| limited.busy),
        receive_window: mean(|limited| limited.receive_window),
        send_buffer: mean(|limited| limited.send_buffer),
    })
}

fn tcp_limits(run: &Run) -> Option<Verdict> {
    if run.plan.workload.transacts() {
        return None;
    }
    let limits = mean_limits(run).filter(|limits| limits.busy > 0.0)?;
    let (by, share, name) = if limits.receive_window >= limits.send_buffer {
        (Bound::ReceiveWindow, limits.receive_window / limits.busy, "receive window")
    } else {
        (Bound::SendBuffer, limits.send_buffer / limits.busy, "send buffer")
    };
    (share >= MIN_LIMITED_SHARE).then(|| {
        bound(by, format!("TCP waited for the {name} {:.0} % of its busy time", 100.0 * share))
    })
}

fn round_trip(run: &Run) -> Option<Verdict> {
    let burst = run.plan.workload.in_flight()?;
    let transactions = run.transactions.as_ref().filter(|done| done.count > 0)?;
    if run.plan.workload.rate_per_second().is_some() || !cpu::known(run) {
        return None;
    }
    // Little's law: rate × mean latency is the mean number in flight.
    let allowed = u64::from(run.plan.flows) * u64::from(burst);
    let mean_ns = run.latency.as_ref()?.mean?;
    let in_flight = transactions.per_second * mean_ns / 1e9;
    (in_flight >= MIN_IN_FLIGHT_SHARE * float(allowed)).then(|| {
        let mut verdict = bound(
            Bound::RoundTrip,
            format!(
                "{:.0} transactions/s × mean latency {:.1} µs = {:.2} of {allowed} in flight",
                transactions.per_second,
                mean_ns / 1e3,
                // Of transactions that lie across an edge of the window, the time outside counts.
                in_flight.min(float(allowed))
            ),
        );
        verdict.evidence.extend(cpu::spare(run));
        verdict
    })
}

/// The readings behind an unclear verdict.
fn looked_at(run: &Run) -> Vec<String> {
    let mut evidence = cpu::spare(run);
    if let Some(limits) = mean_limits(run) {
        evidence.push(format!(
            "TCP was busy {:.0} % of the window; it waited for the receive window {:.0} %, for the \
             send buffer {:.0} %",
            100.0 * limits.busy,
            100.0 * limits.receive_window,
            100.0 * limits.send_buffer
        ));
    }
    evidence
}

#[cfg(test)]
mod tests;
