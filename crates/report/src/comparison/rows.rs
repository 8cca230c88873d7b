//! A side's samples by row: what was measured, by which path, in which sizes, by how many flows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::documents::{Content, ReadCluster, ReadRun, ReadSample, Side};
use super::facts::{FactSet, add, each};
use podperf_model::result::wording::count;

/// Stands for all runs between hosts.
const BETWEEN_HOSTS: usize = 0;

/// What rows are the same by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey {
    /// The test's name, or the workload's.
    pub(super) test: String,
    /// Sizes, direction, methods: what figures of different rows differ by in any network.
    pub(super) work: BTreeMap<String, String>,
    /// The way through the cluster; absent for runs between hosts.
    pub(super) path: Option<String>,
    pub(super) flows: u64,
    /// Clients that measured at once.
    pub(super) pairs: usize,
}

/// One complete sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompleteSample {
    /// Samples of one round were measured one after the other.
    pub(super) round: u32,
    /// In bit/s, or transactions per second.
    pub(super) rate: f64,
    /// Of transactions.
    pub(super) latency_ns: Option<f64>,
}

/// A row's samples on one side.
#[derive(Debug, Default)]
pub(super) struct SideRow {
    /// By number of the document; all runs between hosts are as of one.
    pub(super) runs: BTreeMap<usize, Vec<CompleteSample>>,
    pub(super) transacts: bool,
    /// Samples that are not complete.
    pub(super) failed: u32,
    /// Why the first of them is not.
    pub(super) reason: Option<String>,
    /// What plan and transports say beside the key.
    pub(super) beside: FactSet,
}

/// All of a side.
#[derive(Debug, Default)]
pub(super) struct SideRows {
    pub(super) rows: BTreeMap<RowKey, SideRow>,
    pub(super) hosts: FactSet,
    /// Rows of which no run tells what it was, by test, path and flows, with the reason.
    pub(super) unmeasured: Vec<(String, String, u32, String)>,
    /// Tests and paths in the order of the plans.
    pub(super) tests: Vec<String>,
    pub(super) paths: Vec<String>,
    /// Runs that are not complete, for people.
    pub(super) incomplete: Vec<String>,
}

impl SideRow {
    pub(super) fn samples(&self) -> impl Iterator<Item = &CompleteSample> {
        self.runs.values().flatten()
    }

    fn fail(&mut self, times: u32, reason: &str) {
        self.failed = self.failed.saturating_add(times);
        self.reason.get_or_insert_with(|| reason.to_owned());
    }
}

impl SideRows {
    pub(super) fn of(side: &Side) -> Self {
        let mut rows = Self::default();
        let mut round = 0;
        for (number, document) in (BETWEEN_HOSTS + 1..).zip(&side.documents) {
            match &document.content {
                Content::Run(run) => {
                    round += 1;
                    rows.run(&document.name, run, round);
                }
                Content::Cluster(cluster) => rows.cluster(number, &document.name, cluster),
            }
        }
        rows
    }

    fn hosts(&mut self, run: &ReadRun) {
        let Value::Object(ends) = &run.host else { return };
        ends.iter().for_each(|(end, host)| add(end, host, &mut self.hosts));
    }

    fn run(&mut self, name: &str, run: &ReadRun, round: u32) {
        let work = work(&run.plan);
        let test = work.get("kind").cloned().unwrap_or_else(|| "unknown".to_owned());
        let key = RowKey { test, work, path: None, flows: flows(&run.plan), pairs: 1 };
        self.hosts(run);
        let row = self.rows.entry(key).or_default();
        match measured(std::slice::from_ref(run), round) {
            Ok((sample, transacts)) => {
                row.runs.entry(BETWEEN_HOSTS).or_default().push(sample);
                row.transacts = transacts;
                beside(run, &mut row.beside);
            }
            Err(reason) => {
                row.fail(1, &reason);
                self.incomplete.push(format!("{name}: {reason}"));
            }
        }
    }

    fn cluster(&mut self, number: usize, name: &str, cluster: &ReadCluster) {
        for (own, known) in
            [(&cluster.plan.tests, &mut self.tests), (&cluster.plan.paths, &mut self.paths)]
        {
            for name in own {
                if !known.contains(name) {
                    known.push(name.clone());
                }
            }
        }
        add("cluster", &cluster.cluster, &mut self.hosts);
        for field in ["image", "policies", "idle_policies", "background_services"] {
            let value = cluster.plan.others.get(field).unwrap_or(&Value::Null);
            add(&format!("cluster.plan.{field}"), value, &mut self.hosts);
        }
        let mut opened: Vec<RowKey> = Vec::new();
        for sample in &cluster.samples {
            sample.runs.iter().for_each(|run| self.hosts(run));
            let Some(key) = key(sample, cluster.plan.pairs) else { continue };
            if !opened.contains(&key) {
                opened.push(key.clone());
            }
            let row = self.rows.entry(key).or_default();
            match sample.missing.clone().map_or_else(|| measured(&sample.runs, sample.sample), Err)
            {
                Ok((figures, transacts)) => {
                    row.transacts = transacts;
                    row.runs.entry(number).or_default().push(figures);
                    sample.runs.iter().for_each(|run| beside(run, &mut row.beside));
                }
                Err(reason) => row.fail(1, &reason),
            }
        }
        self.without_runs(cluster, &opened);
        let broken = |own: &&ReadSample| own.missing.is_some() || measured(&own.runs, 0).is_err();
        let failed = cluster.samples.iter().filter(broken).count();
        if failed > 0 {
            let samples = count(u64::try_from(failed).unwrap_or(u64::MAX), "sample");
            self.incomplete.push(format!("{name}: {samples} not complete"));
        }
    }

    /// Samples of which there is no run, and those never begun.
    fn without_runs(&mut self, cluster: &ReadCluster, opened: &[RowKey]) {
        for planned in &cluster.plan.rows {
            let (path, test) = (&planned.path, &planned.test);
            let own = || {
                let same = |own: &&ReadSample| {
                    (&own.path, &own.test, own.flows) == (path, test, planned.flows)
                };
                cluster.samples.iter().filter(same)
            };
            let begun = u32::try_from(own().count()).unwrap_or(u32::MAX);
            let empty = own().filter(|sample| sample.runs.is_empty());
            let mut reason = empty.clone().find_map(|sample| sample.missing.clone());
            let lost = u32::try_from(empty.count()).unwrap_or(u32::MAX);
            let lost = lost.saturating_add(cluster.plan.samples.saturating_sub(begun));
            if lost == 0 {
                continue;
            }
            let reason = reason.take().unwrap_or_else(|| "never begun".to_owned());
            let same = |key: &&RowKey| {
                (key.path.as_ref(), &key.test, key.flows)
                    == (Some(path), test, u64::from(planned.flows))
            };
            match opened.iter().find(same).and_then(|key| self.rows.get_mut(key)) {
                Some(row) => row.fail(lost, &reason),
                None => {
                    self.unmeasured.push((test.clone(), path.clone(), planned.flows, reason));
                }
            }
        }
    }
}

impl RowKey {
    /// "pod tcp_stream, 4 flows".
    pub(super) fn name(&self) -> String {
        let path = self.path.as_ref().map_or_else(String::new, |path| format!("{path} "));
        let pairs = if self.pairs > 1 { format!(", {} pairs", self.pairs) } else { String::new() };
        format!("{path}{}, {}{pairs}", self.test, count(self.flows, "flow"))
    }

    /// "tcp_stream, up, message 131072 B, receive read, send auto".
    pub(super) fn title(&self) -> String {
        let others = self.work.iter().filter(|(name, _)| *name != "kind");
        let others: String =
            others.map(|(name, value)| format!(", {}", said(name, value))).collect();
        let pairs = if self.pairs > 1 { format!(", {} pairs", self.pairs) } else { String::new() };
        format!("{}{others}{pairs}", self.test)
    }

    /// In what two rows differ: name, the one, the other.
    pub(super) fn apart(&self, other: &Self) -> Vec<(String, [String; 2])> {
        let none = || "none".to_owned();
        let path = |key: &Self| key.path.clone().unwrap_or_else(none);
        let mut pairs = vec![
            ("test".to_owned(), [self.test.clone(), other.test.clone()]),
            ("path".to_owned(), [path(self), path(other)]),
            ("flows".to_owned(), [self.flows.to_string(), other.flows.to_string()]),
            ("pairs".to_owned(), [self.pairs.to_string(), other.pairs.to_string()]),
        ];
        let names: std::collections::BTreeSet<&String> =
            self.work.keys().chain(other.work.keys()).collect();
        for name in names {
            let of = |key: &Self| key.work.get(name).cloned().unwrap_or_else(none);
            pairs.push((name.clone(), [of(self), of(other)]));
        }
        pairs.retain(|(_, [one, other])| one != other);
        pairs
    }
}

/// What a run's plan measures, flows aside: "stream, up, message 131072 B, receive read".
pub(crate) fn title(plan: &Value) -> String {
    let work = work(plan);
    let test = work.get("kind").cloned().unwrap_or_else(|| "unknown".to_owned());
    RowKey { test, work, path: None, flows: 0, pairs: 1 }.title()
}

fn said(name: &str, value: &str) -> String {
    if name == "direction" {
        return value.to_owned();
    }
    let plain = |name: &str| name.replace(['.', '_'], " ");
    name.strip_suffix("_bytes").map_or_else(
        || format!("{} {value}", plain(name)),
        |name| format!("{} {value} B", plain(name)),
    )
}

fn key(sample: &ReadSample, pairs: u32) -> Option<RowKey> {
    let work = work(&sample.runs.first()?.plan);
    Some(RowKey {
        test: sample.test.clone(),
        work,
        path: Some(sample.path.clone()),
        flows: u64::from(sample.flows),
        pairs: usize::try_from(pairs.max(1)).unwrap_or(usize::MAX),
    })
}

fn flows(plan: &Value) -> u64 {
    plan.get("flows").and_then(Value::as_u64).unwrap_or_default()
}

/// Whether a fact of the workload makes it another workload.
fn is_work(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.ends_with("_bytes")
        || ["kind", "direction", "send", "receive", "burst", "streams"].contains(&last)
}

fn work(plan: &Value) -> BTreeMap<String, String> {
    let mut work = BTreeMap::new();
    let mut keep = |name: &str, value: String| {
        if is_work(name) {
            work.insert(name.to_owned(), value);
        }
    };
    each("", plan.get("workload").unwrap_or(&Value::Null), &mut keep);
    work
}

/// What a run tells of a plan that is no part of the key, and which methods it came to use.
fn beside(run: &ReadRun, facts: &mut FactSet) {
    let mut keep = |name: &str, value: String| {
        let of_key = name.strip_prefix("workload.").is_some_and(is_work) || name == "flows";
        if !of_key {
            facts.entry(format!("plan.{name}")).or_default().insert(value);
        }
    };
    each("", &run.plan, &mut keep);
    for end in ["client", "server"] {
        for way in ["send", "receive"] {
            let used = run.transport.pointer(&format!("/{end}/{way}/used"));
            add(&format!("{end}.{way}.used"), used.unwrap_or(&Value::Null), facts);
        }
    }
}

/// The figures of a sample's runs together, and whether they are transactions; or why it is not
/// complete.
fn measured(runs: &[ReadRun], round: u32) -> Result<(CompleteSample, bool), String> {
    let broken = runs.iter().find(|run| run.status != "complete");
    if runs.is_empty() || broken.is_some() {
        let error = broken.and_then(|run| run.errors.first());
        return Err(error.map_or_else(|| "incomplete".to_owned(), told));
    }
    let transacts = runs.iter().all(|run| run.transactions.is_some());
    let rate = |run: &ReadRun| {
        let transactions = run.transactions.as_ref().map(|own| own.per_second);
        if transacts {
            transactions
        } else {
            run.throughput.as_ref().map(|own| own.bits_per_second)
        }
    };
    let rate: Option<f64> = runs.iter().map(rate).sum();
    let rate = rate.filter(|rate| rate.is_finite());
    let rate = rate.ok_or_else(|| "complete, and without a rate".to_owned())?;
    let timed = || runs.iter().filter_map(|run| run.latency.as_ref());
    let values: f64 = timed().map(|own| own.count).sum();
    let sum: f64 = timed().filter_map(|own| Some(own.count * own.mean_ns?)).sum();
    let latency_ns = (transacts && values > 0.0).then(|| sum / values);
    Ok((CompleteSample { round, rate, latency_ns }, transacts))
}

/// An error as it is written in a document.
fn told(error: &Value) -> String {
    let of = |field: &str| error.get(field).and_then(Value::as_str);
    let peer = of("peer").map_or_else(String::new, |peer| format!(" {peer}"));
    let operation = of("operation").unwrap_or("run");
    format!("{operation}{peer}: {}", of("cause").unwrap_or("incomplete"))
}
