//! Requests of one datagram each, one in flight on a flow, and their responses, which bear its
//! number.

use std::time::{Duration, Instant};

use super::request::{self, Asks, Flows};
use super::respond::{NUMBER, sets_up};
use super::say_end;
use crate::transport::buffer::Buffer;
use crate::transport::datagram::check_fits;
use crate::workload::sizes::Sizes;
use crate::workload::{Worker, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;

/// One flow's requesting side.
struct Line {
    /// Transactions still to be started, the one in flight not among them.
    left: u64,
    /// Number of the request in flight.
    number: u64,
    /// When it was sent.
    sent: Instant,
}

struct Numbered {
    lines: Vec<Line>,
    /// Bytes of a response.
    response: usize,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    request::run(worker, plan, || prepare(worker, plan))
}

fn prepare(worker: &Worker<'_>, plan: &UdpRrPlan) -> Result<(Numbered, [Buffer; 2])> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    if !plan.fragment {
        check_fits(&worker.sockets(), request, "--request")?;
    }
    let line = |flow| Line { left: worker.budget(flow), number: 0, sent: Instant::now() };
    let lines = (0..worker.share.flows.len()).map(line).collect();
    // One byte more than a response shows what is too long to be one.
    let buffers = [Buffer::patterned(request), Buffer::touched(response + 1)];
    Ok((Numbered { lines, response }, buffers))
}

impl Asks for Numbered {
    #[inline]
    fn ask_anew(&mut self, flows: &mut Flows<'_>, flow: usize, now: Instant) {
        let line = &mut self.lines[flow];
        if line.left == 0 {
            flows.close(flow);
            return;
        }
        line.left -= 1;
        line.number += 1;
        line.sent = now;
        let number = NUMBER.min(flows.outgoing.len());
        flows.outgoing[..number].copy_from_slice(&line.number.to_le_bytes()[..number]);
        flows.send(flow);
    }

    #[inline]
    fn take(&mut self, flows: &mut Flows<'_>, flow: usize, bytes: usize, now: Instant) {
        let line = &self.lines[flow];
        let arrived = &flows.incoming[..bytes];
        let number = NUMBER.min(flows.outgoing.len()).min(bytes);
        let fits =
            bytes == self.response && arrived[..number] == line.number.to_le_bytes()[..number];
        if fits && !sets_up(arrived) {
            flows.completed(flow, bytes, line.sent, now);
            self.ask_anew(flows, flow, now);
        }
    }

    fn late(&mut self, flow: usize, now: Instant, timeout: Duration) -> Option<u64> {
        (now.saturating_duration_since(self.lines[flow].sent) >= timeout).then_some(1)
    }

    fn say_end(worker: &Worker<'_>, flows: &[usize]) {
        say_end(worker, flows);
    }
}
