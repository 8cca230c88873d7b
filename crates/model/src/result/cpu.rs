//! CPU time of one end: clock ticks in, busy cores out.
//!
//! CPUs are matched by their label in /proc/stat, so that one that came or went shifts nothing; a
//! counter that ran backwards (iowait and idle can, proc_stat(5)) counts as zero and is counted.

use std::collections::BTreeMap;

use crate::reading::{CgroupCpu, CpuStat, CpuTicks, ProcessTimes, Reading};
use crate::result::run::{CgroupUse, Cpu, CpuModes, IntervalCpu, PerCpu, ProcessCpu};
use crate::result::span::{Span, float, seconds};

/// What the CPU was used for.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkDone {
    pub(super) bits_per_second: Option<f64>,
    pub(super) transactions_per_second: Option<f64>,
}

/// The CPU of one end over its samples; nothing where /proc/stat could not be read.
pub(super) fn usage(readings: &[Reading], work: WorkDone, filtered: bool) -> Option<Cpu> {
    let span = Span::over(readings)?;
    let lines = Lines::of(&span)?;
    let total = lines.total;
    let busy = total.busy();
    let per = |rate: Option<f64>| rate.filter(|rate| *rate > 0.0).map(|rate| busy / rate);
    Some(Cpu {
        modes: total,
        busy,
        cpus: lines.online,
        per_cpu: lines.per_cpu,
        process: process(&span, sampler_ns(readings)),
        cores_per_gbit: per(work.bits_per_second).map(|cores| cores * 1e9),
        us_per_transaction: per(work.transactions_per_second).map(|seconds| seconds * 1e6),
        cgroup: cgroup(&span),
        resolution_cores: 2.0 * f64::from(lines.online) / lines.ticks,
        clamped: lines.clamped,
        scope: if filtered { "filtered" } else { "machine" }.to_owned(),
    })
}

/// The CPU of one end between two readings; nothing where /proc/stat could not be read, or no time
/// passed.
#[must_use]
pub fn between(first: &Reading, last: &Reading) -> Option<Cpu> {
    let work = WorkDone { bits_per_second: None, transactions_per_second: None };
    usage(&[first.clone(), last.clone()], work, false)
}

/// The same in short, between two readings.
pub(super) fn interval(span: &Span<'_>) -> Option<IntervalCpu> {
    let lines = Lines::of(span)?;
    let busiest = lines.per_cpu.iter().map(|line| line.modes.busy()).fold(0.0, f64::max);
    let softnet = span.first.host.softnet.as_ref().zip(span.last.host.softnet.as_ref());
    let total = lines.total;
    Some(IntervalCpu {
        user: total.user + total.nice,
        system: total.system,
        softirq: total.softirq,
        steal: total.steal,
        busy: total.busy(),
        busiest_cpu: busiest.min(1.0),
        softnet_dropped: softnet
            .map(|(first, last)| super::packets::sum(first, last, |line| line.dropped)),
        throttled_periods: cgroup(span).and_then(|group| group.throttled_periods),
        kernel_share_by_cpu: kernel_share_by_cpu(&lines.per_cpu),
    })
}

/// Kernel mode and softirqs of the CPUs with most of them, to a hundredth: a run has many
/// intervals, and a machine may have hundreds of CPUs.
fn kernel_share_by_cpu(per_cpu: &[PerCpu]) -> BTreeMap<u32, f64> {
    const MAX_CPUS_TOLD: usize = 16;
    let share = |line: &PerCpu| (100.0 * (line.modes.system + line.modes.softirq)).round() / 100.0;
    let mut shares: Vec<(u32, f64)> =
        per_cpu.iter().map(|line| (line.cpu, share(line).min(1.0))).collect();
    shares.retain(|(_, share)| *share > 0.0);
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    shares.into_iter().take(MAX_CPUS_TOLD).collect()
}

/// The lines of /proc/stat between two readings, in busy cores.
struct Lines {
    total: CpuModes,
    per_cpu: Vec<PerCpu>,
    online: u32,
    /// Ticks that passed on each CPU.
    ticks: f64,
    clamped: u32,
}

impl Lines {
    fn of(span: &Span<'_>) -> Option<Self> {
        let first: &CpuStat = span.first.host.cpu.as_ref()?;
        let last: &CpuStat = span.last.host.cpu.as_ref()?;
        let ticks = float(last.ticks_per_second) * span.seconds;
        if last.ticks_per_second == 0 || first.ticks_per_second != last.ticks_per_second {
            return None;
        }
        let mut clamped = 0;
        let total = modes([&first.total, &last.total], ticks, &mut clamped);
        let both = last.per_cpu.iter().filter_map(|(cpu, after)| {
            first.per_cpu.get(cpu).map(|before| (*cpu, [before, after]))
        });
        let per_cpu = both
            .map(|(cpu, edges)| PerCpu { cpu, modes: modes(edges, ticks, &mut clamped) })
            .collect();
        let online = u32::try_from(last.per_cpu.len()).unwrap_or(u32::MAX);
        Some(Self { total, per_cpu, online, ticks, clamped })
    }
}

fn modes([first, last]: [&CpuTicks; 2], ticks: f64, clamped: &mut u32) -> CpuModes {
    let mut share = |of: fn(&CpuTicks) -> u64| {
        let difference = of(last).checked_sub(of(first)).unwrap_or_else(|| {
            *clamped = clamped.saturating_add(1);
            0
        });
        float(difference) / ticks
    };
    CpuModes {
        user: share(|ticks| ticks.user),
        nice: share(|ticks| ticks.nice),
        system: share(|ticks| ticks.system),
        iowait: share(|ticks| ticks.iowait),
        irq: share(|ticks| ticks.irq),
        softirq: share(|ticks| ticks.softirq),
        steal: share(|ticks| ticks.steal),
        idle: share(|ticks| ticks.idle),
    }
}

/// What sampling cost inside the window: every reading but the one that closed it.
fn sampler_ns(readings: &[Reading]) -> u64 {
    let inside = readings.split_last().map_or(&[][..], |(_, inside)| inside);
    inside.iter().fold(0, |sum, reading| sum.saturating_add(reading.host.sampler_ns))
}

fn process(span: &Span<'_>, sampler_ns: u64) -> Option<ProcessCpu> {
    let first = span.first.host.process.as_ref()?;
    let last = span.last.host.process.as_ref()?;
    let cores = |of: fn(&ProcessTimes) -> u64| {
        float(of(last).saturating_sub(of(first))) / 1e6 / span.seconds
    };
    Some(ProcessCpu {
        user: cores(|times| times.user_us),
        system: cores(|times| times.system_us),
        max_rss_bytes: last.max_rss_kib.saturating_mul(1024),
        sampler: seconds(sampler_ns) / span.seconds,
        spun: None,
    })
}

fn cgroup(span: &Span<'_>) -> Option<CgroupUse> {
    let first = span.first.host.cgroup.as_ref()?;
    let last = span.last.host.cgroup.as_ref()?;
    let difference = |of: fn(&CgroupCpu) -> Option<u64>| {
        of(first).zip(of(last)).map(|(first, last)| last.saturating_sub(first))
    };
    let in_seconds = |us| float(us) / 1e6;
    Some(CgroupUse {
        usage_cores: difference(|group| group.usage_us).map(|us| in_seconds(us) / span.seconds),
        periods: difference(|group| group.periods),
        throttled_periods: difference(|group| group.throttled_periods),
        throttled_seconds: difference(|group| group.throttled_us).map(in_seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_tells_of_the_cpus_that_the_kernel_kept_busiest() {
        let line = |cpu: u32| {
            let (system, softirq) = (f64::from(cpu) / 100.0, f64::from(cpu) / 200.0);
            PerCpu { cpu, modes: CpuModes { system, softirq, ..CpuModes::default() } }
        };
        let lines: Vec<PerCpu> = (0..=80).map(line).collect();
        let told = kernel_share_by_cpu(&lines);
        assert_eq!(told.len(), 16);
        assert_eq!(told[&66], 0.99);
        assert!(told.keys().all(|cpu| *cpu >= 65), "{told:?}");
        assert_eq!(kernel_share_by_cpu(&lines[..2]), BTreeMap::from([(1, 0.02)]));
    }
}
