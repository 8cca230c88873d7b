//! What about the machines and the placement makes figures doubtful.

use std::net::SocketAddr;

use super::{RunCheck, RunEvidence, count, few, warn};
use crate::result::run::Warning;

pub(super) const CHECKS: &[RunCheck] = &[
    same_machine,
    same_process,
    loopback,
    cpu_steal,
    quota_throttled,
    softnet_drops,
    proc_filtered,
    cpu_hotplug,
    workers_share_cpus,
    governor,
    slow_clock,
];

/// Stolen CPU, in cores, above which it is told.
const STEAL_CORES: f64 = 0.01;
/// Cost of one clock read, in nanoseconds, above which the clock is slow: a read through the vDSO
/// costs a few tens.
const SLOW_CLOCK_NS: f64 = 200.0;

fn same_machine(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if seen.run.same_machine() {
        warn(
            found,
            "same_machine",
            "both ends run on one machine (equal boot ids): each end's CPU figures cover both, \
             and the receive path runs in the sender's context, so they cannot be split by end"
                .to_owned(),
            "compare process figures only, or run the ends on two machines",
        );
    }
}

fn same_process(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let (Some(client), Some(server)) = (seen.end_results.client, seen.end_results.server) else {
        return;
    };
    let one_name = client.facts.host.hostname == server.facts.host.hostname;
    // Containers of two pods can have one pid each on one machine, but not over loopback.
    if client.facts.pid == server.facts.pid
        && one_name
        && seen.run.same_machine()
        && over_loopback(seen)
    {
        warn(
            found,
            "same_process",
            "client and server ran inside one process: process CPU covers both ends".to_owned(),
            "start `podperf serve` on the other host and name it",
        );
    }
}

fn loopback(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if over_loopback(seen) {
        warn(
            found,
            "loopback",
            "the connections go over loopback: no device, no interrupts, MTU of 64 KiB; the \
             figures tell of this machine's CPU, not of a network"
                .to_owned(),
            "name a server on another host",
        );
    }
}

fn over_loopback(seen: &RunEvidence<'_>) -> bool {
    seen.present().any(|(_, end_result)| {
        let local =
            |address: &str| address.parse().is_ok_and(|to: SocketAddr| to.ip().is_loopback());
        end_result.facts.sockets.iter().any(|socket| local(&socket.peer))
            || end_result.facts.host.device.as_ref().is_some_and(|device| device.name == "lo")
    })
}

fn cpu_steal(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, cpu) in seen.run.cpu.named() {
        let Some(cpu) = cpu.as_ref().filter(|cpu| cpu.modes.steal > STEAL_CORES) else { continue };
        warn(
            found,
            "cpu_steal",
            format!("{end}: the hypervisor took {:.3} cores for others", cpu.modes.steal),
            "use a machine with CPUs of its own, or repeat when its neighbours are quiet",
        );
    }
}

fn quota_throttled(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, cpu) in seen.run.cpu.named() {
        let Some(group) = cpu.as_ref().and_then(|cpu| cpu.cgroup.as_ref()) else { continue };
        let Some(throttled) = group.throttled_periods.filter(|periods| *periods > 0) else {
            continue;
        };
        let of = group.periods.map_or_else(String::new, |periods| format!(" of {periods}"));
        let time = group
            .throttled_seconds
            .map_or_else(String::new, |seconds| format!(", {seconds:.3} s in all"));
        warn(
            found,
            "quota_throttled",
            format!(
                "{end}: the cgroup's CPU quota stopped the process in {throttled}{of} periods{time}"
            ),
            "raise or remove the CPU limit, or give whole CPUs (static CPU manager)",
        );
    }
}

fn softnet_drops(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, packets) in seen.run.packets.named() {
        let dropped = packets.as_ref().and_then(|packets| packets.dropped).unwrap_or(0);
        if dropped > 0 {
            warn(
                found,
                "softnet_drops",
                format!("{end}: the kernel dropped {dropped} packets, a CPU's backlog was full"),
                "raise net.core.netdev_max_backlog there, or spread receive work (RSS, RPS)",
            );
        }
    }
}

fn proc_filtered(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        if end_result.facts.host.proc_filtered == Some(true) {
            warn(
                found,
                "proc_filtered",
                format!("{end}: /proc/stat is rebuilt by lxcfs or a sandbox, not the machine's"),
                "take CPU figures on the host, or run without lxcfs",
            );
        }
    }
}

fn cpu_hotplug(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let (Some(first), Some(last)) = (end_result.readings.first(), end_result.readings.last())
        else {
            continue;
        };
        let (Some(first), Some(last)) = (&first.host.cpu, &last.host.cpu) else { continue };
        let labels =
            |stat: &crate::reading::CpuStat| -> Vec<u32> { stat.per_cpu.keys().copied().collect() };
        let (first, last) = (labels(first), labels(last));
        if first != last {
            warn(
                found,
                "cpu_hotplug",
                format!(
                    "{end}: {} went online or offline in the window ({} before, {} after); they \
                     have no entry in per_cpu",
                    count(difference(&first, &last), "CPU"),
                    first.len(),
                    last.len()
                ),
                "keep the CPUs online during a measurement",
            );
        }
    }
}

/// Members of one list but not of both.
fn difference(a: &[u32], b: &[u32]) -> usize {
    let missing = |from: &[u32], of: &[u32]| of.iter().filter(|cpu| !from.contains(cpu)).count();
    missing(a, b) + missing(b, a)
}

fn workers_share_cpus(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let workers = end_result.facts.placement.workers;
        let allowed = end_result.facts.host.cpus_allowed.len();
        let mut pinned: Vec<u32> =
            end_result.facts.placement.pinned_cpus.iter().flatten().copied().collect();
        pinned.sort_unstable();
        let mut shared: Vec<u32> =
            pinned.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        shared.dedup();
        let crowded =
            allowed > 0 && usize::try_from(workers).is_ok_and(|workers| workers > allowed);
        let text = if crowded {
            format!("{end}: {workers} workers share the {} allowed", count(allowed, "CPU"))
        } else if !shared.is_empty() {
            format!("{end}: several workers are pinned to one CPU ({})", few(&shared))
        } else {
            continue;
        };
        warn(
            found,
            "workers_share_cpus",
            text,
            "use fewer workers (--workers), or allow more CPUs",
        );
    }
}

fn governor(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let governor = end_result.facts.host.governor.as_deref();
        if let Some(governor) = governor.filter(|governor| *governor != "performance") {
            warn(
                found,
                "governor",
                format!("{end}: the CPU frequency governor is '{governor}': clocks vary with load"),
                "set the governor to performance for the measurement",
            );
        }
    }
}

fn slow_clock(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let host = &end_result.facts.host;
        let Some(ns) = host.clock_read_ns.filter(|ns| *ns > SLOW_CLOCK_NS) else { continue };
        warn(
            found,
            "slow_clock",
            format!(
                "{end}: one clock read costs {ns:.0} ns (clocksource {}), which adds to latency",
                host.clocksource.as_deref().unwrap_or("unknown")
            ),
            "use a clocksource that is read without a system call (tsc, kvm-clock)",
        );
    }
}
