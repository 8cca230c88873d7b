//! What about the machines and the placement makes figures doubtful.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{Doubt, EndEvidence, RunEvidence, count, doubt, few};
use crate::reading::{CpuStat, Reading};
use crate::result::allowed_cpus::{self, AllowedCpusChange};

/// Stolen CPU that is told: as a share of all CPUs, and of any one of them.
const MIN_STEAL_SHARE: f64 = 0.02;
const MIN_CPU_STEAL_SHARE: f64 = 0.05;
/// Cost of one clock read, in nanoseconds, above which the clock is slow: a read through the vDSO
/// costs a few tens.
const SLOW_CLOCK_NS: f64 = 200.0;

pub(super) fn same_machine(seen: &RunEvidence<'_>) -> Option<Doubt> {
    if !seen.run.same_machine() {
        return None;
    }
    doubt(
        "both ends run on one machine (equal boot ids): each end's CPU figures cover both, and the \
         receive path runs in the sender's context, so they cannot be split by end",
        "compare process figures only, or run the ends on two machines",
    )
}

pub(super) fn same_process(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (client, server) = (&seen.end_results.client?.facts, &seen.end_results.server?.facts);
    let one_name = client.host.hostname == server.host.hostname;
    // Containers of two pods can have one pid each on one machine, but not over loopback.
    let one = client.pid == server.pid && one_name && seen.run.same_machine();
    if !one || !over_loopback(seen) {
        return None;
    }
    doubt(
        "client and server ran inside one process: process CPU covers both ends",
        "start `podperf serve` on the other host and name it",
    )
}

pub(super) fn loopback(seen: &RunEvidence<'_>) -> Option<Doubt> {
    if !over_loopback(seen) {
        return None;
    }
    doubt(
        "the connections go over loopback: no device, no interrupts, MTU of 64 KiB; the figures \
         tell of this machine's CPU, not of a network",
        "name a server on another host",
    )
}

fn over_loopback(seen: &RunEvidence<'_>) -> bool {
    let local = |address: &str| address.parse().is_ok_and(|to: SocketAddr| to.ip().is_loopback());
    seen.ends().any(|end| {
        let facts = &end.result.facts;
        facts.sockets.iter().any(|socket| local(&socket.peer))
            || facts.host.device.as_ref().is_some_and(|device| device.name == "lo")
    })
}

pub(super) fn cpu_steal(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let cpu = seen.run.cpu.get(seen.role).as_ref()?;
    let steal = cpu.modes.steal;
    let most = cpu.per_cpu.iter().map(|line| line.modes.steal).fold(0.0, f64::max);
    if steal < MIN_STEAL_SHARE * f64::from(cpu.cpus) && most < MIN_CPU_STEAL_SHARE {
        return None;
    }
    doubt(
        format!("{}: the hypervisor took {steal:.3} of {} CPUs for others", seen.end, cpu.cpus),
        "use a machine with CPUs of its own, or repeat when its neighbours are quiet",
    )
}

pub(super) fn quota_throttled(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let group = seen.run.cpu.get(seen.role).as_ref()?.cgroup.as_ref()?;
    let throttled = group.throttled_periods.filter(|periods| *periods > 0)?;
    let of = group.periods.map_or_else(String::new, |periods| format!(" of {periods}"));
    let time = group.throttled_seconds;
    let time = time.map_or_else(String::new, |seconds| format!(", {seconds:.3} s in all"));
    let end = seen.end;
    doubt(
        format!(
            "{end}: the cgroup's CPU quota stopped the process in {throttled}{of} periods{time}"
        ),
        "raise or remove the CPU limit, or give whole CPUs (static CPU manager)",
    )
}

pub(super) fn softnet_drops(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let dropped = seen.run.packets.get(seen.role).as_ref()?.dropped.filter(|count| *count > 0)?;
    doubt(
        format!("{}: the kernel dropped {dropped} packets, a CPU's backlog was full", seen.end),
        "raise net.core.netdev_max_backlog there, or spread receive work (RSS, RPS)",
    )
}

pub(super) fn proc_filtered(seen: &EndEvidence<'_>) -> Option<Doubt> {
    seen.result.facts.host.proc_filtered.filter(|filtered| *filtered)?;
    doubt(
        format!("{}: /proc/stat is rebuilt by lxcfs or a sandbox, not the machine's", seen.end),
        "take CPU figures on the host, or run without lxcfs",
    )
}

pub(super) fn cpu_hotplug(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let labels = |reading: &Reading| -> Option<Vec<u32>> {
        let stat: &CpuStat = reading.host.cpu.as_ref()?;
        Some(stat.per_cpu.keys().copied().collect())
    };
    let first = labels(seen.result.readings.first()?)?;
    let last = labels(seen.result.readings.last()?)?;
    if first == last {
        return None;
    }
    doubt(
        format!(
            "{}: {} went online or offline in the window ({} before, {} after); they have no entry \
             in per_cpu",
            seen.end,
            count(difference(&first, &last), "CPU"),
            first.len(),
            last.len()
        ),
        "keep the CPUs online during a measurement",
    )
}

pub(super) fn cpus_changed(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let pinned = &seen.result.facts.placement.pinned_cpus;
    let pinned: Option<BTreeSet<u32>> = pinned.iter().copied().collect();
    let pinned = pinned.filter(|cpus| !cpus.is_empty());
    let pinned = pinned.map(|cpus| cpus.into_iter().collect());
    let change = AllowedCpusChange::of(&seen.result.readings, pinned)?;
    doubt(change.text(seen.end), allowed_cpus::REMEDY)
}

/// Members of one list but not of both.
fn difference(a: &[u32], b: &[u32]) -> usize {
    let missing = |from: &[u32], of: &[u32]| of.iter().filter(|cpu| !from.contains(cpu)).count();
    missing(a, b) + missing(b, a)
}

pub(super) fn workers_share_cpus(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let (end, placement) = (seen.end, &seen.result.facts.placement);
    let (workers, allowed) = (placement.workers, seen.result.facts.host.cpus_allowed.len());
    let mut pinned: Vec<u32> = placement.pinned_cpus.iter().flatten().copied().collect();
    pinned.sort_unstable();
    let shared = pinned.windows(2).filter(|pair| pair[0] == pair[1]);
    let mut shared: Vec<u32> = shared.map(|pair| pair[0]).collect();
    shared.dedup();
    let crowded = allowed > 0 && usize::try_from(workers).is_ok_and(|workers| workers > allowed);
    let text = if crowded {
        format!("{end}: {workers} workers share the {} allowed", count(allowed, "CPU"))
    } else if !shared.is_empty() {
        format!("{end}: several workers are pinned to one CPU ({})", few(&shared))
    } else {
        return None;
    };
    doubt(text, "use fewer workers (--workers), or allow more CPUs")
}

pub(super) fn governor(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let governor = seen.result.facts.host.governor.as_ref();
    let governor = governor.filter(|governor| *governor != "performance")?;
    doubt(
        format!("{}: the CPU frequency governor is '{governor}': clocks vary with load", seen.end),
        "set the governor to performance for the measurement",
    )
}

pub(super) fn slow_clock(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let (end, host) = (seen.end, &seen.result.facts.host);
    let ns = host.clock_read_ns.filter(|ns| *ns > SLOW_CLOCK_NS)?;
    let source = host.clocksource.as_deref().unwrap_or("unknown");
    doubt(
        format!(
            "{end}: one clock read costs {ns:.0} ns (clocksource {source}), which adds to latency"
        ),
        "use a clocksource that is read without a system call (tsc, kvm-clock)",
    )
}
