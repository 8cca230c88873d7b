//! How much memory a plan takes on one end, worst case, before anything of it is allocated.
//!
//! Enters: a plan, an end, and what only that end's machine knows. Leaves: bytes. It follows what
//! the engine allocates (`workload`, `transport`) and what the kernel holds for it; whoever changes
//! a buffer there changes it here. Nothing here allocates by the plan's numbers, and sums end at
//! the largest number instead of wrapping.

use super::workers::{FlowGroup, flow_groups};
use super::{
    Backend, CrrPlan, FlowRole, Plan, ReceiveMethod, Role, RrPlan, SendMethod, StopCondition,
    StreamPlan, Workload,
};
use crate::latency::HISTOGRAM_BYTES;
use crate::plan::udp::{MAX_DATAGRAM_BYTES, Offload, UdpPlan, UdpRrPlan};

/// Of a session: its plan, its messages under way, the touched part of its threads' stacks.
const SESSION_BYTES: u64 = 512 << 10;
/// Of a flow, beside its socket's buffers: the socket itself, its tally, what is granted, read and
/// reported of it.
const FLOW_BYTES: u64 = 8 << 10;
/// Of a worker: its stack (`engine::worker`).
const WORKER_BYTES: u64 = 256 << 10;
/// Socket buffers of a flow where the kernel sets them.
const SOCKET_BUFFER_BYTES: u64 = 256 << 10;
/// What a buffer takes more to begin with a page.
const PAGE_BYTES: u64 = 4096;
/// The most that one call moves where messages may be of any size (`workload::sizes`).
const MAX_CALL_BYTES: u64 = 256 << 10;
/// The most that a pipe holds (`transport::splice`).
const MAX_PIPE_BYTES: u64 = 1 << 20;
/// Queues of an io_uring, of each flow and beside them (`podperf_sys::uring`).
const RING_BYTES: u64 = 128 << 10;
const RING_FLOW_BYTES: u64 = 640;
/// Provided buffers of a receiver of streams, and the least number of them
/// (`workload::stream::uring`).
const RECEIVE_RING_BYTES: u64 = 2 << 20;
const MIN_RECEIVE_BUFFERS: u64 = 2;
/// Provided buffers of request/response: their size and all of them (`workload::rr::uring`),
/// rounded up to a power of two.
const MAX_RR_BUFFER_BYTES: u64 = 64 << 10;
const MAX_RR_RING_BYTES: u64 = 8 << 20;
/// From so many flows on, `auto` may take io_uring (`workload::rr`).
const MIN_URING_FLOWS: u64 = 8;
/// A request in flight (`workload::transactions`).
const STAMP_BYTES: u64 = 32;
/// Datagrams of one sendmmsg(2), and room for what one recvmmsg(2) brings
/// (`transport::datagram`).
const DATAGRAMS_PER_SENDMMSG: u64 = 32;
const RECEIVE_BATCH_BYTES: u64 = 576 << 10;
/// What a receiver remembers of the numbers of a flow (`workload::udp::track`).
const TRACKER_BYTES: u64 = 9 << 10;
/// One flow's counters in a reading that a client keeps, and in the interval made of it.
const FLOW_READING_BYTES: u64 = 320;
/// One CPU's, and what a reading has beside them.
const CPU_READING_BYTES: u64 = 384;
const READING_BYTES: u64 = 2 << 10;

/// What only the end that measures knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConditions {
    /// CPUs that the process may use.
    pub cpus: usize,
    /// Each flow has a worker of its own, whatever was asked for.
    pub alone: bool,
    /// Calls are timed, which takes a histogram a worker.
    pub times_calls: bool,
    /// The largest socket buffer that the kernel grants (net.core.rmem_max, wmem_max); absent: it
    /// is not known.
    pub max_socket_buffer_bytes: Option<u64>,
}

/// Bytes that `plan` takes on the end `end`, at the most.
#[must_use]
pub fn memory_bytes(plan: &Plan, end: Role, conditions: &MemoryConditions) -> u64 {
    let groups = flow_groups(plan, end, conditions.cpus, conditions.alone);
    let alone = groups.iter().all(|group| group.workers == group.flows.len());
    let workers = groups.iter().map(|group| {
        let own = WorkerMemory::of(group, alone);
        let timed = if conditions.times_calls { HISTOGRAM_BYTES } else { 0 };
        let each = sum([WORKER_BYTES, timed, own.bytes(plan), own.histograms(plan)]);
        each.saturating_mul(own.workers)
    });
    let asked = plan.socket.buffer_bytes.map(|bytes| bytes.0);
    let socket = asked.map_or(SOCKET_BUFFER_BYTES, |bytes| {
        bytes.min(conditions.max_socket_buffer_bytes.unwrap_or(u64::MAX))
    });
    let flows = u64::from(plan.connections()).saturating_mul(sum([FLOW_BYTES, socket]));
    let records = if end == Role::Client { records_bytes(plan, conditions.cpus) } else { 0 };
    sum([SESSION_BYTES, flows, records, sum(workers)])
}

/// Bytes of the readings that a client keeps of both ends. A run that ends by a count has as many
/// as it takes, which nobody knows before.
fn records_bytes(plan: &Plan, cpus: usize) -> u64 {
    let StopCondition::Time { window } = plan.stop_condition else { return 0 };
    let intervals = window.as_nanos().div_ceil(plan.time_to_reading().as_nanos().max(1));
    let readings = u64::try_from(intervals).unwrap_or(u64::MAX).saturating_add(2);
    let flows = u64::from(plan.connections()).saturating_mul(FLOW_READING_BYTES);
    let cpus = (cpus as u64).saturating_mul(CPU_READING_BYTES);
    readings.saturating_mul(2).saturating_mul(sum([READING_BYTES, flows, cpus]))
}

/// Workers of one role that have about as many flows each.
struct WorkerMemory {
    role: FlowRole,
    workers: u64,
    /// Of the worker with the most.
    flows: u64,
    /// Every worker of this end has one flow.
    alone: bool,
}

impl WorkerMemory {
    fn of(group: &FlowGroup, alone: bool) -> Self {
        let (flows, workers) = (group.flows.len() as u64, group.workers as u64);
        Self { role: group.role, workers, flows: flows.div_ceil(workers.max(1)), alone }
    }

    /// Buffers of one worker, in the program and in the kernel.
    fn bytes(&self, plan: &Plan) -> u64 {
        match (self.role, plan.streams(), &plan.workload) {
            (FlowRole::Send, Some(streams), _) => self.stream_sender(streams),
            (FlowRole::Receive, Some(streams), _) => self.stream_receiver(streams),
            (.., Workload::Rr(rr)) => self.rr(rr),
            (.., Workload::Crr(crr)) => self.crr(crr),
            (.., Workload::Udp(udp)) => self.datagrams(udp),
            (.., Workload::UdpRr(rr)) => udp_rr(rr),
            // Streams have no other roles.
            (.., Workload::Stream(_)) => 0,
        }
    }

    /// Histograms of one worker: latencies, with a schedule service time, lateness and gaps, of
    /// connections the time to connect. A sender of datagrams keeps a schedule too.
    fn histograms(&self, plan: &Plan) -> u64 {
        let count = match self.role {
            FlowRole::Request => {
                let scheduled = if plan.workload.is_scheduled() { 3 } else { 0 };
                1 + scheduled + u64::from(plan.workload.short_lived().is_some())
            }
            FlowRole::Send if plan.workload.is_scheduled() => 2,
            FlowRole::Send | FlowRole::Receive | FlowRole::Respond => 0,
        };
        count * HISTOGRAM_BYTES
    }

    fn stream_sender(&self, plan: &StreamPlan) -> u64 {
        let message = plan.message_bytes.0;
        let buffer = sum([message, PAGE_BYTES]);
        let pipe = message.min(MAX_PIPE_BYTES).saturating_add(PAGE_BYTES);
        match plan.send {
            // Buffer, file and pages at one time, and the pipe, for which the last are not there
            // yet while it is filled out of a buffer.
            SendMethod::Auto => sum([buffer, message, buffer, pipe]),
            SendMethod::Write | SendMethod::Zerocopy => buffer,
            // What it is filled out of is there as long as it is filled.
            SendMethod::Sendfile => sum([buffer, message]),
            SendMethod::Splice => sum([buffer, pipe]),
            SendMethod::Uring | SendMethod::UringZc => sum([buffer, message, self.ring()]),
        }
    }

    fn stream_receiver(&self, plan: &StreamPlan) -> u64 {
        let message = plan.message_bytes.0;
        match plan.receive {
            ReceiveMethod::Read => message,
            ReceiveMethod::Trunc => 0,
            // The area and the buffer for what cannot be mapped.
            ReceiveMethod::Mmap => sum([message, message, 4 * PAGE_BYTES]),
            ReceiveMethod::Uring => {
                let count = (RECEIVE_RING_BYTES / message.max(1)).clamp(MIN_RECEIVE_BUFFERS, 4096);
                let count = count.next_power_of_two();
                sum([count.saturating_mul(message), count * 16, self.ring()])
            }
        }
    }

    fn rr(&self, plan: &RrPlan) -> u64 {
        let (request, response) = (plan.request_bytes.0, plan.response_bytes.0);
        if plan.backend == Backend::Auto && self.flows == 1 && plan.burst == 1 {
            return sum([request, response, 2 * PAGE_BYTES]);
        }
        // As many messages as one call may move; the requester has as many in flight.
        let at_once = u64::from(plan.burst).max(64);
        let call = |message: u64| message.saturating_mul(at_once).min(MAX_CALL_BYTES);
        let calls = sum([call(request), call(response)]);
        let in_flight = match self.role {
            FlowRole::Request => {
                self.flows.saturating_mul(plan.burst.into()).saturating_mul(STAMP_BYTES)
            }
            _ => 0,
        };
        let ring = match plan.backend {
            Backend::Auto if self.flows < MIN_URING_FLOWS => 0,
            Backend::Epoll => 0,
            Backend::Auto | Backend::Uring => {
                let count = self.flows.saturating_mul(2).next_power_of_two();
                let bytes = count.saturating_mul(MAX_RR_BUFFER_BYTES).min(MAX_RR_RING_BYTES);
                // The message is there twice while the ring is made.
                sum([bytes, calls, self.ring()])
            }
        };
        sum([calls, 2 * PAGE_BYTES, in_flight, ring])
    }

    fn crr(&self, plan: &CrrPlan) -> u64 {
        let (request, response) = (plan.request_bytes.0, plan.response_bytes.0);
        // A connection is opened while the last one is being closed.
        let second_sockets = self.flows.saturating_mul(FLOW_BYTES);
        if self.role == FlowRole::Request && self.alone {
            return sum([request, response, 2 * PAGE_BYTES, second_sockets]);
        }
        let call = |message: u64| message.min(MAX_CALL_BYTES);
        sum([call(request), call(response), 2 * PAGE_BYTES, second_sockets])
    }

    fn datagrams(&self, plan: &UdpPlan) -> u64 {
        let size = plan.size() as u64;
        match (self.role, plan.gso) {
            (FlowRole::Send, Offload::Off) => {
                sum([size.saturating_mul(DATAGRAMS_PER_SENDMMSG), PAGE_BYTES])
            }
            (FlowRole::Send, Offload::On | Offload::Auto) => MAX_DATAGRAM_BYTES + 3 * PAGE_BYTES,
            _ => {
                let trackers = self.flows.saturating_mul(TRACKER_BYTES);
                sum([RECEIVE_BATCH_BYTES.max(size), trackers])
            }
        }
    }

    /// Queues of the worker's io_uring.
    fn ring(&self) -> u64 {
        sum([RING_BYTES, self.flows.saturating_mul(RING_FLOW_BYTES)])
    }
}

fn udp_rr(plan: &UdpRrPlan) -> u64 {
    sum([plan.request_bytes.0, plan.response_bytes.0, 3 * PAGE_BYTES])
}

/// The sum, or the largest number there is.
fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
