//! Counters at one instant on one end. All are cumulative; a rate is the difference of two samples
//! divided by the time between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything one end reads at one instant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Nanoseconds since this end's workers were released (CLOCK_MONOTONIC).
    pub at_ns: u64,
    /// One entry a flow, in order of flow id.
    pub flows: Vec<FlowCounters>,
    /// The machine and the process.
    pub host: HostCounters,
}

/// What one flow has done since it was connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowCounters {
    /// Bytes the kernel took.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Transactions completed inside the window (rr only).
    pub transactions: u64,
    /// Sum of their latencies, in nanoseconds.
    pub latency_sum_ns: u64,
    /// TCP_INFO of the socket; absent when it could not be read (closed).
    pub tcp: Option<TcpInfo>,
    /// Of a flow of datagrams.
    pub datagrams: Option<Datagrams>,
}

/// What a flow of datagrams has done since it was set up, as seen from one end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagrams {
    /// Datagrams the kernel took.
    pub sent: u64,
    /// Datagrams received, each counted once.
    pub received: u64,
    /// Datagrams that the sender must have sent: the highest sequence number received, plus one.
    pub expected: u64,
    /// Datagrams that came after one with a higher sequence number (RFC 4737, section 3.3).
    pub reordered: u64,
    /// Further copies of datagrams that had been received.
    pub duplicates: u64,
    /// Most by which the sequence number of a reordered datagram lay below the highest received.
    pub distance_max: u64,
    /// Interarrival jitter (RFC 3550, section 6.4.1) as of the last datagram, in nanoseconds.
    pub jitter_ns: u64,
    /// Drops at the socket's receive buffer (SO_MEMINFO); 32 bits, wraps.
    pub socket_drops: Option<u32>,
}

/// The part of TCP_INFO that tells how a flow fared (linux/tcp.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TcpInfo {
    /// Segments retransmitted over the connection's life (tcpi_total_retrans).
    pub retransmits: u32,
    /// Smoothed round-trip time in microseconds (tcpi_rtt).
    pub rtt_us: u32,
    /// Its mean deviation in microseconds (tcpi_rttvar).
    pub rttvar_us: u32,
    /// Lowest round-trip time seen, in microseconds (tcpi_min_rtt).
    pub min_rtt_us: u32,
    /// Congestion window in segments (tcpi_snd_cwnd).
    pub cwnd_segments: u32,
    /// Maximum segment size for sending, in bytes (tcpi_snd_mss).
    pub mss_bytes: u32,
    /// Path MTU, in bytes (tcpi_pmtu).
    pub path_mtu_bytes: u32,
    /// Most recent goodput seen by the sender, in bytes per second (tcpi_delivery_rate).
    pub delivery_rate_bytes_per_second: u64,
    /// Pacing rate in bytes per second; u64::MAX: none (tcpi_pacing_rate).
    pub pacing_rate_bytes_per_second: u64,
    /// Bytes acknowledged by the peer (tcpi_bytes_acked).
    pub bytes_acked: u64,
    /// Bytes received in order (tcpi_bytes_received).
    pub bytes_received: u64,
    /// Bytes in the send queue that were not sent (tcpi_notsent_bytes).
    pub not_sent_bytes: u32,
    /// Microseconds with data outstanding or queued (tcpi_busy_time).
    pub busy_us: u64,
    /// Of these, limited by the peer's receive window (tcpi_rwnd_limited).
    pub rwnd_limited_us: u64,
    /// Of these, limited by the send buffer (tcpi_sndbuf_limited).
    pub sndbuf_limited_us: u64,
    /// Segments sent (tcpi_segs_out).
    pub segments_out: u32,
    /// Segments received (tcpi_segs_in).
    pub segments_in: u32,
    /// Segments delivered with congestion-experienced marks (tcpi_delivered_ce).
    pub delivered_ce: u32,
}

/// What the machine and the process have done since boot and since start. Absent: not readable;
/// the reason stands once in the end's facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostCounters {
    /// /proc/stat.
    pub cpu: Option<CpuStat>,
    /// getrusage(RUSAGE_SELF).
    pub process: Option<ProcessTimes>,
    /// /proc/net/softnet_stat by CPU id.
    pub softnet: Option<BTreeMap<u32, Softnet>>,
    /// What went through the device of the route to the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DevicePackets>,
    /// NET_RX and NET_TX of /proc/softirqs by CPU id.
    pub softirqs: Option<BTreeMap<u32, NetSoftirqs>>,
    /// CPU accounting of the process's own cgroup.
    pub cgroup: Option<CgroupCpu>,
    /// CPUs that the sampling thread, and with it the process, may use (sched_getaffinity(2)),
    /// ascending.
    pub cpus_allowed: Option<Vec<u32>>,
    /// The same of all workers together; absent also where one of them has come to its end.
    pub worker_cpus_allowed: Option<Vec<u32>>,
    /// CPU time that taking this sample cost the sampling thread, in nanoseconds.
    pub sampler_ns: u64,
}

/// /proc/stat: the machine's CPU time in clock ticks (USER_HZ).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStat {
    /// Ticks per second (sysconf(_SC_CLK_TCK)).
    pub ticks_per_second: u64,
    /// The line labelled `cpu`.
    pub total: CpuTicks,
    /// The lines labelled `cpuN`, by N: only CPUs that are online.
    pub per_cpu: BTreeMap<u32, CpuTicks>,
}

/// One line of /proc/stat, in ticks. Guest time stands inside user and nice (proc_stat(5)) and is
/// therefore not kept apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTicks {
    /// Normal processes in user mode.
    pub user: u64,
    /// Niced processes in user mode.
    pub nice: u64,
    /// Kernel mode.
    pub system: u64,
    /// Idle.
    pub idle: u64,
    /// Idle while I/O was outstanding.
    pub iowait: u64,
    /// Hardware interrupts.
    pub irq: u64,
    /// Software interrupts.
    pub softirq: u64,
    /// Taken by the hypervisor for others.
    pub steal: u64,
}

/// The process's own CPU time since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTimes {
    /// User mode, in microseconds.
    pub user_us: u64,
    /// Kernel mode, in microseconds.
    pub system_us: u64,
    /// Highest resident set size so far, in KiB.
    pub max_rss_kib: u64,
    /// Voluntary context switches.
    pub voluntary_switches: u64,
    /// Involuntary context switches.
    pub involuntary_switches: u64,
}

/// One CPU's line of /proc/net/softnet_stat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softnet {
    /// Packets processed.
    pub processed: u64,
    /// Packets dropped because the backlog was full.
    pub dropped: u64,
    /// Times the softirq ended with work left (budget or time used up).
    pub time_squeeze: u64,
}

/// Packets and bytes through a device since it was made, headers included. A packet is what the
/// stack and the device hand to each other: on veth and its like that may be 64 KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePackets {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
}

/// One CPU's network softirq counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetSoftirqs {
    /// NET_RX raised and run.
    pub net_rx: u64,
    /// NET_TX raised and run.
    pub net_tx: u64,
}

/// CPU accounting of a cgroup (v1 cpuacct + cpu, or v2 cpu.stat).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupCpu {
    /// CPU time used by the group, in microseconds.
    pub usage_us: Option<u64>,
    /// Scheduler periods that passed while the group had something to run under a quota.
    pub periods: Option<u64>,
    /// Of these, periods in which the group was throttled.
    pub throttled_periods: Option<u64>,
    /// Time throttled, in microseconds.
    pub throttled_us: Option<u64>,
}
