//! Full CPUs: by quota, by softirqs, on a machine shared by both ends, on one end.

use super::{bound, unclear};
use crate::plan::{Direction, Role};
use crate::result::run::{Bound, Cpu, PerCpu, PlacementFacts, Run, Verdict};
use crate::result::span::{ROLES, float};
use crate::result::wording::{count, end_name};

/// Share of throttled quota periods above which the quota bound the run.
const MIN_THROTTLED_SHARE: f64 = 0.05;
/// Softirq share from which on a CPU does little else.
const MIN_SOFTIRQ_SHARE: f64 = 0.85;
/// Share of its workers' CPU time that a saturated process uses.
const MIN_PROCESS_SHARE: f64 = 0.9;
/// Busy share of the workers' CPUs, user to softirq, on a saturated end.
const MIN_WORKER_CPUS_SHARE: f64 = 0.95;
/// Share of a shared machine's CPUs that podperf's processes and softirqs take at the most, for
/// something else than these CPUs to be what binds a run: where that is told by a wait, and where
/// it is counted, as losses are.
const MAX_OWN_SHARE: f64 = 0.5;
const MAX_OWN_SHARE_COUNTED: f64 = 0.75;
/// Idle share of all CPUs below which a machine is full.
const MAX_IDLE_SHARE: f64 = 0.05;

/// A cgroup quota that stopped the process in many of its periods.
pub(super) fn quota(run: &Run) -> Option<Verdict> {
    run.cpu.named().into_iter().find_map(|(end, cpu)| {
        let group = cpu.as_ref()?.cgroup.as_ref()?;
        let (throttled, periods) = group.throttled_periods.zip(group.periods)?;
        (float(throttled) > MIN_THROTTLED_SHARE * float(periods)).then(|| {
            bound(
                Bound::CpuQuota,
                format!("{end}: CPU quota used up in {throttled} of {periods} periods"),
            )
        })
    })
}

/// A CPU that did softirqs and little else.
pub(super) fn softirq_core(run: &Run) -> Option<Verdict> {
    let all = run.cpu.named().into_iter().filter_map(|(end, cpu)| Some((end, cpu.as_ref()?)));
    let lines = all.flat_map(|(end, cpu)| cpu.per_cpu.iter().map(move |line| (end, line)));
    let (end, line) =
        lines.reduce(|a, b| if b.1.modes.softirq > a.1.modes.softirq { b } else { a })?;
    (line.modes.softirq >= MIN_SOFTIRQ_SHARE).then(|| {
        bound(
            Bound::SoftirqCore,
            format!(
                "{end}: CPU {} spent {:.0} % of the window in softirqs",
                line.cpu,
                100.0 * line.modes.softirq
            ),
        )
    })
}

/// Both ends ran inside one process.
fn one_process(run: &Run) -> bool {
    run.warnings.iter().any(|warning| warning.code == "same_process")
}

/// One machine for both ends: only each process's own time tells them apart.
pub(super) fn full_process(run: &Run) -> Option<Verdict> {
    if !run.same_machine() {
        return None;
    }
    let one_process = one_process(run);
    let full = |role| {
        if one_process { None } else { process_load(run, role).filter(|load| load.full()) }
    };
    match (full(Role::Client), full(Role::Server)) {
        (Some(client), None) => Some(client.verdict(run, Role::Client)),
        (None, Some(server)) => Some(server.verdict(run, Role::Server)),
        _ => None,
    }
}

/// One machine for both ends, and all its CPUs busy.
pub(super) fn full_machine(run: &Run) -> Option<Verdict> {
    if !run.same_machine() {
        return None;
    }
    let cpu = run.cpu.client.as_ref().or(run.cpu.server.as_ref())?;
    let idle = machine_idle(cpu)?;
    (idle < MAX_IDLE_SHARE).then(|| {
        unclear(vec![format!(
            "all CPUs of the shared machine are busy ({:.1} % idle)",
            100.0 * idle
        )])
    })
}

/// The fuller of two ends on machines of their own.
pub(super) fn full_end(run: &Run) -> Option<Verdict> {
    if run.same_machine() {
        return None;
    }
    let full = |role| end_load(run, role).filter(Load::full).map(|load| (role, load));
    let ends = [full(Role::Client), full(Role::Server)].into_iter().flatten();
    let (role, load) = ends.reduce(|a, b| if b.1.excess() > a.1.excess() { b } else { a })?;
    Some(load.verdict(run, role))
}

/// Whether podperf left CPU: of a machine that both ends share, its processes and all softirqs took
/// less than half, and neither process all that its workers could have. Two machines of their own
/// are judged before.
pub(super) fn plenty(run: &Run) -> bool {
    own_at_most(run, MAX_OWN_SHARE)
}

/// The same, for what is counted and no wait for a CPU can look like: three quarters.
pub(super) fn enough(run: &Run) -> bool {
    own_at_most(run, MAX_OWN_SHARE_COUNTED)
}

fn own_at_most(run: &Run, share: f64) -> bool {
    if !run.same_machine() {
        return true;
    }
    if ROLES.into_iter().any(|role| process_load(run, role).is_some_and(|load| load.full())) {
        return false;
    }
    let cpus = run.cpu.named().into_iter().filter_map(|(_, cpu)| cpu.as_ref());
    let (cpus, own): (Vec<u32>, Vec<f64>) =
        cpus.filter_map(|cpu| Some((cpu.cpus, cpu.process.as_ref()?.total()))).unzip();
    let own = if one_process(run) { own.into_iter().fold(0.0, f64::max) } else { own.iter().sum() };
    let softirqs =
        run.cpu.named().into_iter().filter_map(|(_, cpu)| Some(cpu.as_ref()?.modes.softirq));
    let own = own + softirqs.fold(0.0, f64::max);
    cpus.first().is_none_or(|cpus| own < share * f64::from(*cpus))
}

/// Whether both ends' CPU figures are there.
pub(super) const fn known(run: &Run) -> bool {
    run.cpu.client.is_some() && run.cpu.server.is_some()
}

/// What each end had to spare, as evidence.
pub(super) fn spare(run: &Run) -> Vec<String> {
    let ends = run.cpu.named().into_iter().filter_map(|(end, cpu)| Some((end, cpu.as_ref()?)));
    let text = |(end, cpu): (&str, &Cpu)| {
        let busiest = cpu.per_cpu.iter().map(|line| line.modes.busy()).reduce(f64::max);
        let busiest = busiest.map_or_else(String::new, |share| {
            format!(", the busiest CPU {:.0} % busy", 100.0 * share)
        });
        format!("{end}: {:.2} of {} CPUs busy{busiest}", cpu.busy, cpu.cpus)
    };
    ends.map(text).collect()
}

/// How full an end is by one measure.
struct Load {
    share: f64,
    threshold: f64,
    text: String,
}

impl Load {
    fn full(&self) -> bool {
        self.share >= self.threshold
    }

    /// How far over its threshold, so that different measures compare.
    fn excess(&self) -> f64 {
        self.share / self.threshold
    }

    /// The end that is full sends, receives, or does both.
    fn verdict(self, run: &Run, role: Role) -> Verdict {
        let sends = match run.plan.workload.direction() {
            None | Some(Direction::Up) => role == Role::Client,
            Some(Direction::Down) => role == Role::Server,
            Some(Direction::Both) => true,
        };
        bound(if sends { Bound::SenderCpu } else { Bound::ReceiverCpu }, self.text)
    }
}

/// The measure by which an end is fullest: its process, its workers' CPUs, its whole machine.
fn end_load(run: &Run, role: Role) -> Option<Load> {
    let loads = [process_load(run, role), worker_cpus_load(run, role), machine_load(run, role)];
    loads.into_iter().flatten().reduce(|a, b| if b.excess() > a.excess() { b } else { a })
}

/// CPUs that the workers of an end can fill.
fn worker_cpus(run: &Run, role: Role) -> Option<(&PlacementFacts, u32)> {
    let placement = run.placement.get(role).as_ref()?;
    let allowed = run.host.get(role).as_ref().map_or(0, |host| host.cpus_allowed.len());
    let allowed = u32::try_from(allowed).ok().filter(|allowed| *allowed > 0).unwrap_or(u32::MAX);
    let cpus = placement.workers.min(allowed);
    (cpus > 0).then_some((placement, cpus))
}

fn process_load(run: &Run, role: Role) -> Option<Load> {
    let process = run.cpu.get(role).as_ref()?.process.as_ref()?;
    let (placement, cpus) = worker_cpus(run, role)?;
    Some(Load {
        share: process.total() / f64::from(cpus),
        threshold: MIN_PROCESS_SHARE,
        text: format!(
            "{}: the process used {:.2} cores with {} on {}",
            end_name(role),
            process.total(),
            count(placement.workers, "worker"),
            count(cpus, "CPU")
        ),
    })
}

/// The CPUs that the workers are pinned to; unpinned, as many of the busiest as there are workers.
fn worker_cpus_load(run: &Run, role: Role) -> Option<Load> {
    let cpu = run.cpu.get(role).as_ref()?;
    let (placement, cpus) = worker_cpus(run, role)?;
    let pinned: Vec<u32> = placement.pinned_cpus.iter().flatten().copied().collect();
    let of_workers = |line: &&PerCpu| pinned.is_empty() || pinned.contains(&line.cpu);
    let mut lines: Vec<&PerCpu> = cpu.per_cpu.iter().filter(of_workers).collect();
    lines.sort_by(|a, b| b.modes.busy().total_cmp(&a.modes.busy()));
    lines.truncate(usize::try_from(cpus).unwrap_or(usize::MAX));
    let number = u32::try_from(lines.len()).ok().filter(|number| *number > 0)?;
    let share = lines.iter().map(|line| line.modes.busy()).sum::<f64>() / f64::from(number);
    let whose = if pinned.is_empty() { "busiest" } else { "workers'" };
    Some(Load {
        share,
        threshold: MIN_WORKER_CPUS_SHARE,
        text: format!(
            "{}: {whose} {} {:.0} % busy",
            end_name(role),
            count(number, "CPU"),
            100.0 * share
        ),
    })
}

fn machine_load(run: &Run, role: Role) -> Option<Load> {
    let idle = machine_idle(run.cpu.get(role).as_ref()?)?;
    Some(Load {
        share: 1.0 - idle,
        threshold: 1.0 - MAX_IDLE_SHARE,
        text: format!("{}: all CPUs are busy ({:.1} % idle)", end_name(role), 100.0 * idle),
    })
}

/// Idle share of all CPUs.
fn machine_idle(cpu: &Cpu) -> Option<f64> {
    (cpu.cpus > 0).then(|| (cpu.modes.idle + cpu.modes.iowait) / f64::from(cpu.cpus))
}
