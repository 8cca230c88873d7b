//! Sends streams of datagrams, in turn and as fast as the kernel takes them.

use std::io;
use std::time::{Duration, Instant};

use super::{is_refusal, send_end_markers};
use crate::transport::buffer::Buffer;
use crate::workload::pace::Bursts;
use crate::workload::schedule::nanoseconds;
use crate::workload::transactions::first_step;
use crate::workload::transient::may_pass;
use crate::workload::udp::is_transient;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::latency::Latencies;
use podperf_model::plan::StopCondition;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::{DatagramUse, FlowDatagrams};
use podperf_model::result::run::Multiplexing;
use podperf_sys::socket;

/// A flow that is refused for so long has failed.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);
/// The other end refuses no more when it has not done so for this time: its kernel limits how often
/// it reports so.
const REFUSAL_GAP: Duration = Duration::from_secs(1);

/// One flow's sending side.
struct UnframedSenderFlow {
    /// Datagrams still to be sent.
    left: u64,
    counts: FlowDatagrams,
    refusals: SendRefusals,
    failed: bool,
}

/// Sends on every flow until the stop or until its budget is used up, then ends the streams.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    // However many flows: a datagram hardly ever waits for room.
    let size = plan.size().max(1);
    let ready = WorkerReady::by(Multiplexing::Blocking);
    let prepared = worker.outgoing(size).map(|message| (message, ready));
    let Some(message) = worker.wait_for_start(prepared) else { return WorkerReport::default() };
    let flows = (0..worker.flows.ids.len()).map(|flow| UnframedSenderFlow {
        left: match worker.shared.plan.stop_condition {
            StopCondition::Time { .. } => u64::MAX,
            _ => worker.budget(flow).div_ceil(size as u64),
        },
        counts: FlowDatagrams::default(),
        refusals: SendRefusals::default(),
        failed: false,
    });
    let times = worker.shared.compat.times_calls.then(Latencies::new);
    let flows = flows.collect();
    let mut sender_loop = UnframedSender { worker, flows, message, times, failed_sends: 0 };
    match Bursts::of(worker) {
        None => sender_loop.go(|| true),
        // A flow has its worker to itself then.
        Some(mut bursts) => sender_loop.go(|| bursts.pass(worker.gate()).is_some()),
    }
    sender_loop.end()
}

struct UnframedSender<'a> {
    worker: &'a Worker<'a>,
    flows: Vec<UnframedSenderFlow>,
    message: Buffer,
    /// How long calls took, where that is asked for.
    times: Option<Latencies>,
    failed_sends: u64,
}

impl UnframedSender<'_> {
    /// Sends on all flows in turn. `may` waits until the next datagram may be sent; false: the stop
    /// came.
    fn go(&mut self, mut may: impl FnMut() -> bool) {
        let gate = self.worker.gate();
        (0..self.flows.len()).for_each(|flow| first_step(self.worker, flow));
        loop {
            let mut open = false;
            for flow in 0..self.flows.len() {
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
        let own = &mut self.flows[flow];
        if own.left == 0 {
            return false;
        }
        let begun = self.times.is_some().then(Instant::now);
        match socket::send(self.worker.socket(flow), &self.message) {
            Ok(bytes) => {
                if let (Some(begun), Some(times)) = (begun, &mut self.times)
                    && self.worker.gate().counting()
                {
                    times.record(nanoseconds(begun.elapsed()));
                }
                own.left -= 1;
                own.refusals.stuck_since = None;
                own.counts.life.sent += 1;
                own.counts.window.sent += u64::from(self.worker.gate().counting());
                let tally = self.worker.tally(flow);
                tally.sent(bytes);
                let sent = own.counts.life.sent;
                tally.datagrams(&Datagrams { sent, ..Datagrams::default() });
            }
            // The socket's timeout: the phase is read again.
            Err(error) if is_transient(&error) => {}
            Err(error) => self.refused(flow, error),
        }
        self.flows[flow].left > 0
    }

    /// A send failed: once more, or never again.
    #[cold]
    fn refused(&mut self, flow: usize, error: io::Error) {
        let own = &mut self.flows[flow];
        self.failed_sends += 1;
        let begun = own.counts.life.sent > 0;
        if !own.refusals.is_final(&error, begun, Instant::now()) {
            return;
        }
        (own.left, own.failed) = (0, true);
        self.worker.ended(flow, Err(FlowFailure::send(error)));
    }

    /// Ends all streams and reports how they went.
    fn end(self) -> WorkerReport {
        let whole: Vec<usize> =
            (0..self.flows.len()).filter(|&flow| !self.flows[flow].failed).collect();
        send_end_markers(self.worker, &whole);
        whole.iter().for_each(|&flow| self.worker.ended(flow, Ok(())));
        let ids = self.worker.flows.ids.iter().copied();
        WorkerReport {
            datagrams: Some(DatagramUse {
                segmented: Some(false),
                per_send: Some(1),
                ..DatagramUse::default()
            }),
            latency: self.times,
            failed_sends: Some(self.failed_sends),
            flow_datagrams: ids.zip(self.flows.iter().map(|own| own.counts)).collect(),
            ..WorkerReport::default()
        }
    }
}

/// How long one flow has been refused.
#[derive(Debug, Default)]
struct SendRefusals {
    /// First and last refusal by the other end, with no long time without any between.
    refused: Option<(Instant, Instant)>,
    /// No datagram has left since: the device had no room for it (ENOBUFS), or the path was gone.
    stuck_since: Option<Instant>,
}

impl SendRefusals {
    /// A send failed at `now`; `begun`: others did not. True: sending again helps nothing.
    fn is_final(&mut self, error: &io::Error, begun: bool, now: Instant) -> bool {
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
            Some(errno) if errno == libc::ENOBUFS || (begun && may_pass(errno)) => {
                *self.stuck_since.get_or_insert(now)
            }
            _ => return true,
        };
        now.duration_since(since) >= REFUSAL_TIMEOUT
    }
}
