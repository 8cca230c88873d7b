//! What will be done: a serialisable [`Plan`], and a [`CheckedPlan`] that keeps every rule.
//!
//! Enters: values typed by a user (through `cli`) or received from a peer. Leaves: a checked plan,
//! which is all that clients and servers measure. Every rule about options lives in `rules`, and
//! the constructor of [`CheckedPlan`] applies them. No I/O here.

mod checked;
mod choice;
mod cpus;
mod crr;
mod expect;
mod kept_rate;
pub mod limits;
pub mod memory;
mod methods;
mod pacing;
mod permissions;
mod rr;
mod rules;
pub mod udp;
mod wait;
pub mod workers;
mod workload;

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{BitRate, Bytes, float, seconds};
pub use checked::CheckedPlan;
pub use choice::Choice;
use choice::choice;
pub use cpus::{cpu_list, parse_cpus};
pub use crr::{Close, CrrPlan};
pub use expect::Expect;
pub use methods::{ReceiveMethod, SendMethod};
pub use pacing::PacingMode;
pub use permissions::{ALLOW_AFFINITY, ALLOW_SPIN, ClientPermissions};
pub use rr::{Backend, LoadPlan, RrPlan};
pub use rules::MAX_CPUS;
pub use wait::{MAX_BUSY_POLL_US, Wait};
pub use workload::Workload;

/// How long a run may stand still unless another time is asked for.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Of a plan that does not tell.
const fn stall_timeout() -> Duration {
    STALL_TIMEOUT
}

/// One measurement, as both ends carry it out: plain data, whatever it says. [`CheckedPlan::new`]
/// applies the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// What every flow does.
    pub workload: Workload,
    /// When the window closes.
    pub stop_condition: StopCondition,
    /// How sends that have a rate meet their times; absent: by sleeping where that is exact enough.
    #[serde(default)]
    pub pacing: Option<PacingMode>,
    /// The first error of a system call ends a flow, also where it would go on.
    #[serde(default)]
    pub strict: bool,
    /// Time between the common start and the opening of the window; not counted.
    #[serde(rename = "warm_up_seconds", with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "f64"))]
    pub warm_up: Duration,
    /// Time between two intermediate readings; 0: there are none.
    #[serde(rename = "interval_seconds", with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "f64"))]
    pub interval: Duration,
    /// The run is ended when nothing at all has moved for so long, twice the time between two
    /// payloads at the least. A server takes the smaller of this and its own cap.
    #[serde(rename = "stall_timeout_seconds", with = "seconds", default = "stall_timeout")]
    #[cfg_attr(feature = "schema", schemars(with = "f64"))]
    pub stall_timeout: Duration,
    /// Streams per direction, or request/response flows.
    pub flows: u32,
    /// How the client lays out its workers.
    pub client: EndPlan,
    /// How the server lays out its workers.
    pub server: EndPlan,
    /// What is asked of every data socket.
    pub socket: SocketPlan,
}

/// Bulk transfer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamPlan {
    /// Which way the bytes go.
    pub direction: Direction,
    /// Bytes handed to the kernel by one send call, and asked for by one receive call.
    pub message_bytes: Bytes,
    /// How the sender hands bytes to the kernel.
    pub send: SendMethod,
    /// How the receiver takes them.
    pub receive: ReceiveMethod,
}

choice! {
/// Direction of bulk streams, as seen from the client.
pub enum Direction {
    /// Client sends, server receives.
    Up = "up",
    /// Server sends, client receives.
    Down = "down",
    /// As many streams each way, at once.
    Both = "both",
}
}

impl Direction {
    /// Directions in which bytes go.
    #[must_use]
    pub const fn ways(self) -> u32 {
        match self {
            Self::Up | Self::Down => 1,
            Self::Both => 2,
        }
    }

    /// What `role` does on stream number `place` of `streams` a direction: with both, the first
    /// half goes up.
    fn flow_role(self, role: Role, place: u32, streams: u32) -> FlowRole {
        let up = match self {
            Self::Up => true,
            Self::Down => false,
            Self::Both => place < streams,
        };
        if up == (role == Role::Client) { FlowRole::Send } else { FlowRole::Receive }
    }
}

/// When the window closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StopCondition {
    /// After a time.
    Time {
        /// Length of the window.
        #[serde(rename = "window_seconds", with = "seconds")]
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
        window: Duration,
    },
    /// When so many bytes have been received, over all streams of one direction.
    Bytes {
        /// Bytes per direction.
        total_bytes: Bytes,
    },
    /// When so many transactions have been completed, over all flows.
    Transactions {
        /// Transactions over all flows.
        total: u64,
    },
}

/// How one end lays out its workers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndPlan {
    /// Worker threads; absent: one a flow while there are few, else one a CPU.
    pub workers: Option<u32>,
    /// Where the workers run.
    pub pin: Pin,
    /// How they wait for requests or responses.
    #[serde(default)]
    pub wait: Wait,
}

/// Where workers run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// Each worker a CPU of its own out of the allowed set; the NIC's NUMA node first, physical
    /// cores before siblings. Left to the scheduler where both ends share a machine.
    #[default]
    Auto,
    /// Left to the scheduler.
    None,
    /// These CPUs in turn.
    List(Vec<u32>),
}

/// What is asked of every data socket. Absent: the system's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SocketPlan {
    /// TCP_CONGESTION.
    pub congestion_control: Option<String>,
    /// SO_SNDBUF and SO_RCVBUF. Setting them ends the kernel's autotuning.
    pub buffer_bytes: Option<Bytes>,
    /// TCP_MAXSEG.
    pub mss_bytes: Option<u32>,
    /// SO_MAX_PACING_RATE of every sending socket.
    pub pacing_bits_per_second: Option<BitRate>,
    /// The rate of each sending flow to which the server's policy keeps the run, where less than
    /// that was not asked for: both ends pace themselves to it. Null: there is none.
    #[serde(default)]
    pub policy_bits_per_second: Option<BitRate>,
    /// Differentiated services code point, 0 to 63 (RFC 2474).
    pub dscp: Option<u8>,
    /// TCP_NODELAY: on for rr, off for streams unless said.
    pub no_delay: bool,
    /// TCP_CORK of every sending socket: only whole segments leave.
    #[serde(default)]
    pub cork: bool,
    /// TCP_QUICKACK, set once: the kernel leaves it again by itself (tcp(7)).
    #[serde(default)]
    pub quick_ack: bool,
    /// Multipath TCP (RFC 8684).
    #[serde(default)]
    pub mptcp: bool,
}

/// What one end does on a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowRole {
    /// Sends a stream.
    Send,
    /// Receives a stream.
    Receive,
    /// Sends requests.
    Request,
    /// Answers them.
    Respond,
}

/// Which end of the control connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The end that was told to measure.
    Client,
    /// The end that listens.
    Server,
}

impl Plan {
    /// Time from one intermediate reading to the next; longer than any run where there are none.
    #[must_use]
    pub const fn time_to_reading(&self) -> Duration {
        const NEVER: Duration = Duration::from_secs(1 << 32);
        if self.interval.is_zero() { NEVER } else { self.interval }
    }

    /// Ids of the flows that are measured: twice the streams when both directions run.
    #[must_use]
    pub const fn measured(&self) -> Range<u32> {
        match self.workload.direction() {
            Some(direction) => 0..self.flows * direction.ways(),
            None => 0..self.flows,
        }
    }

    /// The streams that load the path beside the flows that are measured.
    #[must_use]
    pub const fn load(&self) -> Option<&LoadPlan> {
        self.workload.load()
    }

    /// What the run's bulk streams do, measured or load; absent where there are none.
    #[must_use]
    pub const fn streams(&self) -> Option<&StreamPlan> {
        match (self.workload.stream(), self.load()) {
            (Some(stream), _) | (None, Some(LoadPlan { stream, .. })) => Some(stream),
            _ => None,
        }
    }

    /// Number of data connections at one time, those of the load included. Their ids come last.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.measured().end + self.load().map_or(0, LoadPlan::connections)
    }

    /// Data connections that are opened before the start and last to the end.
    #[must_use]
    pub fn lasting_connections(&self) -> u32 {
        if self.workload.short_lived().is_some() { 0 } else { self.connections() }
    }

    /// What `role` does on flow `id`.
    #[must_use]
    pub fn flow_role(&self, role: Role, id: u32) -> FlowRole {
        match (self.load(), self.workload.direction(), role) {
            (Some(load), ..) if id >= self.flows => {
                load.stream.direction.flow_role(role, id - self.flows, load.streams)
            }
            (_, Some(direction), _) => direction.flow_role(role, id, self.flows),
            (_, None, Role::Client) => FlowRole::Request,
            (_, None, Role::Server) => FlowRole::Respond,
        }
    }

    /// The longest time between two payloads of a flow that keeps to what was asked for, on a
    /// connection with segments of so many bytes; 0 where nothing is waited for.
    #[must_use]
    pub fn payload_gap(&self, segment_bytes: u32) -> Duration {
        // The kernel paces two segments at a time (tcp_tso_autosize).
        let segments = || (2.0 * f64::from(segment_bytes), self.socket.pacing_bits_per_second);
        let datagrams = |udp: &udp::UdpPlan| (float(udp.size() as u64), udp.bits_per_second);
        let (bytes, rate) = self.workload.datagram_stream().map_or_else(segments, datagrams);
        let paced = rate.map_or(0.0, |rate| 8.0 * bytes / float(rate.0.max(1)));
        let rate = self.workload.rate_per_second();
        let due = rate.map_or(0.0, |rate| f64::from(self.flows) / rate);
        let asked_again = match &self.workload {
            Workload::UdpRr(rr) => rr.timeout,
            _ => Duration::ZERO,
        };
        Duration::try_from_secs_f64(paced.max(due)).unwrap_or(Duration::MAX).max(asked_again)
    }

    /// The layout of `role`'s workers.
    #[must_use]
    pub const fn end(&self, role: Role) -> &EndPlan {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }
}
