//! Checks of CPUs, their placement and their clock.

use std::collections::BTreeSet;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{Answer, DoctorInput, ok, ok_if, reason_for, warn};
use crate::metrics::topology::Topology;

/// Beyond this a clock read disturbs what it times: the vDSO's cost is some tens of nanoseconds.
const SLOW_CLOCK_NS: f64 = 200.0;

pub(super) fn cpus(machine: &DoctorInput<'_>) -> Answer {
    let allowed = machine.facts.cpus_allowed.len();
    let online = machine.fact("cpus_online", &machine.facts.cpus_online);
    let online = online.map_or_else(|reason| reason, |online| format!("{online} CPUs online"));
    match allowed {
        0 => Err(reason_for(&machine.facts.unknown, "cpus_allowed")),
        1 => warn(
            format!("1 CPU allowed; {online}: worker, softirqs and sampler share it"),
            "allow at least 2 CPUs (cpuset, taskset)",
        ),
        _ => ok(format!("{allowed} CPUs allowed; {online}")),
    }
}

pub(super) fn pinning(machine: &DoctorInput<'_>) -> Answer {
    let last = machine.facts.cpus_allowed.last().copied();
    let cpu = *machine.fact("cpus_allowed", &last)?;
    let refused = |finding| warn(finding, "permit sched_setaffinity, or give --pin none");
    // On a thread of its own, so that there is nothing to undo.
    match thread::spawn(move || pin_this_thread(cpu)).join() {
        Ok(Ok(true)) => ok(format!("a thread can be pinned (tried CPU {cpu})")),
        Ok(Ok(false)) => refused(format!("pinned to CPU {cpu}, another mask read back")),
        Ok(Err(errno)) => refused(format!("CPU {cpu}: {errno}")),
        Err(_) => Err("the thread that tried it panicked".to_owned()),
    }
}

/// Whether the mask read back is the one set.
fn pin_this_thread(cpu: u32) -> nix::Result<bool> {
    let cpu = usize::try_from(cpu).map_err(|_| nix::errno::Errno::EINVAL)?;
    let mut wanted = CpuSet::new();
    wanted.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &wanted)?;
    Ok(sched_getaffinity(Pid::from_raw(0))? == wanted)
}

pub(super) fn cpu_quota(machine: &DoctorInput<'_>) -> Answer {
    let limits = machine.fact("cgroup", &machine.facts.cgroup)?;
    let (Some(cores), Some(period_us)) = (limits.cpu_quota_cores, limits.cpu_period_us) else {
        return ok(format!("no CPU quota (cgroup v{})", limits.version));
    };
    let used = machine.counters.cgroup.unwrap_or_default();
    let throttled = used.throttled_periods.map_or_else(
        || "times throttled not told".to_owned(),
        |periods| format!("throttled in {periods} periods so far"),
    );
    warn(
        format!(
            "{cores} cores in each {period_us} us (cgroup v{}); {throttled}. A used-up quota \
             stops every thread, which looks like network latency",
            limits.version
        ),
        "measure without a CPU limit, or with whole exclusive CPUs (static CPU manager policy)",
    )
}

pub(super) fn smt(machine: &DoctorInput<'_>) -> Answer {
    if !*machine.fact("smt_active", &machine.facts.smt_active)? {
        return ok("off: every CPU is a core");
    }
    let cpus = Topology::of(machine.roots, &machine.facts.cpus_allowed).cpus;
    let cores: BTreeSet<_> = cpus.iter().map(|cpu| cpu.core).collect();
    let (cpus, cores) = (cpus.len(), cores.len());
    ok(format!("on: {cpus} allowed CPUs on {cores} cores; --pin auto fills cores first"))
}

pub(super) fn numa(machine: &DoctorInput<'_>) -> Answer {
    match machine.fact("numa_nodes", &machine.facts.numa_nodes)? {
        1 => ok("1 node"),
        nodes => ok(format!("{nodes} nodes; --pin auto fills the network device's node first")),
    }
}

pub(super) fn governor(machine: &DoctorInput<'_>) -> Answer {
    match machine.fact("governor", &machine.facts.governor)?.as_str() {
        "performance" => ok("performance"),
        other => warn(
            format!("{other}: the frequency follows the load, so light loads look slower"),
            "cpupower frequency-set -g performance",
        ),
    }
}

pub(super) fn clock(machine: &DoctorInput<'_>) -> Answer {
    let source = machine.facts.clocksource.as_deref().unwrap_or("unknown");
    let unmeasured = || format!("clocksource {source}, cost not measured");
    let cost = machine.facts.clock_read_ns.ok_or_else(unmeasured)?;
    let finding = format!("clocksource {source}, {cost:.0} ns a read");
    if cost <= SLOW_CLOCK_NS {
        return ok(finding);
    }
    warn(
        format!("{finding}: above {SLOW_CLOCK_NS:.0} ns it adds to every latency"),
        "use a clocksource that the vDSO serves (tsc, kvm-clock, arch_sys_counter); see \
         /sys/devices/system/clocksource/clocksource0/available_clocksource",
    )
}

pub(super) fn steal(machine: &DoctorInput<'_>) -> Answer {
    let all = machine.counter("cpu", &machine.counters.cpu)?.total;
    let total = [all.user, all.nice, all.system, all.idle, all.iowait, all.irq, all.softirq]
        .into_iter()
        .fold(all.steal, u64::saturating_add);
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let percent = all.steal as f64 * 100.0 / total.max(1) as f64;
    ok_if(
        percent <= 1.0,
        format!("{percent:.2} % of CPU time taken by the hypervisor since boot"),
        "measure on a machine whose CPUs are not shared, or repeat often",
    )
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::super::tests::on;
    use super::*;

    #[test]
    fn a_quota_is_reported_with_its_figures() {
        let group = "sys/fs/cgroup";
        let check = on(
            "cpu_quota",
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
                (&format!("{group}/cpu.max"), "150000 100000\n"),
                (&format!("{group}/cpu.stat"), "usage_usec 5\nnr_periods 9\nnr_throttled 4\n"),
            ],
        );
        assert_eq!(check.status, CheckStatus::Warn);
        assert!(check.finding.contains("1.5 cores in each 100000 us"), "{check:?}");
        assert!(check.finding.contains("throttled in 4 periods"), "{check:?}");
    }

    #[test]
    fn steal_above_one_percent_warns() {
        let little = on("steal", &[("proc/stat", "cpu  50 0 50 899 0 0 0 1 0 0\n")]);
        assert_eq!(little.status, CheckStatus::Ok);
        let much = on("steal", &[("proc/stat", "cpu  50 0 50 850 0 0 0 50 0 0\n")]);
        assert_eq!((much.status, much.finding.starts_with("5.00 %")), (CheckStatus::Warn, true));
    }

    #[test]
    fn pinning_leaves_this_thread_where_it_was() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        assert_eq!(on("pinning", &[]).status, CheckStatus::Ok);
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_cannot_be_pinned() {
        let tried = thread::spawn(|| pin_this_thread(1_023)).join().unwrap();
        assert_eq!(tried, Err(nix::errno::Errno::EINVAL));
    }
}
