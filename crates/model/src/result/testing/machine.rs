//! Counters of whole machines, for tests.

use std::collections::BTreeMap;

use crate::reading::{
    CgroupCpu, CpuStat, CpuTicks, DevicePackets, HostCounters, NetSoftirqs, ProcessTimes, Softnet,
};

/// One end's machine after one second: CPU time in user, system, softirq and idle of two CPUs, in
/// ticks of 10 ms, and the process's own in user and system, in microseconds.
pub fn machine(cpus: [[u64; 4]; 2], process: [u64; 2]) -> HostCounters {
    let line = |[user, system, softirq, idle]: [u64; 4]| CpuTicks {
        user,
        system,
        softirq,
        idle,
        ..CpuTicks::default()
    };
    let [a, b] = cpus;
    let total = [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]];
    HostCounters {
        cpu: Some(CpuStat {
            ticks_per_second: 100,
            total: line(total),
            per_cpu: BTreeMap::from([(0, line(a)), (1, line(b))]),
        }),
        process: Some(ProcessTimes {
            user_us: process[0],
            system_us: process[1],
            max_rss_kib: 4096,
            ..ProcessTimes::default()
        }),
        softnet: Some(BTreeMap::from([
            (0, Softnet { processed: 300, ..Softnet::default() }),
            (1, Softnet { processed: 100, time_squeeze: 2, ..Softnet::default() }),
        ])),
        device: None,
        softirqs: Some(BTreeMap::from([
            (0, NetSoftirqs { net_rx: 30, net_tx: 2 }),
            (1, NetSoftirqs { net_rx: 10, net_tx: 1 }),
        ])),
        cgroup: Some(CgroupCpu {
            usage_us: Some(500_000),
            periods: Some(10),
            throttled_periods: Some(0),
            throttled_us: Some(0),
        }),
        cpus_allowed: Some(vec![0, 1]),
        worker_cpus_allowed: None,
        sampler_ns: 1_000_000,
    }
}

/// The client's machine after one second: 0.6 cores busy.
pub fn client_machine() -> HostCounters {
    machine([[10, 30, 10, 50], [0, 5, 5, 90]], [100_000, 300_000])
}

/// The server's machine after one second: 0.9 cores busy.
pub fn server_machine() -> HostCounters {
    machine([[5, 35, 20, 40], [0, 0, 30, 70]], [50_000, 350_000])
}
pub(super) fn scaled_host(host: &HostCounters, by: u32) -> HostCounters {
    let by = u64::from(by);
    let line = |ticks: &CpuTicks| CpuTicks {
        user: ticks.user * by,
        nice: ticks.nice * by,
        system: ticks.system * by,
        idle: ticks.idle * by,
        iowait: ticks.iowait * by,
        irq: ticks.irq * by,
        softirq: ticks.softirq * by,
        steal: ticks.steal * by,
    };
    let lines = |lines: &BTreeMap<u32, CpuTicks>| {
        lines.iter().map(|(cpu, ticks)| (*cpu, line(ticks))).collect()
    };
    let softnet = |line: &Softnet| Softnet {
        processed: line.processed * by,
        dropped: line.dropped * by,
        time_squeeze: line.time_squeeze * by,
    };
    let softirq =
        |line: &NetSoftirqs| NetSoftirqs { net_rx: line.net_rx * by, net_tx: line.net_tx * by };
    let times = |count: Option<u64>| count.map(|count| count * by);
    HostCounters {
        cpu: host.cpu.as_ref().map(|stat| CpuStat {
            ticks_per_second: stat.ticks_per_second,
            total: line(&stat.total),
            per_cpu: lines(&stat.per_cpu),
        }),
        process: host.process.map(|times| ProcessTimes {
            user_us: times.user_us * by,
            system_us: times.system_us * by,
            ..times
        }),
        softnet: host
            .softnet
            .as_ref()
            .map(|lines| lines.iter().map(|(cpu, line)| (*cpu, softnet(line))).collect()),
        device: host.device.map(|device| DevicePackets {
            received: device.received * by,
            sent: device.sent * by,
            bytes_received: device.bytes_received * by,
            bytes_sent: device.bytes_sent * by,
        }),
        softirqs: host
            .softirqs
            .as_ref()
            .map(|lines| lines.iter().map(|(cpu, line)| (*cpu, softirq(line))).collect()),
        cgroup: host.cgroup.map(|group| CgroupCpu {
            usage_us: times(group.usage_us),
            periods: times(group.periods),
            throttled_periods: times(group.throttled_periods),
            throttled_us: times(group.throttled_us),
        }),
        cpus_allowed: host.cpus_allowed.clone(),
        worker_cpus_allowed: host.worker_cpus_allowed.clone(),
        sampler_ns: host.sampler_ns,
    }
}
