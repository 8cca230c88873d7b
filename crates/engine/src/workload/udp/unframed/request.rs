//! Requests of one datagram each, several in flight on a flow: a response answers the oldest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::send_end_markers;
use crate::transport::buffer::Buffer;
use crate::workload::pace::Bursts;
use crate::workload::sizes::Sizes;
use crate::workload::udp::request::{self, RequestFlows, RequestSource};
use crate::workload::{Worker, WorkerReport};
use podperf_model::plan::udp::UdpRrPlan;

/// One flow's requesting side.
struct UnframedRequestFlow {
    /// Transactions still to be started.
    left: u64,
    /// When those in flight were sent, oldest first.
    in_flight: VecDeque<Instant>,
    /// When something last came or was given up.
    moved: Instant,
    bursts: Option<Bursts>,
}

struct UnframedRequests {
    flows: Vec<UnframedRequestFlow>,
    /// Requests in flight on a flow.
    burst: usize,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    request::run(worker, plan, || {
        let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
        let buffers = [worker.outgoing(request.max(1))?, Buffer::touched(response.max(1))?];
        Ok((UnframedRequests::new(worker), buffers))
    })
}

impl UnframedRequests {
    fn new(worker: &Worker<'_>) -> Self {
        let burst = worker.shared.compat.in_flight.max(1) as usize;
        let own = |flow| UnframedRequestFlow {
            left: worker.budget(flow),
            in_flight: VecDeque::with_capacity(burst),
            moved: Instant::now(),
            bursts: Bursts::of(worker),
        };
        Self { flows: (0..worker.flows.ids.len()).map(own).collect(), burst }
    }

    /// Sends the next request of a flow at `now`, or at the tick that is to come; a flow with none
    /// to send and none in flight ends.
    #[inline]
    fn send_next(&mut self, flows: &mut RequestFlows<'_>, flow: usize, mut now: Instant) {
        let own = &mut self.flows[flow];
        if own.left == 0 {
            if own.in_flight.is_empty() {
                flows.close(flow);
            }
            return;
        }
        if let Some(bursts) = &mut own.bursts {
            // The flow has its worker to itself, and what comes meanwhile waits in its socket.
            let Some(tick) = bursts.pass(flows.worker.gate()) else { return };
            (now, own.moved) = (tick, tick);
        }
        own.left -= 1;
        own.in_flight.push_back(now);
        flows.send(flow);
    }
}

impl RequestSource for UnframedRequests {
    /// Sends as many requests as may be in flight.
    fn send_first(&mut self, flows: &mut RequestFlows<'_>, flow: usize, now: Instant) {
        self.flows[flow].moved = now;
        for _ in 0..self.burst {
            if flows.is_open(flow) {
                self.send_next(flows, flow, now);
            }
        }
    }

    #[inline]
    fn take(&mut self, flows: &mut RequestFlows<'_>, flow: usize, bytes: usize, now: Instant) {
        // An end marker is none, and a response that came too late may stand where nothing is in
        // flight.
        if bytes > 0
            && let Some(sent) = self.flows[flow].in_flight.pop_front()
        {
            flows.completed(flow, bytes, sent, now);
            self.flows[flow].moved = now;
            self.send_next(flows, flow, now);
        }
    }

    fn late(&mut self, flow: usize, now: Instant, timeout: Duration) -> Option<u64> {
        let own = &mut self.flows[flow];
        let late = now.saturating_duration_since(own.moved) >= timeout;
        late.then(|| own.in_flight.drain(..).len() as u64)
    }

    /// Says so last: sockets may be closed then, and nobody answers a marker that was lost.
    fn end(worker: &Worker<'_>, flows: &[usize]) {
        send_end_markers(worker, flows);
        flows.iter().for_each(|&flow| worker.ended(flow, Ok(())));
    }
}
