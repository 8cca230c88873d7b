//! Sends streams of datagrams, in turn and as fast as the kernel takes them.

use std::io;
use std::time::{Duration, Instant};

use super::{is_refusal, say_end};
use crate::transport::buffer::Buffer;
use crate::workload::pace::Bursts;
use crate::workload::schedule::nanoseconds;
use crate::workload::transactions::first_step;
use crate::workload::udp::{again, explained};
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::latency::Latencies;
use podperf_model::plan::StopCondition;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::{DatagramUse, FlowDatagrams};
use podperf_model::result::run::Multiplexing;

/// A flow that is refused for so long has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// The other end refuses no more when it has not done so for this time: its kernel limits how often
/// it says so.
const REFUSAL_GAP: Duration = Duration::from_secs(1);

/// One flow's sending side.
struct Line {
    /// Datagrams still to be sent.
    left: u64,
    counts: FlowDatagrams,
    trouble: Trouble,
    failed: bool,
}

/// Sends on every flow until the stop or until its budget is used up, then ends the streams.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    // However many flows: a datagram hardly ever waits for room.
    let size = plan.size().max(1);
    let prepared = (worker.outgoing(size), WorkerReady::by(Multiplexing::Blocking));
    let Some(message) = worker.stand(Ok(prepared)) else { return WorkerReport::default() };
    let lines = (0..worker.share.flows.len()).map(|flow| Line {
        left: match worker.shared.plan.extent {
            StopCondition::Time { .. } => u64::MAX,
            _ => worker.budget(flow).div_ceil(size as u64),
        },
        counts: FlowDatagrams::default(),
        trouble: Trouble::default(),
        failed: false,
    });
    let times = worker.shared.compat.times_calls.then(Latencies::new);
    let lines = lines.collect();
    let mut sending = Sending { worker, lines, message, times, failed_sends: 0 };
    match Bursts::of(worker) {
        None => sending.go(|| true),
        // A flow has its worker to itself then.
        Some(mut bursts) => sending.go(|| bursts.pass(worker.gate()).is_some()),
    }
    sending.end()
}

struct Sending<'a> {
    worker: &'a Worker<'a>,
    lines: Vec<Line>,
    message: Buffer,
    /// How long calls took, where that is asked for.
    times: Option<Latencies>,
    failed_sends: u64,
}

impl Sending<'_> {
    /// In turn; `may` waits until the next datagram may be sent, and says no after the stop.
    fn go(&mut self, mut may: impl FnMut() -> bool) {
        let gate = self.worker.gate();
        (0..self.lines.len()).for_each(|flow| first_step(self.worker, flow));
        loop {
            let mut open = false;
            for flow in 0..self.lines.len() {
                if gate.stopped() || !may() {
                    return;
                }
                open |= self.step(flow);
            }
            if !open {
                return;
            }
        }
    }

    /// Sends one datagram on a flow. False: the flow has come to its end.
    #[inline]
    fn step(&mut self, flow: usize) -> bool {
        let line = &mut self.lines[flow];
        if line.left == 0 {
            return false;
        }
        let begun = self.times.is_some().then(Instant::now);
        match self.worker.socket(flow).send(&self.message) {
            Ok(bytes) => {
                if let (Some(begun), Some(times)) = (begun, &mut self.times)
                    && self.worker.gate().counting()
                {
                    times.record(nanoseconds(begun.elapsed()));
                }
                line.left -= 1;
                line.trouble.full_since = None;
                line.counts.life.sent += 1;
                line.counts.window.sent += u64::from(self.worker.gate().counting());
                let tally = self.worker.tally(flow);
                tally.sent(bytes);
                let sent = line.counts.life.sent;
                tally.datagrams(&Datagrams { sent, ..Datagrams::default() });
            }
            // The time of a look at the gate is up.
            Err(error) if again(&error) => {}
            Err(error) => self.refused(flow, error),
        }
        self.lines[flow].left > 0
    }

    /// A send failed: once more, or never again.
    #[cold]
    fn refused(&mut self, flow: usize, error: io::Error) {
        let line = &mut self.lines[flow];
        self.failed_sends += 1;
        if !line.trouble.lasts(&error, Instant::now()) {
            return;
        }
        (line.left, line.failed) = (0, true);
        self.worker.ended(flow, Err(Failure::send(explained(error))));
    }

    /// Ends all streams and tells how they went.
    fn end(self) -> WorkerReport {
        let whole: Vec<usize> =
            (0..self.lines.len()).filter(|&flow| !self.lines[flow].failed).collect();
        say_end(self.worker, &whole);
        whole.iter().for_each(|&flow| self.worker.ended(flow, Ok(())));
        let ids = self.worker.share.flows.iter().copied();
        WorkerReport {
            datagrams: Some(DatagramUse {
                segmented: Some(false),
                per_send: Some(1),
                ..DatagramUse::default()
            }),
            latency: self.times,
            failed_sends: Some(self.failed_sends),
            flow_datagrams: ids.zip(self.lines.iter().map(|line| line.counts)).collect(),
            ..WorkerReport::default()
        }
    }
}

/// How long one flow has been refused.
#[derive(Debug, Default)]
struct Trouble {
    /// First and last refusal by the other end, with no long time without any between.
    refused: Option<(Instant, Instant)>,
    /// The device had no room for any datagram since (ENOBUFS).
    full_since: Option<Instant>,
}

impl Trouble {
    /// A send failed at `now`. True: sending again helps nothing.
    fn lasts(&mut self, error: &io::Error, now: Instant) -> bool {
        let since = match error.raw_os_error() {
            // Only every other send fails of those that nobody takes: the failure of one is that
            // of the one before.
            _ if is_refusal(error) => match &mut self.refused {
                Some((first, last)) if now.duration_since(*last) < REFUSAL_GAP => {
                    *last = now;
                    *first
                }
                refused => refused.insert((now, now)).0,
            },
            Some(libc::ENOBUFS) => *self.full_since.get_or_insert(now),
            _ => return true,
        };
        now.duration_since(since) >= PATIENCE
    }
}
