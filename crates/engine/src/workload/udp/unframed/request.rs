//! Requests of one datagram each, several in flight on a flow: a response answers the oldest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::say_end;
use crate::transport::buffer::Buffer;
use crate::workload::pace::Bursts;
use crate::workload::sizes::Sizes;
use crate::workload::udp::request::{self, Asks, Flows};
use crate::workload::{Worker, WorkerReport};
use podperf_model::plan::udp::UdpRrPlan;

/// One flow's requesting side.
struct Line {
    /// Transactions still to be started.
    left: u64,
    /// When those in flight were sent, oldest first.
    in_flight: VecDeque<Instant>,
    /// When something last came or was given up.
    moved: Instant,
    bursts: Option<Bursts>,
}

struct Bare {
    lines: Vec<Line>,
    /// Requests in flight on a flow.
    burst: usize,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    request::run(worker, plan, || {
        let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
        let buffers = [worker.outgoing(request.max(1)), Buffer::touched(response.max(1))];
        Ok((Bare::new(worker), buffers))
    })
}

impl Bare {
    fn new(worker: &Worker<'_>) -> Self {
        let burst = worker.shared.compat.in_flight.max(1) as usize;
        let line = |flow| Line {
            left: worker.budget(flow),
            in_flight: VecDeque::with_capacity(burst),
            moved: Instant::now(),
            bursts: Bursts::of(worker),
        };
        Self { lines: (0..worker.share.flows.len()).map(line).collect(), burst }
    }

    /// Sends the next request of a flow at `now`, or at the tick that is to come; a flow with none
    /// to send and none in flight ends.
    #[inline]
    fn ask(&mut self, flows: &mut Flows<'_>, flow: usize, mut now: Instant) {
        let line = &mut self.lines[flow];
        if line.left == 0 {
            if line.in_flight.is_empty() {
                flows.close(flow);
            }
            return;
        }
        if let Some(bursts) = &mut line.bursts {
            // The flow has its worker to itself, and what comes meanwhile waits in its socket.
            let Some(tick) = bursts.pass(flows.worker.gate()) else { return };
            (now, line.moved) = (tick, tick);
        }
        line.left -= 1;
        line.in_flight.push_back(now);
        flows.send(flow);
    }
}

impl Asks for Bare {
    /// Sends as many requests as may be in flight.
    fn ask_anew(&mut self, flows: &mut Flows<'_>, flow: usize, now: Instant) {
        self.lines[flow].moved = now;
        for _ in 0..self.burst {
            if flows.is_open(flow) {
                self.ask(flows, flow, now);
            }
        }
    }

    #[inline]
    fn take(&mut self, flows: &mut Flows<'_>, flow: usize, bytes: usize, now: Instant) {
        // An end marker is none, and a response that came too late may stand where nothing is in
        // flight.
        if bytes > 0
            && let Some(sent) = self.lines[flow].in_flight.pop_front()
        {
            flows.completed(flow, bytes, sent, now);
            self.lines[flow].moved = now;
            self.ask(flows, flow, now);
        }
    }

    fn late(&mut self, flow: usize, now: Instant, timeout: Duration) -> Option<u64> {
        let line = &mut self.lines[flow];
        let late = now.saturating_duration_since(line.moved) >= timeout;
        late.then(|| line.in_flight.drain(..).len() as u64)
    }

    fn say_end(worker: &Worker<'_>, flows: &[usize]) {
        say_end(worker, flows);
    }
}
