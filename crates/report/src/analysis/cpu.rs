//! What a row cost the machines of each end.

use std::collections::BTreeMap;

use crate::analysis::samples::SampleGroup;
use podperf_model::plan::Role;
use podperf_model::result::cluster::{EndCpu, Sample};
use podperf_model::result::run::{Cpu, Ends, Run};

/// The mean of the whole samples that tell; nothing where none does.
pub(super) fn cpu(group: &SampleGroup<'_>) -> Ends<Option<EndCpu>> {
    let of =
        |role| mean(group.whole.iter().filter_map(|sample| sample_cpu(sample, role)).collect());
    Ends::of(of)
}

fn mean(samples: Vec<EndCpu>) -> Option<EndCpu> {
    let of = |figure: fn(&EndCpu) -> f64| average(samples.iter().map(figure));
    let known = |figure: fn(&EndCpu) -> Option<f64>| average(samples.iter().filter_map(figure));
    Some(EndCpu {
        user_cores: of(|cpu| cpu.user_cores)?,
        system_cores: of(|cpu| cpu.system_cores)?,
        softirq_cores: of(|cpu| cpu.softirq_cores)?,
        busy_cores: of(|cpu| cpu.busy_cores)?,
        hottest_cpu_softirq_percent: known(|cpu| cpu.hottest_cpu_softirq_percent),
        cores_per_gbit: known(|cpu| cpu.cores_per_gbit),
        us_per_transaction: known(|cpu| cpu.us_per_transaction),
    })
}

/// One end of one sample. Each machine's figure is that of the whole machine, so pairs that share
/// one have read it several times.
fn sample_cpu(sample: &Sample, role: Role) -> Option<EndCpu> {
    let mut machines: BTreeMap<Option<&str>, Vec<&Cpu>> = BTreeMap::new();
    for run in &sample.runs {
        let boot_id = run.host.get(role).as_ref().and_then(|host| host.boot_id.as_deref());
        machines.entry(boot_id).or_default().push(run.cpu.get(role).as_ref()?);
    }
    let sum = |figure: fn(&Cpu) -> f64| -> Option<f64> {
        let each = machines.values().map(|cpus| average(cpus.iter().map(|cpu| figure(cpu))));
        each.sum()
    };
    let busy_cores = sum(|cpu| cpu.busy)?;
    let softirqs = machines.values().flatten().flat_map(|cpu| &cpu.per_cpu);
    let hottest = softirqs.map(|line| 100.0 * line.modes.softirq).reduce(f64::max);
    // Beside bulk streams the CPU went to both.
    let alone = sample.runs.iter().all(|run| run.plan.load().is_none());
    let work = |transacts: bool, rate: fn(&Run) -> Option<f64>| {
        let own = sample.runs.iter().all(|run| run.plan.workload.transacts() == transacts);
        let total: Option<f64> = sample.runs.iter().map(rate).sum();
        total.filter(|total| own && alone && *total > 0.0)
    };
    let bits = work(false, |run| Some(run.throughput.as_ref()?.bits_per_second));
    let transactions = work(true, |run| Some(run.transactions.as_ref()?.per_second));
    Some(EndCpu {
        user_cores: sum(|cpu| cpu.modes.user + cpu.modes.nice)?,
        system_cores: sum(|cpu| cpu.modes.system)?,
        softirq_cores: sum(|cpu| cpu.modes.softirq)?,
        busy_cores,
        hottest_cpu_softirq_percent: hottest,
        cores_per_gbit: bits.map(|bits| busy_cores / (bits / 1e9)),
        us_per_transaction: transactions.map(|per_second| 1e6 * busy_cores / per_second),
    })
}

/// The mean of some figures; nothing without any.
#[expect(clippy::cast_precision_loss, reason = "a number of figures")]
pub(super) fn average(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = figures.fold((0_u64, 0.0), |(count, sum), figure| (count + 1, sum + figure));
    (count > 0).then(|| sum / count as f64)
}
