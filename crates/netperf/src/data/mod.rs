//! The data phase of either end: a job becomes a plan, the engine runs it, and what it counted
//! becomes totals.
//!
//! Enters: what to move and the sockets to move it on. Leaves: [`Totals`], with whatever was
//! measured when something went wrong. Nothing here knows of the control connection or of output.

pub(super) mod cpu;
mod interim;
mod phase;
mod plan;
pub mod socket;
mod stall;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use socket2::Socket;

use super::figures::{CpuPercent, EndCounters, GrantedSocket, Interim};
use super::test_kind::{TestLength, TestShape};
pub use phase::{DRAIN_STALL_TIMEOUT, DataPhase};
use podperf_engine::metrics::memory_limits::memory_conditions;
use podperf_engine::metrics::roots::Roots;
use podperf_engine::transport::short_lived::{Connector, SessionListener};
use podperf_engine::workload::compat::Pace;
use podperf_model::error::{Error, Kind};
use podperf_model::latency::Latencies;
use podperf_model::plan::Role;
use podperf_model::plan::memory::{MemoryConditions, memory_bytes};
use podperf_model::result::allowed_cpus::AllowedCpusChange;
use podperf_model::units::Bytes;
use podperf_sys::tcp_info::RawTcpInfo;
pub(crate) use stall::slow_transfer;

/// What one end does.
#[derive(Debug, Clone)]
pub struct Job {
    /// Client: netperf; server: netserver.
    pub role: Role,
    /// What goes over the connections.
    pub shape: TestShape,
    /// Bytes of each send call, where this end sends a stream.
    pub send_bytes: u32,
    /// Bytes of each receive call, where it receives one.
    pub receive_bytes: u32,
    /// Bytes of a request.
    pub request_bytes: u32,
    /// Bytes of a response.
    pub response_bytes: u32,
    /// When this end ends it.
    pub length: TestLength,
    /// Requests in flight on a connection.
    pub in_flight: u32,
    /// Connections at one time.
    pub streams: u32,
    /// The CPU to run on.
    pub cpu: Option<u32>,
    /// Send and receive calls of streams are timed.
    pub timed: bool,
    /// Streams are sent by sendfile(2).
    pub sendfile: bool,
    /// Operations come in bursts.
    pub pace: Option<Pace>,
    /// Responses to a peer that has not proved itself are limited, of datagrams.
    pub limits_responses: bool,
    /// What is sent; absent: podperf's pattern.
    pub payload: Option<Arc<[u8]>>,
    /// A UDP response that has not come after this time is lost.
    pub receive_timeout: Duration,
    /// When the time is over: how long nothing may move of what is owed. Of a stream that is
    /// received, where nothing is: how long its end may take.
    pub drain_timeout: Duration,
}

/// Bytes of memory that a job takes on its end at the most; `socket_buffer`: what it asks for.
#[must_use]
pub fn memory_needed(job: &Job, socket_buffer: Option<u32>) -> u64 {
    let mut plan = plan::of(job);
    plan.socket.buffer_bytes = socket_buffer.map(|bytes| Bytes(bytes.into()));
    let compat = plan::compat(job);
    let conditions = MemoryConditions {
        alone: compat.pace.is_some(),
        times_calls: compat.times_calls,
        ..memory_conditions(&Roots::default())
    };
    memory_bytes(&plan, job.role, &conditions)
}

/// Where the data goes.
#[derive(Debug)]
pub enum DataConnections {
    /// Over these, one a stream.
    Connected(Vec<Socket>),
    /// Over connections that are opened one after the other.
    Dial(Connector),
    /// Over connections that are accepted one after the other, from a peer.
    Listen(SessionListener, SocketAddr),
}

/// What goes on beside the data phase.
pub struct PhaseControl<'a> {
    /// [`Kind::Incomplete`]: the peer is gone, break off; any other: come to an end.
    pub stop: &'a Receiver<Kind>,
    /// When whatever has not ended is broken off.
    pub limit: Option<Duration>,
    /// After how long without anything moved it is broken off; absent: not before its time.
    pub stall_timeout: Option<Duration>,
    /// How often interim results are wanted, and by whom.
    pub interim: Option<(Duration, &'a mut dyn FnMut(Interim))>,
    /// Called once when the flows are told to end, by the time or by `stop`.
    pub ending: &'a mut dyn FnMut(),
}

/// What one end counted over the data phase.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// From the start to the end: of requests and datagrams to when the last were to be sent, of
    /// streams to when the last had come to its end.
    pub elapsed: Duration,
    /// What was counted.
    pub counters: EndCounters,
    /// Of transactions, or of timed calls.
    pub latency: Option<Latencies>,
    /// CPU of the machine; absent: /proc/stat could not be read, or nothing passed.
    pub cpu: Option<CpuPercent>,
    /// The CPUs that this end may use, where they were changed.
    pub allowed_cpus: Option<AllowedCpusChange>,
    /// What the sockets said at the end; of several, the first, with all retransmits.
    pub end: GrantedSocket,
    /// TCP_INFO of the first socket at the end.
    pub tcp_info: Option<RawTcpInfo>,
    /// What went wrong.
    pub errors: Vec<Error>,
    /// It was broken off because nothing had moved for so long.
    pub stalled: Option<Duration>,
    /// For how long nothing had moved at the end of its time, at the least.
    pub idle: Duration,
    /// Bytes of a client's streams that the peer's kernel has.
    pub delivered: u64,
    /// Of connections that do not last, at least one stood.
    pub connected: bool,
    /// Why it ended before its time.
    pub stopped: Option<Kind>,
}
