//! Checks of the files that the CPU and packet figures are read from.

use std::collections::BTreeMap;

use super::{Answer, DoctorInput, fail, ok, ok_if, warn};
use crate::metrics::source::FactResult;
use podperf_model::reading::Softnet;

pub(super) fn container(machine: &DoctorInput<'_>) -> Answer {
    let container = machine.fact("container", &machine.facts.container)?;
    if !container.contained {
        return ok("no mark of a container found");
    }
    ok(format!("{}. CPU figures of /proc/stat are the whole node's", container.evidence))
}

pub(super) fn proc_filtered(machine: &DoctorInput<'_>) -> Answer {
    if !*machine.fact("proc_filtered", &machine.facts.proc_filtered)? {
        return ok("/proc/stat is the kernel's own");
    }
    warn(
        "/proc/stat is replaced (lxcfs, or a sandbox such as gVisor): softirq, irq and CPU \
         numbers may not be the machine's",
        "run on the host, or in a container without lxcfs",
    )
}

pub(super) fn proc_stat(machine: &DoctorInput<'_>) -> Answer {
    source(machine.counter("cpu", &machine.counters.cpu).map(|cpu| cpu.per_cpu.len()))
}

pub(super) fn softnet_stat(machine: &DoctorInput<'_>) -> Answer {
    source(machine.counter("softnet", &machine.counters.softnet).map(BTreeMap::len))
}

pub(super) fn softirqs(machine: &DoctorInput<'_>) -> Answer {
    source(machine.counter("softirqs", &machine.counters.softirqs).map(BTreeMap::len))
}

/// Whether the counters of one source are there.
fn source(cpus: FactResult<usize>) -> Answer {
    match cpus {
        Ok(cpus) => ok(format!("readable, {cpus} CPUs")),
        Err(reason) => fail(
            format!("{reason}: its figures will be null"),
            "run where /proc is mounted and shows this file",
        ),
    }
}

pub(super) fn cgroup(machine: &DoctorInput<'_>) -> Answer {
    let cgroup = match machine.counter("cgroup", &machine.counters.cgroup) {
        Ok(cgroup) => cgroup,
        Err(reason) => {
            return fail(
                format!("{reason}: throttling by a CPU quota cannot be seen"),
                "mount the cgroup file system in the container (read-only is enough)",
            );
        }
    };
    let figures = [
        ("usage", cgroup.usage_us),
        ("periods", cgroup.periods),
        ("throttled periods", cgroup.throttled_periods),
        ("throttled time", cgroup.throttled_us),
    ];
    let known = figures.into_iter().filter(|(_, figure)| figure.is_some()).map(|(what, _)| what);
    ok(format!("readable: {}", known.collect::<Vec<_>>().join(", ")))
}

pub(super) fn irq_time_accounting(machine: &DoctorInput<'_>) -> Answer {
    if *machine.fact("irq_time_accounting", &machine.facts.irq_time_accounting)? {
        return ok("softirq time is measured at its edges");
    }
    warn(
        "softirq time is sampled at timer ticks (no CONFIG_IRQ_TIME_ACCOUNTING): the split \
         between system and softirq is an estimate",
        "take windows of 10 s and more, or a kernel built with that option",
    )
}

pub(super) fn softnet_drops(machine: &DoctorInput<'_>) -> Answer {
    let softnet = machine.counter("softnet", &machine.counters.softnet)?;
    let sum = |of: fn(&Softnet) -> u64| -> u64 { softnet.values().map(of).sum() };
    let (processed, dropped) = (sum(|cpu| cpu.processed), sum(|cpu| cpu.dropped));
    let squeezed = sum(|cpu| cpu.time_squeeze);
    let finding = format!(
        "{dropped} packets dropped by a full backlog and {squeezed} rounds cut short, of \
         {processed} packets since boot"
    );
    let remedy = "raise net.core.netdev_max_backlog, or spread receive queues (RPS)";
    ok_if(dropped == 0, finding, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{named, on};
    use super::super::{CheckStatus, examine};
    use crate::metrics::roots::Roots;

    #[test]
    fn drops_are_counted_over_all_cpus() {
        let checks = examine(&Roots::fixture("proc-2cpu"));
        let drops = named("softnet_drops", &checks);
        assert_eq!(drops.status, CheckStatus::Warn);
        assert!(drops.finding.starts_with("2 packets dropped"), "{drops:?}");
        assert!(drops.finding.contains("4 rounds cut short, of 6128 packets"), "{drops:?}");
        assert_eq!(named("proc_stat", &checks).finding, "readable, 2 CPUs");
    }

    #[test]
    fn a_container_behind_lxcfs_is_warned_of() {
        let checks = examine(&Roots::fixture("cgroup-v2-container"));
        assert_eq!(named("proc_filtered", &checks).status, CheckStatus::Warn);
        assert!(named("container", &checks).finding.contains("kubernetes"));
        assert_eq!(named("cgroup", &checks).status, CheckStatus::Ok);
        assert_eq!(named("cpu_quota", &checks).status, CheckStatus::Warn);
    }

    #[test]
    fn softirq_time_by_ticks_is_warned_of() {
        let config = ("boot/config-6.1", "CONFIG_TICK_CPU_ACCOUNTING=y\n");
        let release = ("proc/sys/kernel/osrelease", "6.1\n");
        assert_eq!(on("irq_time_accounting", &[release, config]).status, CheckStatus::Warn);
    }
}
