//! What one end brings home. The same records travel over the control connection, so that what was
//! measured before a failure is on the client already when the server is lost.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::metrics::facts::HostFacts;
use crate::metrics::latency::LatencyWire;
use crate::metrics::sample::Sample;
use crate::outcome::run::{PlacementFacts, SocketFacts};

/// One end's part of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Half {
    /// What held for the whole run.
    pub facts: EndFacts,
    /// Readings inside the window: the first at its opening, the last at its close (or the last
    /// that arrived). Fewer than two: nothing was measured on this end.
    pub samples: Vec<Sample>,
    /// What the workers reported after the end; absent when this end was lost.
    pub report: Option<EndReport>,
}

/// What an end says before the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndFacts {
    /// The fingerprint.
    pub host: HostFacts,
    /// Where the workers run.
    pub placement: PlacementFacts,
    /// One entry a flow: what was asked of its socket and what the kernel granted.
    pub sockets: Vec<SocketFacts>,
    /// Process id.
    pub pid: u32,
}

/// What an end says after its workers have been joined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndReport {
    /// One entry a flow.
    pub flows: Vec<FlowReport>,
    /// Latency of transactions completed in the window, all workers merged: from the intended send
    /// in open loop, else from the real one.
    pub latency: Option<LatencyWire>,
    /// Open loop only: latency from the real send (service time).
    pub service_time: Option<LatencyWire>,
    /// Open loop only: how well the schedule was kept.
    pub schedule: Option<Schedule>,
    /// What went wrong on this end.
    pub errors: Vec<Error>,
}

/// One flow's account over its whole life, warm-up and drain included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Flow id.
    pub id: u32,
    /// When its first payload moved, in nanoseconds since the workers were released. Only flows
    /// that start the exchange (senders, requesters) have it.
    pub first_step_ns: Option<u64>,
    /// Bytes the kernel took, in all.
    pub bytes_sent: u64,
    /// Bytes received, in all.
    pub bytes_received: u64,
    /// Send calls that moved bytes.
    pub send_calls: u64,
    /// Receive calls that moved bytes.
    pub receive_calls: u64,
    /// The flow ended as planned: its sender said so, or its receiver saw the end of the stream.
    pub drained: bool,
}

/// How an open-loop schedule was kept.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Schedule {
    /// Requests that were due in the window.
    pub due: u64,
    /// Of these, sent more than 100 µs after they were due.
    pub late: u64,
    /// Greatest lateness of a send, in nanoseconds.
    pub max_lateness_ns: u64,
    /// Due in the window but not completed when it closed: missing from the histogram.
    pub unfinished: u64,
}
