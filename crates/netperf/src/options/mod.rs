//! What was typed to netperf, by netperf's rules.
//!
//! Enters: the words of a command line. Leaves: [`Options`], or the [`ExitMessage`] that says what
//! goes to which stream and the exit status. No I/O, but for reading files that are named.

mod by_name;
mod client;
mod confidence;
mod data;
mod defaults;
mod global;
mod number;
mod partial;
mod rules;
mod selection;
mod server;
mod usage;
mod words;

#[cfg(test)]
mod tests;

use podperf_model::AddressFamily;
use std::time::Duration;

pub use self::client::{command_line, netperf, wants_document};
pub use self::server::{ServerOptions, netserver};
use super::test_kind::{NetperfTest, TestLength, TestShape};
use podperf_engine::workload::compat::Pace;

/// Everything that one netperf command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `-t`.
    pub test: NetperfTest,
    /// What the test's data connections do; of UUID, LOC_CPU and REM_CPU without meaning.
    pub shape: TestShape,
    /// `-H`: netserver's host as typed.
    pub host: String,
    /// `-H host,family`, `-4`, `-6`.
    pub family: Option<AddressFamily>,
    /// `-L`: own address, for control and data.
    pub local_host: Option<String>,
    /// `-p`: netserver's port, and the own one of the control connection (0: any).
    pub ports: PerEnd<u16>,
    /// `-l`.
    pub length: TestLength,
    /// `-P`: banner and column headers are printed.
    pub header: bool,
    /// `-v`.
    pub verbosity: u32,
    /// `-f`, where given.
    pub unit: Option<Unit>,
    /// `-c` and `-C`: CPU is measured.
    pub cpu: PerEnd<bool>,
    /// `-D`: time between interim results.
    pub interim: Option<Duration>,
    /// `-D sec,units`: the unit of interim results.
    pub interim_unit: Option<Unit>,
    /// `-j`: latency statistics are kept.
    pub statistics: bool,
    /// `-I` and `-i`.
    pub confidence: Option<ConfidenceGoal>,
    /// `-s`: pause before the data connection.
    pub settle: Duration,
    /// `-T`: CPU of netperf and of netserver.
    pub cpus: PerEnd<Option<u32>>,
    /// `-B`.
    pub brand: Option<String>,
    /// `-F`: the own file, its contents to be sent; netserver's is only named.
    pub fill: PerEnd<Option<String>>,
    /// `-Z`.
    pub passphrase: Option<String>,
    /// `-Y`: TOS octet or traffic class.
    pub tos: PerEnd<Option<u8>>,
    /// `-y`: SO_PRIORITY.
    pub priority: PerEnd<Option<u32>>,
    /// `-S`: SO_KEEPALIVE on data sockets.
    pub keepalive: bool,
    /// `-b` and `-w`: pacing.
    pub pace: PerEnd<Option<Pace>>,
    /// `-W`, `-a`, `-A`, `-o`, `-O`: buffer rings; shown, without effect.
    pub layout: BufferRings,
    /// `-d`, how often.
    pub debug: u32,
    /// The options after `--`.
    pub data: DataOptions,
    /// `--json`: one JSON document instead of netperf's output.
    pub json: bool,
    /// `--streams`: data connections, all started together.
    pub streams: u32,
    /// `--percentiles`: further percentiles, in percent, for `--json` and the classic tables.
    pub percentiles: Vec<f64>,
    /// `--peer-timeout`: how long netserver may say or take nothing; absent: as netperf waits.
    pub peer_timeout: Option<Duration>,
    /// `--native auto|off`: what podperf adds is used where the peer is podperf.
    pub native: bool,
    /// The command line, words joined by blanks.
    pub command_line: String,
    /// Lines for standard error; the run goes on.
    pub notes: Vec<String>,
}

/// The options of the test, after `--`.
#[derive(Debug, Clone, PartialEq)]
pub struct DataOptions {
    /// `-H`: where data goes, if not to the control host.
    pub host: Option<String>,
    /// `-L`: where data comes from, if not from the control connection's address.
    pub local_host: Option<String>,
    /// `-4`, `-6`, or of `-H`.
    pub family: Option<AddressFamily>,
    /// `-P`: data ports, own and netserver's; 0: any.
    pub ports: PerEnd<u16>,
    /// `-m`: bytes of each send, by either end.
    pub send_bytes: PerEnd<Option<u32>>,
    /// `-M`: bytes asked for by each receive, by either end.
    pub receive_bytes: PerEnd<Option<u32>>,
    /// `-r`: request and response size in bytes.
    pub request_bytes: u32,
    /// See `request_bytes`.
    pub response_bytes: u32,
    /// `-s` and `-S`: SO_SNDBUF and SO_RCVBUF of either end's data socket.
    pub buffers: PerEnd<Buffers>,
    /// `-o`, `-O`, `-k`.
    pub selection: Option<Selection>,
    /// `-D`: TCP_NODELAY on both ends.
    pub no_delay: bool,
    /// `-C`: TCP_CORK.
    pub cork: bool,
    /// `-b`: requests kept in flight beyond the first.
    pub burst: Option<u32>,
    /// `-R`: routing is allowed.
    pub routing: bool,
    /// `-e`: how long a UDP response is waited for.
    pub receive_timeout: Option<Duration>,
    /// `-K`: congestion control of either end.
    pub congestion_control: PerEnd<Option<String>>,
    /// `-u`: the UUID to report.
    pub uuid: Option<String>,
    /// `-G`: TCP_MAXSEG.
    pub mss: Option<u32>,
    /// `-q`: SO_MAX_PACING_RATE in bytes per second.
    pub pacing_bytes_per_second: Option<u64>,
    /// `-p`: ports that connections of CRR and CC are made from.
    pub client_ports: Option<(u16, u16)>,
    /// `-V`: copy avoidance.
    pub copy_avoidance: bool,
    /// `-f`: datagrams are not fragmented.
    pub dont_fragment: bool,
}

/// A value for netperf's side and one for netserver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerEnd<T> {
    /// Of netperf's side.
    pub local: T,
    /// Of netserver's side.
    pub remote: T,
}

/// SO_SNDBUF and SO_RCVBUF in bytes, where asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffers {
    /// SO_SNDBUF.
    pub send: Option<u32>,
    /// SO_RCVBUF.
    pub receive: Option<u32>,
}

/// `-f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `B`, `K`, `M`, `G`: bytes by powers of 1024.
    Bytes(u32),
    /// `b`, `k`, `m`, `g`: bits by powers of 1000.
    Bits(u32),
    /// `x`: transactions.
    Transactions,
    /// `u`: microseconds a transaction.
    Microseconds,
}

/// `-I` and `-i`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceGoal {
    /// 95 or 99 percent.
    pub level: u32,
    /// Full width of the interval, in percent of the mean.
    pub width_percent: f64,
    /// Iterations, at least and at most.
    pub iterations: (u32, u32),
    /// `-r`: CPU may vary.
    pub result_only: bool,
}

/// Alignment, offset and number of send and receive buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferRings {
    /// `-a`, `-A`: alignment in bytes.
    pub align: PerEnd<u32>,
    /// `-o`, `-O`: offset in bytes.
    pub offset: PerEnd<u32>,
    /// `-W`: buffers of the send ring and the receive ring, where given.
    pub width: PerEnd<Option<u32>>,
}

/// Which figures are printed how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `-o`, `-O` or `-k`.
    pub format: Format,
    /// What was named: selectors in blocks; absent: those of the test's direction.
    pub blocks: Option<Vec<Vec<String>>>,
}

/// What output knows of the figures that can be selected.
#[derive(Debug, Clone, Copy)]
pub struct SelectableFigures {
    /// Whether a word names one.
    pub is_name: fn(&str) -> bool,
    /// All of their names, as a format shows them.
    pub listing: fn(Format) -> String,
}

/// How figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `-o`.
    Csv,
    /// `-O`.
    Human,
    /// `-k`.
    KeyValue,
}

/// A command line that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExitMessage {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// Exit status.
    pub status: u8,
}

/// A family as netperf names it.
pub(crate) const fn family_name(family: Option<AddressFamily>) -> &'static str {
    match family {
        None => "AF_UNSPEC",
        Some(AddressFamily::V4) => "AF_INET",
        Some(AddressFamily::V6) => "AF_INET6",
    }
}

impl ExitMessage {
    /// A text on standard output.
    pub(crate) fn printed(out: impl Into<String>, status: u8) -> Self {
        Self { out: out.into(), status, ..Self::default() }
    }

    /// A text on standard error, exit status 1.
    pub(crate) fn failure(err: impl Into<String>) -> Self {
        Self { err: err.into(), status: 1, ..Self::default() }
    }

    /// One line of netperf's on standard error, exit status 1.
    pub(crate) fn because(why: impl std::fmt::Display) -> Self {
        Self::failure(format!("netperf: {why}\n"))
    }

    /// The same with the usage behind it.
    fn usage(why: impl std::fmt::Display) -> Self {
        Self::because(format!("{why}\n\n{}", usage::NETPERF.trim_end()))
    }
}
