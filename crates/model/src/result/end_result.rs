//! What one end brings home. The same records travel over the control connection, so that what was
//! measured before a failure is on the client already when the server is lost.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::HostFacts;
use crate::latency::LatencyWire;
use crate::plan::{PacingMode, ReceiveMethod, SendMethod};
use crate::reading::{Datagrams, Reading};
use crate::result::placement::PlacementFacts;
use crate::result::socket::SocketFacts;
use crate::result::transient::TransientCount;

/// One end's part of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct EndResult {
    /// What held for the whole run.
    pub facts: EndFacts,
    /// Readings inside the window: the first at its opening, the last at its close (or the last
    /// that arrived). Fewer than two: nothing was measured on this end.
    pub readings: Vec<Reading>,
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
    pub schedule: Option<ScheduleAdherence>,
    /// Connect-request-response only: time to open a connection, of transactions completed in the
    /// window.
    pub connect_time: Option<LatencyWire>,
    /// Connect-request-response only: the connections of this end.
    pub connections: Option<ConnectionUse>,
    /// How evenly a schedule was kept.
    pub pacing: Option<PacingWire>,
    /// Requests without a response in time, in the window (request/response by datagrams).
    pub lost_transactions: Option<u64>,
    /// Datagrams that the kernel refused to send, over the flows' whole life; only where they carry
    /// payload alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_sends: Option<u64>,
    /// Flows of datagrams: how they were sent and received, all workers together.
    pub datagrams: Option<DatagramUse>,
    /// Streams that this end sent: how, all workers together.
    pub send: Option<SendUse>,
    /// Streams that this end received: how, all workers together.
    pub receive: Option<ReceiveUse>,
    /// Errors that its flows outlived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transient_errors: Vec<TransientCount>,
    /// Other sessions that ran on this server meanwhile. Server only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_sessions: Option<u32>,
    /// What went wrong on this end.
    pub errors: Vec<Error>,
}

/// How one end's senders handed their bytes over, over the flows' whole life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendUse {
    /// The method in use at the end.
    pub used: Option<SendMethod>,
    /// Bytes by method, in order of first use.
    pub bytes: Vec<MovedBy<SendMethod>>,
    /// Why the method is not the one asked for, or why it was chosen.
    pub reason: Option<String>,
    /// Zero-copy sends that the kernel has reported on.
    pub zerocopy_sends: u64,
    /// Of these, those whose bytes it copied all the same.
    pub zerocopy_copied: u64,
    /// Sends that the kernel refused for want of notification memory or locked pages (ENOBUFS).
    pub enobufs: u64,
}

/// Bytes that went by one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MovedBy<M> {
    /// The method.
    pub method: M,
    /// Bytes, over the flows' whole life.
    pub bytes: u64,
}

impl SendUse {
    /// All by one method.
    #[must_use]
    pub fn all_by(method: SendMethod, bytes: u64) -> Self {
        Self { used: Some(method), bytes: vec![MovedBy { method, bytes }], ..Self::default() }
    }

    /// Adds another worker's account. What that one used, and why, stands where nothing is said
    /// here.
    pub fn add(&mut self, other: Self) {
        add_bytes(&mut self.bytes, other.bytes);
        self.used = self.used.or(other.used);
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
    pub bytes: Vec<MovedBy<ReceiveMethod>>,
    /// Why the method is not the one asked for.
    pub reason: Option<String>,
}

impl ReceiveUse {
    /// All by one method.
    #[must_use]
    pub fn all_by(method: ReceiveMethod, bytes: u64) -> Self {
        Self { bytes: vec![MovedBy { method, bytes }], ..Self::default() }
    }

    /// Adds another worker's account.
    pub fn add(&mut self, other: Self) {
        add_bytes(&mut self.bytes, other.bytes);
        self.reason = self.reason.take().or(other.reason);
    }
}

fn add_bytes<M: PartialEq>(to: &mut Vec<MovedBy<M>>, more: Vec<MovedBy<M>>) {
    for part in more {
        match to.iter_mut().find(|known| known.method == part.method) {
            Some(known) => known.bytes = known.bytes.saturating_add(part.bytes),
            None => to.push(part),
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
    /// Of a flow of datagrams.
    pub datagrams: Option<FlowDatagrams>,
}

/// The connections that one end opened or accepted, over the run's whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionUse {
    /// Connections whose transaction was completed, warm-up and tail included.
    pub connections: u64,
    /// Attempts to connect for which there was no free port (EADDRNOTAVAIL); repeated. Client only.
    pub no_port: u64,
    /// Attempts to connect that failed in a way that may pass (reset, timed out); repeated. Client
    /// only.
    pub failed: u64,
    /// SYNs that were sent again before their connection stood. Client only.
    #[serde(default)]
    pub syn_retransmits: u64,
    /// Connections from other hosts, closed at once. Server only.
    pub foreign: u64,
    /// Connections that broke off before their response was sent. Server only.
    pub broken: u64,
    /// Connections that kept a worker waiting for 100 ms in one call, or where it spins for some
    /// tenths of a second. It goes on by epoll then, so that each worker tells of one at the most.
    /// Server only.
    #[serde(default)]
    pub held: u64,
    /// Connections in TIME-WAIT in this end's network namespace before the start
    /// (/proc/net/sockstat); null: not readable.
    pub time_wait_before: Option<u64>,
    /// The same after the end.
    pub time_wait_after: Option<u64>,
    /// Ports that a connection may be opened from (net.ipv4.ip_local_port_range): how many; null:
    /// not readable.
    pub local_ports: Option<u32>,
}

impl ConnectionUse {
    /// Adds another worker's account; what is not counted by workers stays.
    pub fn add(&mut self, other: Self) {
        let Self { connections, no_port, failed, syn_retransmits, foreign, broken, held, .. } =
            other;
        for (sum, more) in [
            (&mut self.connections, connections),
            (&mut self.no_port, no_port),
            (&mut self.failed, failed),
            (&mut self.syn_retransmits, syn_retransmits),
            (&mut self.foreign, foreign),
            (&mut self.broken, broken),
            (&mut self.held, held),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// One flow of datagrams as seen from one end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowDatagrams {
    /// Over the flow's whole life.
    pub life: Datagrams,
    /// Of these, the datagrams that the sender sent inside its window, whenever they came.
    pub window: Datagrams,
}

/// How datagrams were sent and received. Absent: this end did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramUse {
    /// The kernel cut sends into datagrams (UDP_SEGMENT).
    pub segmented: Option<bool>,
    /// Datagrams of one full send.
    pub per_send: Option<u32>,
    /// The kernel handed over several datagrams in a buffer (UDP_GRO).
    pub joined: Option<bool>,
}

impl DatagramUse {
    /// Adds another worker's account: all of an end's senders, or receivers, work alike unless one
    /// was refused something.
    pub fn add(&mut self, other: Self) {
        let both = |a: Option<bool>, b: Option<bool>| a.zip(b).map(|(a, b)| a && b).or(a).or(b);
        self.segmented = both(self.segmented, other.segmented);
        self.joined = both(self.joined, other.joined);
        self.per_send = self.per_send.max(other.per_send);
    }
}

/// How evenly a schedule was kept, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacingWire {
    /// By how much each send of the window was late.
    pub lateness: LatencyWire,
    /// Between two sends of one flow.
    pub inter_send: LatencyWire,
}

/// How an open-loop schedule was kept, in sends: requests, or batches of datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleAdherence {
    /// Sends that were due in the window.
    pub due: u64,
    /// Of these, sent more than 100 µs after they were due.
    pub late: u64,
    /// Greatest lateness of a send, in nanoseconds.
    pub max_lateness_ns: u64,
    /// Due in the window but not completed when it closed: missing from the histogram.
    pub unfinished: u64,
    /// How the workers met the times; precise where some worker did.
    #[serde(default)]
    pub pacing: Option<PacingMode>,
    /// Time that all workers waited awake inside the window, in nanoseconds.
    #[serde(default)]
    pub spun_ns: u64,
}

impl ScheduleAdherence {
    /// Both together. Counters come from a peer: the sums stop at the top.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            due: self.due.saturating_add(other.due),
            late: self.late.saturating_add(other.late),
            max_lateness_ns: self.max_lateness_ns.max(other.max_lateness_ns),
            unfinished: self.unfinished.saturating_add(other.unfinished),
            pacing: [self.pacing, other.pacing]
                .into_iter()
                .find(|pacing| *pacing == Some(PacingMode::Precise))
                .unwrap_or_else(|| self.pacing.or(other.pacing)),
            spun_ns: self.spun_ns.saturating_add(other.spun_ns),
        }
    }
}
