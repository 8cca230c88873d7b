//! What one end brings home. The same records travel over the control connection, so that what was
//! measured before a failure is on the client already when the server is lost.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::metrics::facts::HostFacts;
use crate::metrics::latency::LatencyWire;
use crate::metrics::sample::Sample;
use crate::outcome::run::{PlacementFacts, SocketFacts};
use crate::plan::{ReceiveMethod, SendMethod};

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
    /// Streams that this end sent: how, all workers together.
    pub send: Option<SendUse>,
    /// Streams that this end received: how, all workers together.
    pub receive: Option<ReceiveUse>,
    /// What went wrong on this end.
    pub errors: Vec<Error>,
}

/// How one end's senders handed their bytes over, over the flows' whole life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendUse {
    /// Bytes by method, in order of first use: the last is the one that was in use at the end.
    pub bytes: Vec<(SendMethod, u64)>,
    /// Why the method is not the one asked for, or why it was chosen.
    pub reason: Option<String>,
    /// Zero-copy sends that the kernel has reported on.
    pub zerocopy_sends: u64,
    /// Of these, those whose bytes it copied all the same.
    pub zerocopy_copied: u64,
    /// Sends that the kernel refused for want of notification memory or locked pages (ENOBUFS).
    pub enobufs: u64,
}

impl SendUse {
    /// All by one method.
    #[must_use]
    pub fn all_by(method: SendMethod, bytes: u64) -> Self {
        Self { bytes: vec![(method, bytes)], ..Self::default() }
    }

    /// Adds another worker's account.
    pub fn add(&mut self, other: Self) {
        add_bytes(&mut self.bytes, other.bytes);
        self.reason = self.reason.take().or(other.reason);
        self.zerocopy_sends = self.zerocopy_sends.saturating_add(other.zerocopy_sends);
        self.zerocopy_copied = self.zerocopy_copied.saturating_add(other.zerocopy_copied);
        self.enobufs = self.enobufs.saturating_add(other.enobufs);
    }
}

/// How one end's receivers took their bytes, over the flows' whole life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveUse {
    /// Bytes by method, in order of first use: `mmap` stands for what was mapped, `read` beside
    /// it for the unaligned rest.
    pub bytes: Vec<(ReceiveMethod, u64)>,
    /// Why the method is not the one asked for.
    pub reason: Option<String>,
}

impl ReceiveUse {
    /// All by one method.
    #[must_use]
    pub fn all_by(method: ReceiveMethod, bytes: u64) -> Self {
        Self { bytes: vec![(method, bytes)], ..Self::default() }
    }

    /// Adds another worker's account.
    pub fn add(&mut self, other: Self) {
        add_bytes(&mut self.bytes, other.bytes);
        self.reason = self.reason.take().or(other.reason);
    }
}

fn add_bytes<M: PartialEq>(to: &mut Vec<(M, u64)>, more: Vec<(M, u64)>) {
    for (method, bytes) in more {
        match to.iter_mut().find(|(known, _)| *known == method) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => to.push((method, bytes)),
        }
    }
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
