//! Several flows in one worker, or several requests in flight on one, whatever moves their bytes.
//!
//! A [`FlowIo`] moves bytes and returns what arrived; this file decides what is sent and when, and
//! records how long it took. Messages are counts of bytes, which serves requesting and responding
//! alike, and no size or number in flight can lock the two ends against each other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::workload::pace::Bursts;
use crate::workload::schedule::FlowSchedule;
use crate::workload::send_timer::SendTimer;
use crate::workload::sizes::{MAX_CALL_BYTES, Sizes};
use crate::workload::transactions::{Stamp, TransactionStats, first_step};
use crate::workload::unfinished::UnfinishedFlows;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::RrPlan;

/// What moves the bytes of a worker's flows: epoll or io_uring.
pub(super) trait FlowIo {
    /// Waits until some flow can go on; may come back early.
    fn wait(&mut self, mode: WaitMode) -> Result<(), FlowFailure>;

    /// What has arrived on one of the flows that can go on. Absent: wait again.
    fn next(&mut self) -> Option<(usize, Result<ReceiveEvent, FlowFailure>)>;

    /// When what [`Self::next`] returns had arrived.
    fn now(&self) -> Instant;

    /// Issues `bytes` more on `flow`.
    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), FlowFailure>;

    /// Leaves `flow` alone from now on.
    fn forget(&mut self, flow: usize);
}

/// How long a wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitMode {
    /// Return at once.
    Poll,
    /// Sleep until something comes, for at most so long where a time is given.
    Sleep(Option<Duration>),
}

/// What one receive brought.
pub(super) enum ReceiveEvent {
    Messages(usize),
    EndOfStream,
}

/// The message that is coming in on a flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartialMessage {
    size: usize,
    missing: usize,
}

impl PartialMessage {
    pub(super) const fn of(size: usize) -> Self {
        Self { size, missing: size }
    }

    /// `bytes` have come; 0 is the end of the stream. Counts the messages that they complete.
    pub(super) fn take(&mut self, bytes: usize) -> Result<ReceiveEvent, FlowFailure> {
        if bytes == 0 {
            let whole = self.missing == self.size;
            let cut = || FlowFailure::receive(ErrorKind::UnexpectedEof.into());
            return whole.then_some(ReceiveEvent::EndOfStream).ok_or_else(cut);
        }
        if bytes < self.missing {
            self.missing -= bytes;
            return Ok(ReceiveEvent::Messages(0));
        }
        if bytes == self.missing {
            // As a rule, and without a division.
            self.missing = self.size;
            return Ok(ReceiveEvent::Messages(1));
        }
        let beyond = bytes - self.missing;
        self.missing = self.size - beyond % self.size;
        Ok(ReceiveEvent::Messages(1 + beyond / self.size))
    }
}

/// Sizes of what a worker sends and receives on each flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    pub(super) outgoing: usize,
    pub(super) incoming: usize,
    /// Messages that one call may move.
    pub(super) at_once: usize,
}

impl Traffic {
    /// What the requesting end moves.
    pub(super) const fn requesting(plan: &RrPlan, sizes: Sizes) -> Self {
        let (outgoing, incoming) = (sizes.request, sizes.response);
        Self { outgoing, incoming, at_once: plan.burst as usize }
    }

    /// What the responding end moves.
    pub(super) fn responding(sizes: Sizes) -> Self {
        let at_once = MAX_CALL_BYTES / sizes.response.max(sizes.request).max(1);
        let (outgoing, incoming) = (sizes.response, sizes.request);
        Self { outgoing, incoming, at_once: at_once.clamp(1, 64) }
    }

    /// Most bytes that one call sends.
    pub(super) fn send_bytes(self) -> usize {
        self.outgoing.saturating_mul(self.at_once).clamp(1, MAX_CALL_BYTES)
    }

    /// Most bytes that one call receives.
    pub(super) fn receive_bytes(self) -> usize {
        self.incoming.saturating_mul(self.at_once).clamp(1, MAX_CALL_BYTES)
    }
}

/// A worker's flows and what moves their bytes.
struct OpenFlows<'a, W> {
    worker: &'a Worker<'a>,
    io: W,
    open: UnfinishedFlows<'a>,
    spin: bool,
}

impl<'a, W: FlowIo> OpenFlows<'a, W> {
    fn new(worker: &'a Worker<'a>, io: W) -> Self {
        Self { worker, io, open: UnfinishedFlows::all(worker, true), spin: worker.wait().spins() }
    }

    /// Waits as planned: a worker that spins never sleeps.
    fn wait(&mut self, mode: WaitMode) -> Result<(), FlowFailure> {
        self.io.wait(if self.spin { WaitMode::Poll } else { mode })
    }

    fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) {
        self.io.forget(flow);
        self.open.end(flow, result);
    }

    /// What has arrived on a flow that has not ended.
    fn next(&mut self) -> Option<(usize, ReceiveEvent)> {
        loop {
            match self.io.next()? {
                (flow, Ok(event)) if self.open.has(flow) => return Some((flow, event)),
                (flow, Err(failure)) => self.end(flow, Err(failure)),
                _ => {}
            }
        }
    }

    fn send(&mut self, flow: usize, bytes: usize) {
        if let Err(failure) = self.io.send(flow, bytes) {
            self.end(flow, Err(failure));
        }
    }
}

/// Responds on every flow until the end of its stream.
pub(super) fn respond<W: FlowIo>(
    worker: &Worker<'_>,
    sizes: Sizes,
    prepared: Result<(W, WorkerReady)>,
) -> WorkerReport {
    let Some(io) = worker.wait_for_start(prepared) else { return WorkerReport::default() };
    let mut flows = OpenFlows::new(worker, io);
    while flows.open.any() {
        if let Err(failure) = flows.wait(WaitMode::Sleep(None)) {
            worker.ended(0, Err(failure));
            break;
        }
        while let Some((flow, event)) = flows.next() {
            match event {
                ReceiveEvent::Messages(0) => {}
                ReceiveEvent::Messages(count) => flows.send(flow, count * sizes.response),
                ReceiveEvent::EndOfStream => flows.end(flow, Ok(())),
            }
        }
    }
    WorkerReport::default()
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn request<W: FlowIo>(
    worker: &Worker<'_>,
    plan: &RrPlan,
    sizes: Sizes,
    prepared: Result<(W, WorkerReady)>,
) -> WorkerReport {
    let stats = TransactionStats::new(plan.rate_per_second.is_some());
    let Some(io) = worker.wait_for_start(prepared) else { return stats.report() };
    let requests = (0..worker.flows.ids.len())
        .map(|flow| RequestFlow {
            in_flight: VecDeque::with_capacity(plan.burst as usize),
            left: worker.budget(flow),
            timing: match (plan.rate_per_second, Bursts::of(worker)) {
                (None, None) => Timing::AtOnce,
                (None, Some(bursts)) => Timing::Bursts(bursts),
                (Some(rate), _) => Timing::FlowSchedule(FlowSchedule::of(worker, rate, flow)),
            },
        })
        .collect();
    let flows = OpenFlows::new(worker, io);
    let due = BinaryHeap::new();
    let timer = SendTimer::of_all(worker, plan.rate_per_second);
    let mut requester = Requester { flows, requests, stats, due, timer, request: sizes.request };
    requester.start(plan.burst);
    if let Err(failure) = requester.run() {
        worker.ended(0, Err(failure));
    }
    requester.report()
}

/// The requesting side of one flow.
struct RequestFlow {
    in_flight: VecDeque<Stamp>,
    left: u64,
    timing: Timing,
}

/// When a flow's next request goes out.
enum Timing {
    /// Behind a response.
    AtOnce,
    /// The same, but so many at a tick.
    Bursts(Bursts),
    /// When it is due: open loop.
    FlowSchedule(FlowSchedule),
}

struct Requester<'a, W> {
    flows: OpenFlows<'a, W>,
    requests: Vec<RequestFlow>,
    stats: TransactionStats,
    /// Requests that may not go out yet, by the time they are due.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    timer: SendTimer,
    request: usize,
}

impl<W: FlowIo> Requester<'_, W> {
    fn start(&mut self, burst: u32) {
        for flow in 0..self.requests.len() {
            first_step(self.flows.worker, flow);
            if let Timing::FlowSchedule(schedule) = &self.requests[flow].timing {
                self.due.push(Reverse((schedule.next(), flow)));
                continue;
            }
            let now = Instant::now();
            for _ in 0..u64::from(burst).min(self.requests[flow].left) {
                self.send_in_time(flow, now);
            }
        }
    }

    fn run(&mut self) -> Result<(), FlowFailure> {
        while self.flows.open.any() {
            let mode = self.send_what_is_due();
            self.flows.wait(mode)?;
            let stopped = self.flows.worker.gate().stopped();
            while let Some((flow, event)) = self.flows.next() {
                match event {
                    ReceiveEvent::Messages(0) => {}
                    ReceiveEvent::Messages(count) => self.completed(flow, count, stopped),
                    ReceiveEvent::EndOfStream => {
                        let early = FlowFailure::receive(ErrorKind::UnexpectedEof.into());
                        self.flows.end(flow, Err(early));
                    }
                }
            }
            if stopped {
                self.end_idle();
            }
        }
        Ok(())
    }

    /// Sends what is due, and returns how to wait until something else is: not at all where that is
    /// so near that sleeping would miss it.
    fn send_what_is_due(&mut self) -> WaitMode {
        while let Some(&Reverse((due, flow))) = self.due.peek() {
            let now = Instant::now();
            if due > now {
                let sleep = self.timer.before(self.flows.worker.gate(), now, due);
                return sleep.map_or(WaitMode::Poll, |sleep| WaitMode::Sleep(Some(sleep)));
            }
            self.due.pop();
            if !self.flows.open.has(flow) || self.flows.worker.gate().stopped() {
                continue;
            }
            let own = &mut self.requests[flow];
            if let Timing::FlowSchedule(schedule) = &mut own.timing {
                let stamp = Stamp { due: schedule.take(), sent: now };
                self.stats.sent(self.flows.worker.gate(), schedule, stamp);
                self.send_request(flow, stamp);
            } else if own.left > 0 {
                self.send_request(flow, Stamp::closed_loop(now));
            }
        }
        WaitMode::Sleep(None)
    }

    /// Sends the next request in closed loop: now, or at the tick that is to come.
    fn send_in_time(&mut self, flow: usize, now: Instant) {
        if let Timing::Bursts(bursts) = &mut self.requests[flow].timing
            && let Some(due) = bursts.take(now)
        {
            return self.due.push(Reverse((due, flow)));
        }
        self.send_request(flow, Stamp::closed_loop(now));
    }

    fn send_request(&mut self, flow: usize, stamp: Stamp) {
        let own = &mut self.requests[flow];
        own.left -= 1;
        own.in_flight.push_back(stamp);
        self.flows.send(flow, self.request);
    }

    /// Records `count` responses, and sends the next requests.
    fn completed(&mut self, flow: usize, count: usize, stopped: bool) {
        let gate = self.flows.worker.gate();
        let now = self.flows.io.now();
        for _ in 0..count {
            // A peer that answers more than it was asked is not counted.
            let Some(stamp) = self.requests[flow].in_flight.pop_front() else { break };
            self.stats.completed(gate, self.flows.worker.tally(flow), stamp, now);
            let own = &mut self.requests[flow];
            match &mut own.timing {
                Timing::FlowSchedule(schedule) => {
                    if gate.closed_at().is_none() {
                        schedule.completed();
                    }
                    if own.left > 0 {
                        self.due.push(Reverse((schedule.next(), flow)));
                    }
                }
                _ if own.left == 0 || stopped => {}
                Timing::AtOnce => self.send_request(flow, Stamp::closed_loop(now)),
                Timing::Bursts(_) => self.send_in_time(flow, now),
            }
        }
        let own = &self.requests[flow];
        if own.left == 0 && own.in_flight.is_empty() {
            self.flows.end(flow, Ok(()));
        }
    }

    /// Ends the flows that have nothing in flight, after the stop.
    fn end_idle(&mut self) {
        for flow in 0..self.requests.len() {
            if self.flows.open.has(flow) && self.requests[flow].in_flight.is_empty() {
                self.flows.end(flow, Ok(()));
            }
        }
    }

    fn report(mut self) -> WorkerReport {
        let gate = self.flows.worker.gate();
        for own in &self.requests {
            if let Timing::FlowSchedule(schedule) = &own.timing {
                self.stats.owed(gate, schedule);
            }
        }
        self.stats.paced_by(&self.timer);
        self.stats.report()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages that arrivals of these sizes complete, one after the other; none: it fails.
    fn completed(size: usize, arrivals: &[usize]) -> Vec<Option<usize>> {
        let mut incoming = PartialMessage::of(size);
        let messages = |bytes: &usize| match incoming.take(*bytes) {
            Ok(ReceiveEvent::Messages(count)) => Some(count),
            Ok(ReceiveEvent::EndOfStream) => Some(usize::MAX),
            Err(_) => None,
        };
        arrivals.iter().map(messages).collect()
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        assert_eq!(completed(1, &[1, 5]), [Some(1), Some(5)]);
        assert_eq!(completed(3, &[2, 1, 6, 1, 4]), [Some(0), Some(1), Some(2), Some(0), Some(1)]);
        assert_eq!(completed(3, &[7, 2]), [Some(2), Some(1)]);
    }

    #[test]
    fn a_stream_may_end_between_messages_only() {
        assert_eq!(completed(3, &[3, 0]), [Some(1), Some(usize::MAX)]);
        assert_eq!(completed(3, &[4, 0]), [Some(1), None]);
    }
}
