//! Facts about one end that hold for the whole run: machine, kernel, route, limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The fingerprint of one end. A fact that could not be established is null; `unknown` says why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostFacts {
    /// podperf's version on this end.
    pub podperf_version: String,
    /// Host name (uname nodename; in a pod the pod's name).
    pub hostname: Option<String>,
    /// Kernel release (uname -r).
    pub kernel: Option<String>,
    /// Machine architecture (uname -m).
    pub architecture: Option<String>,
    /// /proc/sys/kernel/random/boot_id: the same on both ends means one machine.
    pub boot_id: Option<String>,
    /// CPU model name.
    pub cpu_model: Option<String>,
    /// CPUs online.
    pub cpus_online: Option<u32>,
    /// CPUs this process may run on (affinity within cpuset), by id.
    pub cpus_allowed: Vec<u32>,
    /// Simultaneous multithreading active.
    pub smt_active: Option<bool>,
    /// NUMA nodes with CPUs.
    pub numa_nodes: Option<u32>,
    /// cpufreq governor of the first allowed CPU.
    pub governor: Option<String>,
    /// Current clocksource.
    pub clocksource: Option<String>,
    /// Cost of one CLOCK_MONOTONIC read, in nanoseconds (median of batches).
    pub clock_read_ns: Option<f64>,
    /// Memory of the machine, in bytes.
    pub memory_bytes: Option<u64>,
    /// The process runs in a container (and what says so), or not.
    pub container: Option<Container>,
    /// Limits of the cgroup the process runs in.
    pub cgroup: Option<CgroupLimits>,
    /// /proc/stat is rebuilt by lxcfs or a sandbox, so it may not be the host's.
    pub proc_filtered: Option<bool>,
    /// Softirq time is accounted exactly (CONFIG_IRQ_TIME_ACCOUNTING), not by ticks.
    pub irq_time_accounting: Option<bool>,
    /// The device the route to the peer leaves by.
    pub device: Option<DeviceFacts>,
    /// Kernel settings that bear on TCP.
    pub tcp: TcpSettings,
    /// Facts that are null, with the reason, by field name.
    pub unknown: BTreeMap<String, String>,
}

/// Whether and how the process is contained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Container {
    /// True in a container.
    pub contained: bool,
    /// What says so: "kubernetes", "docker", "podman", "lxc", "none found" …
    pub evidence: String,
}

/// Limits of a cgroup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CgroupLimits {
    /// 1 or 2.
    pub version: u32,
    /// CPU quota in cores; null: no quota.
    pub cpu_quota_cores: Option<f64>,
    /// Length of one quota period, in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Memory limit in bytes; null: none.
    pub memory_limit_bytes: Option<u64>,
}

/// A network device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceFacts {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub index: u32,
    /// Driver ("veth", "mlx5_core", "virtio_net" …).
    pub driver: Option<String>,
    /// Link speed in bits per second; null where the device has none (veth, lo).
    pub speed_bits_per_second: Option<u64>,
    /// MTU in bytes.
    pub mtu_bytes: Option<u32>,
    /// NUMA node of the device; null: none or not told.
    pub numa_node: Option<u32>,
    /// Root queueing discipline.
    pub qdisc: Option<String>,
    /// Rate that the root queueing discipline shapes to (tbf; htb: the highest ceiling of its
    /// classes), in bits per second; null: it does not shape, as far as is known.
    pub shaper_bits_per_second: Option<u64>,
    /// Receive queues.
    pub rx_queues: Option<u32>,
    /// Transmit queues.
    pub tx_queues: Option<u32>,
    /// Offloads by ethtool's short name (tso, gso, gro, lro, rx, tx, sg): on or off.
    pub offloads: BTreeMap<String, bool>,
    /// Device facts that are null, with the reason.
    pub unknown: BTreeMap<String, String>,
}

/// Kernel settings for TCP, as read in this network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TcpSettings {
    /// Default congestion control.
    pub congestion_control: Option<String>,
    /// Congestion controls a socket may choose.
    pub available_congestion_controls: Vec<String>,
    /// net.ipv4.tcp_rmem: min, default, max, in bytes.
    pub rmem_bytes: Option<[u64; 3]>,
    /// net.ipv4.tcp_wmem: min, default, max, in bytes.
    pub wmem_bytes: Option<[u64; 3]>,
    /// net.core.rmem_max in bytes: the cap on an explicit SO_RCVBUF.
    pub core_rmem_max_bytes: Option<u64>,
    /// net.core.wmem_max in bytes: the cap on an explicit SO_SNDBUF.
    pub core_wmem_max_bytes: Option<u64>,
    /// net.core.default_qdisc.
    pub default_qdisc: Option<String>,
}
