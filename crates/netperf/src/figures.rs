//! What one test came to, on both ends: all of netperf's output is made from this and the options.
//!
//! Pure data. Absent means not measured or not told; no field holds netperf's stand-ins (-1).

use serde::{Deserialize, Serialize};

use crate::options::Buffers;
use podperf_model::error::Kind;
use podperf_model::latency::Latencies;
use podperf_model::result::allowed_cpus::AllowedCpusChange;
use podperf_sys::tcp_info::RawTcpInfo;

/// One test's result, or the mean of several iterations.
#[derive(Debug, Clone)]
pub struct Figures {
    /// From the first byte to the end of the data phase, drain included.
    pub elapsed_seconds: f64,
    /// What the receiver got; of transactions both directions' payload.
    pub bytes_per_second: f64,
    /// Of tests that transact.
    pub transactions_per_second: Option<f64>,
    /// netperf's end.
    pub local: EndFigures,
    /// netserver's end.
    pub remote: EndFigures,
    /// Of transactions, or of send or receive calls; absent: not kept.
    pub latency: Option<Latencies>,
    /// Of netserver's send or receive calls, where it is podperf and timed them.
    pub remote_latency: Option<Latencies>,
    /// TCP_MAXSEG at the end.
    pub mss_bytes: Option<u32>,
    /// TCP_INFO at the end.
    pub tcp_info: Option<RawTcpInfo>,
    /// Iterations that these figures are means of, and how far they vary.
    pub confidence: Option<Confidence>,
    /// What ended it before its time.
    pub stopped: Option<Kind>,
    /// Both ends are podperf, and said so.
    pub native: bool,
    /// Why this is not the whole test, where it is not.
    pub incomplete: Option<String>,
    /// Interim results of the last iteration, for a document.
    pub interim: Vec<Interim>,
}

impl Figures {
    /// In words, each end whose allowed CPUs were changed in mid-test.
    pub(crate) fn allowed_cpus(&self) -> impl Iterator<Item = String> {
        let ends = [("local end", &self.local), ("remote end", &self.remote)];
        let text = |(name, end): (&str, &EndFigures)| Some(end.allowed_cpus.as_ref()?.text(name));
        ends.into_iter().filter_map(text)
    }
}

/// One end's part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndFigures {
    /// SO_SNDBUF and SO_RCVBUF in bytes when the connection was made.
    pub buffers: Buffers,
    /// Its socket at the end. TCP_NODELAY and TCP_CORK are what was asked for here.
    pub socket: GrantedSocket,
    /// Bytes a send call; absent: this end sends no stream.
    pub send_bytes: Option<u32>,
    /// Bytes a receive call; absent: this end receives no stream.
    pub receive_bytes: Option<u32>,
    /// What it counted.
    pub counters: EndCounters,
    /// CPU over the data phase, where measured.
    pub cpu: Option<CpuPercent>,
    /// The CPUs that it may use, where they were changed and that is known.
    pub allowed_cpus: Option<AllowedCpusChange>,
}

/// Counts of one end over the data phase, from its workers to the tables. Whatever carries them on
/// takes them apart by name, so that none is left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndCounters {
    /// Payload sent.
    pub bytes_sent: u64,
    /// Payload received.
    pub bytes_received: u64,
    /// Send calls that moved bytes.
    pub send_calls: u64,
    /// Receive calls that moved bytes.
    pub receive_calls: u64,
    /// Sends of datagrams that failed.
    pub failed_sends: u64,
    /// Transactions completed, or answered.
    pub transactions: u64,
    /// Requests of datagrams without a response in time.
    pub lost_transactions: u64,
}

/// State of a data socket, as the kernel tells it. What cannot be read is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantedSocket {
    /// SO_SNDBUF in bytes, as the kernel counts it.
    pub send_buffer: Option<u32>,
    /// SO_RCVBUF in bytes, as the kernel counts it.
    pub receive_buffer: Option<u32>,
    /// TCP_MAXSEG.
    pub mss: Option<u32>,
    /// TCP_CONGESTION.
    pub congestion_control: Option<String>,
    /// IP_TOS or IPV6_TCLASS.
    pub tos: Option<u32>,
    /// SO_PRIORITY.
    pub priority: Option<u32>,
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// TCP_CORK.
    pub cork: bool,
    /// TCP_INFO total_retrans; of several sockets, all together.
    pub retransmits: Option<u32>,
}

/// CPU of a machine over the data phase; shares are percent of all CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuPercent {
    /// CPUs of the machine.
    pub cpus: u32,
    /// Busy.
    pub util_percent: f64,
    /// In user mode.
    pub user_percent: f64,
    /// In system mode.
    pub system_percent: f64,
    /// Idle, waiting for I/O.
    pub iowait_percent: f64,
    /// In hard interrupts.
    pub irq_percent: f64,
    /// In soft interrupts.
    pub softirq_percent: f64,
    /// Busy share of the busiest CPU, and its number.
    pub peak: Option<(u32, f64)>,
}

/// What iterations came to, next to what was wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Iterations run.
    pub iterations: u32,
    /// Full width reached, in percent of the mean: throughput.
    pub throughput_percent: f64,
    /// Local CPU; 0: not measured.
    pub local_cpu_percent: f64,
    /// Remote CPU; 0: not measured.
    pub remote_cpu_percent: f64,
    /// All that matter are as narrow as wanted.
    pub reached: bool,
}

/// One interim result (`-D`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interim {
    /// Number of the result, from 0.
    pub number: u32,
    /// Bytes moved on this end.
    pub bytes: u64,
    /// Transactions completed.
    pub transactions: u64,
    /// Length.
    pub seconds: f64,
    /// End, in seconds since the epoch.
    pub ending_seconds: f64,
}
