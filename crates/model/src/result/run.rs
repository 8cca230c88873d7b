//! The result document, schema `podperf.run/v1`. Every field's comment becomes its description in
//! the JSON Schema (`podperf schema`).

mod between;
mod latency;
mod machine;
mod transport;
mod udp;
mod window;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::HostFacts;
use crate::plan::{FlowRole, Plan, Role};
use crate::reading::TcpInfo;

pub use crate::result::placement::{Multiplexing, PlacementFacts};
pub use crate::result::{socket::SocketFacts, transient::TransientError};
pub use between::{Between, Intermediary, PacketSizes, PathMtu, SeenAddresses};
pub use latency::{Latency, ScheduleFacts};
pub use machine::{Ceiling, CgroupUse, Cpu, CpuModes, IntervalCpu, Packets, PerCpu, ProcessCpu};
pub use transport::{Connections, ReceiveFacts, SendFacts, TransportFacts, ZerocopyFacts};
pub use udp::{DatagramCalls, DatagramFacts, Udp};
pub use window::{OpenedRun, Window};

/// Name and version of the schema.
pub const SCHEMA: &str = "podperf.run/v1";

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// `podperf.run/v1`.
    pub schema: String,
    /// When the run was asked for (RFC 3339, UTC).
    pub started_at: String,
    /// The command line.
    pub command: Vec<String>,
    /// The server that was named, `host:port`.
    pub target: String,
    /// What stands between the ends, by what both see of the control connection; null: the server
    /// did not say what it sees.
    pub between: Option<Between>,
    /// Sizes of packets that get through, by a probe after a run that broke off; null: none.
    pub path_mtu: Option<PathMtu>,
    /// Other sessions that ran on the server between this run's start and its end; null: not told.
    pub other_sessions: Option<u32>,
    /// What was to be done.
    pub plan: Plan,
    /// Whether all of it was done.
    pub status: Status,
    /// What went wrong, in order of time; empty when complete.
    pub errors: Vec<Error>,
    /// Errors of system calls that flows of datagrams, or connections that do not last, outlived.
    #[serde(default)]
    pub transient_errors: Vec<TransientError>,
    /// The measured window; null when it never opened.
    pub window: Option<Window>,
    /// Goodput; null when nothing was measured.
    pub throughput: Option<Throughput>,
    /// Goodput of the streams that loaded the path beside request/response flows; null where there
    /// were none.
    pub load: Option<Throughput>,
    /// One entry a stream or flow; streams of the load come last.
    pub streams: Vec<Stream>,
    /// Jain's fairness index over the goodputs of the streams of one direction (the lowest where
    /// there are several, load included): 1 is even, 1/n is one stream having all (Jain, Chiu,
    /// Hawe 1984).
    pub fairness: Option<f64>,
    /// Request/response runs only.
    pub transactions: Option<Transactions>,
    /// Request/response runs only: from the request (open loop: from the time it was due) to the
    /// last byte of its response, for each transaction completed in the window.
    pub latency: Option<Latency>,
    /// Open loop only: the same from the real send.
    pub service_time: Option<Latency>,
    /// Connect-request-response runs only: time to open a connection, from before its socket was
    /// made, for each transaction completed in the window.
    pub connect_time: Option<Latency>,
    /// Connect-request-response runs only: what became of the connections.
    pub connections: Option<Connections>,
    /// Open loop, and datagrams at a rate: how well the schedule was kept.
    pub schedule: Option<ScheduleFacts>,
    /// Runs of datagrams only: loss, reordering, duplicates, jitter.
    pub udp: Option<Udp>,
    /// CPU on both ends over exactly the window.
    pub cpu: Ends<Option<Cpu>>,
    /// The kernel's packet path on both ends over the window.
    pub packets: Ends<Option<Packets>>,
    /// The fingerprint of both ends.
    pub host: Ends<Option<HostFacts>>,
    /// Where the workers ran.
    pub placement: Ends<Option<PlacementFacts>>,
    /// How each end moved the bytes of its streams; null for an end that did not report.
    pub transport: Ends<Option<TransportFacts>>,
    /// How close it came to podperf's own ceiling; null without a calibration that tells.
    pub ceiling: Option<Ceiling>,
    /// Why there is a calibration that holds here and no ceiling all the same; null otherwise.
    pub no_ceiling: Option<String>,
    /// Readings between the window's edges.
    pub intervals: Vec<Interval>,
    /// What bound the run.
    pub verdict: Verdict,
    /// What to doubt, and what to do about it.
    pub warnings: Vec<Warning>,
}

impl Run {
    /// Both ends ran on one machine: their boot ids are known and equal.
    #[must_use]
    pub fn same_machine(&self) -> bool {
        let boot_id =
            |host: &Option<HostFacts>| host.as_ref().and_then(|host| host.boot_id.clone());
        let (client, server) = (boot_id(&self.host.client), boot_id(&self.host.server));
        client.is_some() && client == server
    }
}

/// A pair of values, one an end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ends<T> {
    /// The end that was told to measure.
    pub client: T,
    /// The end that listens.
    pub server: T,
}

impl<T> Ends<T> {
    /// What `value` says of each end, the client first.
    pub fn of(mut value: impl FnMut(Role) -> T) -> Self {
        Self { client: value(Role::Client), server: value(Role::Server) }
    }

    /// One end's value.
    #[must_use]
    pub const fn get(&self, role: Role) -> &T {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    /// Both values, each with the name of its end.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &T); 2] {
        [("client", &self.client), ("server", &self.server)]
    }
}

/// Whether a run did what was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it.
    Complete,
    /// A part, or nothing; `errors` says why.
    Incomplete,
}

/// Goodput over all streams. Each end's bytes are divided by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Throughput {
    /// What the receivers got, in bits per second: the headline. With both directions, their sum.
    /// For request/response: requests received by the server plus responses received by the client.
    pub bits_per_second: f64,
    /// What the senders handed to the kernel, in bits per second; null when no sender's figures
    /// arrived.
    pub sent_bits_per_second: Option<f64>,
    /// Bytes received in the window.
    pub bytes_received: u64,
    /// Bytes sent in the window; null when no sender's figures arrived.
    pub bytes_sent: Option<u64>,
    /// Goodput from client to server, in bits per second; null where nothing goes that way or
    /// nothing is known of it.
    pub up_bits_per_second: Option<f64>,
    /// Goodput from server to client, in bits per second; null likewise.
    pub down_bits_per_second: Option<f64>,
    /// Segments retransmitted in the window, over all senders' sockets that could be read.
    pub retransmits: Option<u64>,
    /// True when the receiver's figures were lost and what the sender's kernel saw acknowledged
    /// stands in their place.
    pub from_sender: bool,
}

/// One stream or flow over the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stream {
    /// Number of the stream, from 0.
    pub id: u32,
    /// `up` (client to server), `down`, or `exchange` (request/response).
    pub direction: StreamDirection,
    /// Bytes the receiver got (request/response: both ways); null: not known.
    pub bytes_received: Option<u64>,
    /// The same by the receiving kernel's own count (tcpi_bytes_received): apart from
    /// `bytes_received` by what stood in the receive buffer at the window's edges.
    pub tcp_bytes_received: Option<u64>,
    /// Bytes the sender's kernel took (request/response: both ways); null: not known.
    pub bytes_sent: Option<u64>,
    /// Goodput in bits per second; null: not known.
    pub bits_per_second: Option<f64>,
    /// Segments retransmitted in the window by the sending end(s); null: TCP_INFO not readable.
    pub retransmits: Option<u64>,
    /// Smoothed round-trip time at the end of the window, seen by the sender (request/response: by
    /// the client), in microseconds.
    pub rtt_us: Option<u32>,
    /// Transactions completed in the window (request/response only).
    pub transactions: Option<u64>,
    /// Mean bytes moved by one send call over the flow's whole life; null: not reported.
    pub mean_send_bytes: Option<f64>,
    /// Mean bytes moved by one receive call over the flow's whole life; null: not reported.
    pub mean_receive_bytes: Option<f64>,
    /// Bytes sent and received over the stream's whole life, warm-up and drain included; equal when
    /// nothing was lost. Null when an end did not report.
    pub lifetime: Option<Lifetime>,
    /// TCP_INFO on both ends at the end of the window, cumulative since the connection opened.
    pub tcp: Ends<Option<TcpInfo>>,
    /// Time-limited shares over the window at the sending end (request/response: at the client).
    pub limited: Option<Limited>,
    /// Streams of datagrams only: what became of those sent in the window; null: not known.
    pub datagrams: Option<DatagramFacts>,
    /// The sockets, asked and granted.
    pub socket: Ends<Option<SocketFacts>>,
}

/// Bytes over a stream's whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lifetime {
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes received by the other end.
    pub bytes_received: u64,
    /// The receiver saw the orderly end of the stream.
    pub drained: bool,
}

/// Which way a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamDirection {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
    /// Requests up, responses down.
    Exchange,
}

impl StreamDirection {
    /// From what the client does on the flow.
    #[must_use]
    pub const fn of(client_part: FlowRole) -> Self {
        match client_part {
            FlowRole::Send => Self::Up,
            FlowRole::Receive => Self::Down,
            FlowRole::Request | FlowRole::Respond => Self::Exchange,
        }
    }
}

/// What TCP says held the sender back: shares of the window (tcpi_busy_time and its parts).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limited {
    /// Share of the window with data outstanding or queued.
    #[serde(rename = "busy_share")]
    pub busy: f64,
    /// Share of the window limited by the peer's receive window.
    #[serde(rename = "receive_window_share")]
    pub receive_window: f64,
    /// Share of the window limited by the send buffer.
    #[serde(rename = "send_buffer_share")]
    pub send_buffer: f64,
}

/// Request/response transactions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Transactions {
    /// Completed inside the window.
    pub count: u64,
    /// Per second of the client's window.
    pub per_second: f64,
}

/// One interval inside the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Interval {
    /// Start, in seconds after the window opened (client's clock).
    pub start_seconds: f64,
    /// End, likewise.
    pub end_seconds: f64,
    /// The last one, shorter than asked for.
    pub partial: bool,
    /// Goodput in bits per second.
    pub bits_per_second: Option<f64>,
    /// Goodput of the load's streams in bits per second; null where there are none.
    pub load_bits_per_second: Option<f64>,
    /// Sent, in bits per second.
    pub sent_bits_per_second: Option<f64>,
    /// Goodput by stream id, in bits per second; null: not known.
    pub stream_bits_per_second: Vec<Option<f64>>,
    /// Segments retransmitted.
    pub retransmits: Option<u64>,
    /// Highest smoothed round-trip time of a stream, in microseconds.
    pub rtt_us: Option<u32>,
    /// Sum of the congestion windows, in bytes.
    pub cwnd_bytes: Option<u64>,
    /// Transactions per second.
    pub transactions_per_second: Option<f64>,
    /// Mean latency, in nanoseconds.
    pub latency_mean_ns: Option<f64>,
    /// Datagrams that the receivers found missing in the sequence, less those that came late.
    pub datagrams_lost: Option<u64>,
    /// Mean interarrival jitter of the flows at the interval's end, in microseconds.
    pub jitter_us: Option<f64>,
    /// CPU by end, in busy cores.
    pub cpu: Ends<Option<IntervalCpu>>,
}

/// What bound the run, and what says so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// The bound.
    pub bound_by: Bound,
    /// Readings the verdict rests on, each with its figure and unit.
    pub evidence: Vec<String>,
}

/// What can bound a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The device's line rate.
    Link,
    /// The pacing rate asked for.
    Pacing,
    /// The rate of requests asked for (open loop).
    OfferedRate,
    /// One request after the other: the round trip (closed loop, CPUs not busy).
    RoundTrip,
    /// The CPUs of the end that sends (request/response: the client; both directions: whichever
    /// end is full, since each sends).
    SenderCpu,
    /// The CPUs of the end that receives (request/response: the server).
    ReceiverCpu,
    /// One CPU full of softirqs.
    SoftirqCore,
    /// The receiver's window.
    ReceiveWindow,
    /// The sender's buffer.
    SendBuffer,
    /// A cgroup CPU quota.
    CpuQuota,
    /// Segments that were lost on the path, and the congestion window that TCP cut for them.
    Loss,
    /// What lies between the ends: a queue that stays filled, a shaper, datagrams lost on the way.
    Path,
    /// podperf and the kernel's stack on these machines: as fast as over loopback.
    Generator,
    /// The evidence does not tell.
    #[default]
    Unclear,
}

/// Something that makes a figure doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Warning {
    /// Stable name, in snake_case.
    pub code: String,
    /// What was seen, with figures and units.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}
