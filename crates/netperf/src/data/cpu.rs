//! CPU of the machine between two samples, in netperf's terms: percent of all CPU time.
//!
//! netperf counts as busy whatever is not idle, which takes in waiting for I/O and time stolen by a
//! hypervisor. Here busy is what this machine's CPUs did: user, nice, system and interrupts.

use crate::figures::CpuPercent;
use podperf_model::reading::Reading;
use podperf_model::result::cpu;

/// From the first sample to the last; absent where /proc/stat was not readable.
pub(crate) fn between(first: &Reading, last: &Reading) -> Option<CpuPercent> {
    let used = cpu::between(first, last)?;
    let percent = |cores: f64| 100.0 * cores / f64::from(used.cpus.max(1));
    let busiest = used
        .per_cpu
        .iter()
        .map(|line| (line.cpu, (100.0 * line.modes.busy()).min(100.0)))
        .max_by(|one, other| one.1.total_cmp(&other.1));
    Some(CpuPercent {
        cpus: used.cpus,
        util_percent: percent(used.busy).min(100.0),
        user_percent: percent(used.modes.user),
        system_percent: percent(used.modes.system),
        iowait_percent: percent(used.modes.iowait),
        irq_percent: percent(used.modes.irq),
        softirq_percent: percent(used.modes.softirq),
        peak: busiest,
    })
}
