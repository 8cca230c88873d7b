//! Checks of the files that the CPU and packet figures are read from.

use super::{DoctorCheck, DoctorInput};

pub(super) fn container(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "container";
    let Some(container) = &machine.facts.container else {
        return DoctorCheck::unknown(NAME, machine.reason_for("container"));
    };
    match container.contained {
        false => DoctorCheck::ok(NAME, "no mark of a container found"),
        true => DoctorCheck::ok(
            NAME,
            format!("{}. CPU figures of /proc/stat are the whole node's", container.evidence),
        ),
    }
}

pub(super) fn proc_filtered(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "proc_filtered";
    match machine.facts.proc_filtered {
        None => DoctorCheck::unknown(NAME, machine.reason_for("proc_filtered")),
        Some(false) => DoctorCheck::ok(NAME, "/proc/stat is the kernel's own"),
        Some(true) => DoctorCheck::warn(
            NAME,
            "/proc/stat is replaced (lxcfs, or a sandbox such as gVisor): softirq, irq and CPU \
             numbers may not be the machine's",
            "run on the host, or in a container without lxcfs",
        ),
    }
}

pub(super) fn proc_stat(machine: &DoctorInput<'_>) -> DoctorCheck {
    source(machine, "proc_stat", "cpu", machine.counters.cpu.as_ref().map(|cpu| cpu.per_cpu.len()))
}

pub(super) fn softnet_stat(machine: &DoctorInput<'_>) -> DoctorCheck {
    let lines = machine.counters.softnet.as_ref().map(std::collections::BTreeMap::len);
    source(machine, "softnet_stat", "softnet", lines)
}

pub(super) fn softirqs(machine: &DoctorInput<'_>) -> DoctorCheck {
    let columns = machine.counters.softirqs.as_ref().map(std::collections::BTreeMap::len);
    source(machine, "softirqs", "softirqs", columns)
}

/// Whether the counters of one source are there.
fn source(
    machine: &DoctorInput<'_>,
    name: &'static str,
    counter: &str,
    cpus: Option<usize>,
) -> DoctorCheck {
    if let Some(cpus) = cpus {
        return DoctorCheck::ok(name, format!("readable, {cpus} CPUs"));
    }
    let reason = machine.unknown_counters.get(counter).map_or("not told", String::as_str);
    DoctorCheck::fail(
        name,
        format!("{reason}: its figures will be null"),
        "run where /proc is mounted and shows this file",
    )
}

pub(super) fn cgroup(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "cgroup";
    let Some(cgroup) = &machine.counters.cgroup else {
        let reason = machine.unknown_counters.get("cgroup").map_or("not told", String::as_str);
        return DoctorCheck::fail(
            NAME,
            format!("{reason}: throttling by a CPU quota cannot be seen"),
            "mount the cgroup file system in the container (read-only is enough)",
        );
    };
    let known = |what, figure: Option<u64>| if figure.is_some() { what } else { "" };
    let known = [
        known("usage", cgroup.usage_us),
        known("periods", cgroup.periods),
        known("throttled periods", cgroup.throttled_periods),
        known("throttled time", cgroup.throttled_us),
    ];
    let known: Vec<_> = known.into_iter().filter(|what| !what.is_empty()).collect();
    DoctorCheck::ok(NAME, format!("readable: {}", known.join(", ")))
}

pub(super) fn irq_time_accounting(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "irq_time_accounting";
    match machine.facts.irq_time_accounting {
        None => DoctorCheck::unknown(NAME, machine.reason_for("irq_time_accounting")),
        Some(true) => DoctorCheck::ok(NAME, "softirq time is measured at its edges"),
        Some(false) => DoctorCheck::warn(
            NAME,
            "softirq time is sampled at timer ticks (no CONFIG_IRQ_TIME_ACCOUNTING): the split \
             between system and softirq is an estimate",
            "take windows of 10 s and more, or a kernel built with that option",
        ),
    }
}

pub(super) fn softnet_drops(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "softnet_drops";
    let Some(softnet) = &machine.counters.softnet else {
        let reason = machine.unknown_counters.get("softnet").map_or("not told", String::as_str);
        return DoctorCheck::unknown(NAME, reason);
    };
    let sum = |of: fn(&podperf_model::reading::Softnet) -> u64| softnet.values().map(of).sum();
    let (processed, dropped, squeezed): (u64, u64, u64) =
        (sum(|cpu| cpu.processed), sum(|cpu| cpu.dropped), sum(|cpu| cpu.time_squeeze));
    let finding = format!(
        "{dropped} packets dropped by a full backlog and {squeezed} rounds cut short, of \
         {processed} packets since boot"
    );
    if dropped == 0 {
        return DoctorCheck::ok(NAME, finding);
    }
    DoctorCheck::warn(
        NAME,
        finding,
        "raise net.core.netdev_max_backlog, or spread receive queues (RPS)",
    )
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
