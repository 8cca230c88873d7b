//! The parts of the result document about the machines: CPU and packet path of one end, and what
//! podperf itself could do at most there. Data only; the figures are taken in `result::cpu`,
//! `result::packets` and `result::calibration`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Time by mode, as a share of the time that passed: 1.0 is one CPU all the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CpuModes {
    /// User mode, guests included.
    #[serde(rename = "user_cores")]
    pub user: f64,
    /// Niced user mode.
    #[serde(rename = "nice_cores")]
    pub nice: f64,
    /// Kernel mode.
    #[serde(rename = "system_cores")]
    pub system: f64,
    /// Idle with I/O outstanding; not busy.
    #[serde(rename = "iowait_cores")]
    pub iowait: f64,
    /// Hardware interrupts.
    #[serde(rename = "irq_cores")]
    pub irq: f64,
    /// Software interrupts: the network stack's receive side, above all.
    #[serde(rename = "softirq_cores")]
    pub softirq: f64,
    /// Taken by the hypervisor.
    #[serde(rename = "steal_cores")]
    pub steal: f64,
    /// Idle.
    #[serde(rename = "idle_cores")]
    pub idle: f64,
}

/// CPU over the window, in busy cores: 1.0 is one CPU for the whole window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cpu {
    /// All CPUs together.
    #[serde(flatten)]
    pub modes: CpuModes,
    /// user + nice + system + irq + softirq.
    #[serde(rename = "busy_cores")]
    pub busy: f64,
    /// CPUs online at the end of the window.
    pub cpus: u32,
    /// The same by CPU: those that were online at both edges.
    pub per_cpu: Vec<PerCpu>,
    /// The podperf process alone, in busy cores (getrusage); null: not readable.
    pub process: Option<ProcessCpu>,
    /// busy cores divided by goodput in Gbit/s; null without goodput.
    pub cores_per_gbit: Option<f64>,
    /// Busy CPU time per transaction in microseconds (request/response only); null without any.
    pub us_per_transaction: Option<f64>,
    /// The process's cgroup; null: not readable.
    pub cgroup: Option<CgroupUse>,
    /// Largest error of each figure from the tick length, in busy cores: one tick a CPU and edge of
    /// the window.
    pub resolution_cores: f64,
    /// Counters that ran backwards and were taken as zero.
    pub clamped: u32,
    /// What /proc/stat covers here: `machine`, or `filtered` (lxcfs or a sandbox).
    pub scope: String,
}

/// One CPU over the window, in shares of it: 0 to 1, give or take a tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PerCpu {
    /// CPU id, from the label.
    pub cpu: u32,
    /// Its own time.
    #[serde(flatten)]
    pub modes: CpuModes,
}

/// The process's own CPU, in busy cores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessCpu {
    /// User mode.
    #[serde(rename = "user_cores")]
    pub user: f64,
    /// Kernel mode.
    #[serde(rename = "system_cores")]
    pub system: f64,
    /// Highest resident set, in bytes.
    pub max_rss_bytes: u64,
    /// Of this, the sampler's own cost.
    #[serde(rename = "sampler_cores")]
    pub sampler: f64,
    /// Of this, what workers waited awake for the times of their sends; null: there were no such
    /// times.
    #[serde(rename = "spun_cores", default)]
    pub spun: Option<f64>,
}

/// The cgroup's CPU over the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CgroupUse {
    /// Busy cores of the whole group.
    pub usage_cores: Option<f64>,
    /// Quota periods passed.
    pub periods: Option<u64>,
    /// Periods in which the group was throttled.
    pub throttled_periods: Option<u64>,
    /// Time throttled, in seconds.
    pub throttled_seconds: Option<f64>,
}

/// The packet path over the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Packets {
    /// Packets that the device of the route to the peer sent; where it segments them itself, as a
    /// rule each segment. Null: not readable.
    pub device_sent: Option<u64>,
    /// Packets that it received. Null: not readable.
    pub device_received: Option<u64>,
    /// Their mean size with all headers, in bytes, of those sent; null: none, or not readable. On
    /// veth and its like, packets are as large as the stack makes them: about the MTU where
    /// segmentation offload is missing, up to 64 KiB where it works.
    pub mean_sent_packet_bytes: Option<f64>,
    /// The same of those received.
    pub mean_received_packet_bytes: Option<f64>,
    /// softnet: packets processed.
    pub processed: Option<u64>,
    /// softnet: packets dropped, backlog full.
    pub dropped: Option<u64>,
    /// softnet: softirq rounds that ended with work left.
    pub time_squeeze: Option<u64>,
    /// NET_RX softirqs.
    pub net_rx: Option<u64>,
    /// NET_TX softirqs.
    pub net_tx: Option<u64>,
    /// CPU that ran most NET_RX softirqs.
    pub busiest_net_rx_cpu: Option<u32>,
    /// Its share of all NET_RX softirqs, 0 to 1.
    pub busiest_net_rx_share: Option<f64>,
}

/// CPU over an interval, in busy cores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IntervalCpu {
    /// User and nice.
    #[serde(rename = "user_cores")]
    pub user: f64,
    /// Kernel mode.
    #[serde(rename = "system_cores")]
    pub system: f64,
    /// Software interrupts.
    #[serde(rename = "softirq_cores")]
    pub softirq: f64,
    /// Taken by the hypervisor.
    #[serde(rename = "steal_cores")]
    pub steal: f64,
    /// user + nice + system + irq + softirq.
    #[serde(rename = "busy_cores")]
    pub busy: f64,
    /// Busiest CPU's busy share, 0 to 1.
    #[serde(rename = "busiest_cpu_share")]
    pub busiest_cpu: f64,
    /// softnet drops on this end.
    pub softnet_dropped: Option<u64>,
    /// Quota periods throttled.
    pub throttled_periods: Option<u64>,
    /// Kernel mode and software interrupts together by CPU id, as a share of the interval, 0 to 1:
    /// of the 16 CPUs with most of it those with 0.01 or more.
    #[serde(default)]
    pub kernel_share_by_cpu: BTreeMap<u32, f64>,
}

/// How close a run came to what podperf reaches over loopback on the client's machine, as
/// `podperf calibrate` measured it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ceiling {
    /// Which of the calibration's figures: methods, number of streams, placement.
    pub figure: String,
    /// When it was measured (RFC 3339, UTC).
    pub taken_at: String,
    /// Streams: the goodput over loopback; null for request/response.
    pub bits_per_second: Option<f64>,
    /// Request/response: the median latency over loopback, in nanoseconds; null for streams.
    pub latency_p50_ns: Option<u64>,
    /// How close: this run's goodput divided by the ceiling, or the floor divided by this run's
    /// median latency. 1 is as fast as loopback; between two machines it may pass 1, because
    /// loopback has both ends on one machine's CPUs.
    pub share: f64,
}

impl CpuModes {
    /// user + nice + system + irq + softirq; guests stand inside user and nice, and waiting for
    /// I/O is idle time (proc_stat(5)).
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.user + self.nice + self.system + self.irq + self.softirq
    }
}

impl ProcessCpu {
    /// User and kernel mode together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.user + self.system
    }
}
