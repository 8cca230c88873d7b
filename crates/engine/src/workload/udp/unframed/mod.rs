//! Datagrams of payload alone, as other programs send them: any size, one system call each.
//!
//! With no number in them nothing is known of a single datagram: streams are counted on either end,
//! and a response answers the oldest request that has none. Three empty datagrams end a flow; a
//! receiver that waits for one gives up when the run is over and nothing comes any more.

mod receive;
mod request;
mod respond;
mod send;
#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

use crate::workload::{FlowFailure, Worker, WorkerReport};
use podperf_model::plan::FlowRole;
use podperf_model::plan::udp::{UdpPlan, UdpRrPlan};
use podperf_sys::socket;

/// End markers, which nobody answers.
const MAX_END_MARKERS: u32 = 3;
/// The time between two of them: what the first finds no room for may have it by the last.
const END_MARKER_INTERVAL: Duration = Duration::from_millis(2);
/// After the stop, a receiver gives up waiting for an end marker when nothing comes for so long.
const IDLE_TIMEOUT: Duration = Duration::from_millis(100);

/// Sends or receives streams of datagrams, by the role of the worker.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    match worker.flows.role {
        FlowRole::Send => send::run(worker, plan),
        _ => receive::run(worker, plan),
    }
}

/// Requests or responds, by the role of the worker.
pub(super) fn run_rr(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    match worker.flows.role {
        FlowRole::Request => request::run(worker, plan),
        _ => respond::run(worker, plan),
    }
}

/// Sends end markers on each of `flows`.
fn send_end_markers(worker: &Worker<'_>, flows: &[usize]) {
    for marker in 0..MAX_END_MARKERS {
        if marker > 0 {
            std::thread::sleep(END_MARKER_INTERVAL);
        }
        for &flow in flows {
            // A refusal of an earlier datagram may be told here, in place of the send.
            let socket = worker.socket(flow);
            let _ = socket::send(socket, &[]).or_else(|_| socket::send(socket, &[]));
        }
    }
}

/// An earlier datagram found no socket at the other end (ICMP port unreachable).
fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECONNREFUSED)
}

/// The flows of a worker that still wait for an end marker.
struct UnfinishedReceives<'a> {
    worker: &'a Worker<'a>,
    flows: Vec<UnfinishedFlow>,
    open: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct UnfinishedFlow {
    ended: bool,
    /// Since when nothing has come; absent: something came since the last check.
    idle_since: Option<Instant>,
}

impl<'a> UnfinishedReceives<'a> {
    fn new(worker: &'a Worker<'a>) -> Self {
        let open = worker.flows.ids.len();
        Self { worker, flows: vec![UnfinishedFlow::default(); open], open }
    }

    const fn any(&self) -> bool {
        self.open > 0
    }

    fn has(&self, flow: usize) -> bool {
        !self.flows[flow].ended
    }

    /// Notes that something came on a flow.
    #[inline]
    fn received_on(&mut self, flow: usize) {
        self.flows[flow].idle_since = None;
    }

    fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) {
        if !std::mem::replace(&mut self.flows[flow].ended, true) {
            self.open -= 1;
            self.worker.ended(flow, result);
        }
    }

    /// Ends the flows on which nothing comes any more, after the stop.
    fn end_idle(&mut self) {
        let now = Instant::now();
        for flow in 0..self.flows.len() {
            let since = *self.flows[flow].idle_since.get_or_insert(now);
            if now.duration_since(since) >= IDLE_TIMEOUT {
                // No failure of the run then, but the flow was not drained either.
                let silent = io::Error::new(io::ErrorKind::TimedOut, "no end marker came");
                self.end(flow, Err(FlowFailure::receive(silent)));
            }
        }
    }
}
