//! The machine's processors and clock: model, number, SMT, NUMA, governor, cost of a clock read.
//!
//! Enters: /proc/cpuinfo and sysfs. Leaves: facts, or why there are none.

use std::hint::black_box;
use std::time::Instant;

use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, cpu_list, number, reason, text};

/// The model's name; on Arm, which names none, implementer and part of the first CPU.
pub(super) fn model(roots: &Roots) -> FactResult<String> {
    let path = roots.proc.join("cpuinfo");
    let cpuinfo = text(&path)?;
    let field = |name: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    ["model name", "cpu model", "Model"]
        .into_iter()
        .find_map(field)
        .or_else(|| {
            let (implementer, part) = (field("CPU implementer")?, field("CPU part")?);
            Some(format!("implementer {implementer}, part {part}"))
        })
        .ok_or_else(|| reason(&path, "names no model"))
}

pub(super) fn online(roots: &Roots) -> FactResult<u32> {
    let online = cpu_list(&roots.sys.join("devices/system/cpu/online"))?;
    Ok(u32::try_from(online.len()).unwrap_or(u32::MAX))
}

/// Whether two CPUs of one core are online (since Linux 4.19).
pub(super) fn smt_active(roots: &Roots) -> FactResult<bool> {
    number::<u8>(&roots.sys.join("devices/system/cpu/smt/active")).map(|active| active != 0)
}

/// NUMA nodes that have CPUs.
pub(super) fn numa_nodes(roots: &Roots) -> FactResult<u32> {
    let nodes = cpu_list(&roots.sys.join("devices/system/node/has_cpu"))?;
    Ok(u32::try_from(nodes.len()).unwrap_or(u32::MAX))
}

/// The cpufreq governor of one CPU. Guests seldom have one: the frequency is the host's affair.
pub(super) fn governor(roots: &Roots, cpu: Option<u32>) -> FactResult<String> {
    let cpu = cpu.ok_or("no CPU known to be allowed")?;
    text(&roots.cpu(cpu).join("cpufreq/scaling_governor"))
}

pub(super) fn clocksource(roots: &Roots) -> FactResult<String> {
    text(&roots.sys.join("devices/system/clocksource/clocksource0/current_clocksource"))
}

/// Cost of one CLOCK_MONOTONIC read in nanoseconds: the median over batches, each batch timed by
/// that clock itself. Takes well under a millisecond where the vDSO serves the clock.
pub(super) fn clock_read_ns() -> f64 {
    const BATCHES: usize = 21;
    const READS: u32 = 200;
    let mut costs = [0.0; BATCHES];
    for cost in &mut costs {
        let began = Instant::now();
        for _ in 0..READS {
            black_box(Instant::now());
        }
        *cost = began.elapsed().as_secs_f64() * 1e9 / f64::from(READS);
    }
    costs.sort_unstable_by(f64::total_cmp);
    costs[BATCHES / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_of(cpuinfo: &str) -> FactResult<String> {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("proc")).unwrap();
        std::fs::write(tree.path().join("proc/cpuinfo"), cpuinfo).unwrap();
        model(&Roots::below(tree.path()))
    }

    #[test]
    fn models_as_architectures_name_them() {
        let x86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Xeon(R): 8488C\n";
        assert_eq!(model_of(x86), Ok("Xeon(R): 8488C".to_owned()));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n";
        assert_eq!(model_of(arm), Ok("implementer 0x41, part 0xd40".to_owned()));
        assert!(model_of("model name\nCPU part: 1\n").is_err());
    }

    #[test]
    fn sysfs_counts_nodes_and_cpus() {
        let roots = Roots::fixture("sys-2node-smt");
        assert_eq!(online(&roots), Ok(8));
        assert_eq!(numa_nodes(&roots), Ok(2));
        assert_eq!(smt_active(&roots), Ok(true));
        assert_eq!(governor(&roots, Some(0)), Ok("performance".to_owned()));
        assert!(governor(&roots, Some(1)).unwrap_err().contains("cpu1/cpufreq"));
    }

    #[test]
    fn a_clock_read_costs_something() {
        let cost = clock_read_ns();
        assert!(cost > 0.0 && cost.is_finite());
    }
}
