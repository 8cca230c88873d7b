//! Requests of one datagram each, one in flight on a flow, and their responses, which bear its
//! number.

use std::time::{Duration, Instant};

use super::request::{self, RequestFlows, RequestSource};
use super::respond::{NUMBER_BYTES, sets_up};
use super::send_end_markers;
use crate::transport::buffer::Buffer;
use crate::transport::datagram::check_fits;
use crate::workload::sizes::Sizes;
use crate::workload::{Worker, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;

/// One flow's requesting side.
struct NumberedFlow {
    /// Transactions still to be started, the one in flight not among them.
    left: u64,
    /// Number of the request in flight.
    number: u64,
    /// When it was sent.
    sent: Instant,
}

struct NumberedRequests {
    flows: Vec<NumberedFlow>,
    /// Bytes of a response.
    response: usize,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    request::run(worker, plan, || prepare(worker, plan))
}

fn prepare(worker: &Worker<'_>, plan: &UdpRrPlan) -> Result<(NumberedRequests, [Buffer; 2])> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    if !plan.fragment {
        check_fits(&worker.sockets(), request, "--request")?;
    }
    let own = |flow| NumberedFlow { left: worker.budget(flow), number: 0, sent: Instant::now() };
    let flows = (0..worker.flows.ids.len()).map(own).collect();
    // One byte more than a response shows what is too long to be one.
    let buffers = [Buffer::patterned(request)?, Buffer::touched(response + 1)?];
    Ok((NumberedRequests { flows, response }, buffers))
}

impl RequestSource for NumberedRequests {
    #[inline]
    fn send_first(&mut self, flows: &mut RequestFlows<'_>, flow: usize, now: Instant) {
        let own = &mut self.flows[flow];
        if own.left == 0 {
            flows.close(flow);
            return;
        }
        own.left -= 1;
        own.number += 1;
        own.sent = now;
        let number = NUMBER_BYTES.min(flows.outgoing.len());
        flows.outgoing[..number].copy_from_slice(&own.number.to_le_bytes()[..number]);
        flows.send(flow);
    }

    #[inline]
    fn take(&mut self, flows: &mut RequestFlows<'_>, flow: usize, bytes: usize, now: Instant) {
        let own = &self.flows[flow];
        let arrived = &flows.incoming[..bytes];
        let number = NUMBER_BYTES.min(flows.outgoing.len()).min(bytes);
        let fits =
            bytes == self.response && arrived[..number] == own.number.to_le_bytes()[..number];
        if fits && !sets_up(arrived) {
            flows.completed(flow, bytes, own.sent, now);
            self.send_first(flows, flow, now);
        }
    }

    fn late(&mut self, flow: usize, now: Instant, timeout: Duration) -> Option<u64> {
        (now.saturating_duration_since(self.flows[flow].sent) >= timeout).then_some(1)
    }

    /// Says so first, so that a window that ends by a count has no idle tail.
    fn end(worker: &Worker<'_>, flows: &[usize]) {
        flows.iter().for_each(|&flow| worker.ended(flow, Ok(())));
        send_end_markers(worker, flows);
    }
}
