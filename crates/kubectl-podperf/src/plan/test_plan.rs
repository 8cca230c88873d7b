//! The rows of a run, the words of the engine's command line for each, and the order of the
//! samples.

use std::time::Duration;

use crate::plan::options::IpFamily;
use crate::plan::path::NetworkPath;
use crate::plan::settings::Settings;
use crate::plan::test_kind::TestKind;
use podperf_model::AddressFamily;
use podperf_model::error::{Error, Result};
use podperf_model::result::cluster::{ClusterPlan, PlannedRow};
use podperf_model::schedule::Step;

/// A path and the family of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathByFamily {
    pub(crate) network_path: NetworkPath,
    /// The family; absent: the cluster's first.
    pub(crate) family: Option<AddressFamily>,
}

impl PathByFamily {
    /// `pod`, and `pod-v6` where both families are measured or the sixth alone.
    pub(crate) fn name(self) -> String {
        match self.family {
            Some(AddressFamily::V6) => format!("{}-v6", self.network_path.name()),
            _ => self.network_path.name(),
        }
    }
}

/// One row of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TestRow {
    pub(crate) path: PathByFamily,
    pub(crate) test: TestKind,
    pub(crate) flows: u32,
}

impl TestRow {
    /// Name of the row's test in schedules: `tcp_stream.8@clusterip`.
    pub(crate) fn id(self) -> String {
        format!("{}.{}@{}", self.test.name(), self.flows, self.path.name())
    }
}

/// Takes the name of a test in schedules apart: test, flows and path.
pub(crate) fn parse_id(id: &str) -> Option<(&str, u32, &str)> {
    let (test, path) = id.split_once('@')?;
    let (test, flows) = test.rsplit_once('.')?;
    Some((test, flows.parse().ok()?, path))
}

/// The paths, each by every family asked for; a given address has its own.
pub(crate) fn paths(settings: &Settings) -> Vec<PathByFamily> {
    let families: &[Option<AddressFamily>] = match settings.measure.ip_family {
        None => &[None],
        Some(IpFamily::V4) => &[Some(AddressFamily::V4)],
        Some(IpFamily::V6) => &[Some(AddressFamily::V6)],
        Some(IpFamily::Both) => &[Some(AddressFamily::V4), Some(AddressFamily::V6)],
    };
    let mut paths = Vec::new();
    for &family in families {
        for &network_path in &settings.paths {
            let family = if network_path == NetworkPath::Via { None } else { family };
            let path = PathByFamily { network_path, family };
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// The rows: every path with every test that can use it and every number of flows.
pub(crate) fn rows(settings: &Settings) -> Vec<TestRow> {
    let mut rows = Vec::new();
    for path in paths(settings) {
        for &test in
            settings.tests.iter().filter(|test| test.can_use(path.network_path.address_kind()))
        {
            let flows = if test.transacts() { &settings.rr_flows } else { &settings.streams };
            rows.extend(flows.iter().map(|&flows| TestRow { path, test, flows }));
        }
    }
    rows
}

/// Paths and tests that do not go together, for the reader of the result.
pub(crate) fn left_out(settings: &Settings) -> Vec<(PathByFamily, TestKind)> {
    let pairs = paths(settings)
        .into_iter()
        .flat_map(|path| settings.tests.iter().map(move |&test| (path, test)));
    pairs.filter(|(path, test)| !test.can_use(path.network_path.address_kind())).collect()
}

/// The words of the engine's command line for one row against `target`.
pub(crate) fn words(settings: &Settings, row: TestRow, target: &str) -> Vec<String> {
    let measure = &settings.measure;
    let mut words: Vec<String> = Vec::new();
    let subcommand = match row.test {
        TestKind::TcpStream => "stream",
        TestKind::TcpRr => "rr",
        TestKind::TcpCrr => "crr",
        TestKind::UdpStream | TestKind::UdpRr => "udp",
    };
    let seconds = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    option(subcommand, target.to_owned());
    option("-P", row.flows.to_string());
    option("-t", seconds(settings.duration));
    option("-O", seconds(settings.warmup));
    if row.test.transacts() {
        option("--request", measure.req_size.0.to_string());
        option("--response", measure.resp_size.0.to_string());
    }
    match row.test {
        TestKind::TcpStream | TestKind::UdpStream => {
            if let Some(size) = measure.msg_size {
                option("-l", size.0.to_string());
            }
        }
        TestKind::TcpRr => {
            if let Some(rate) = &measure.rr_rate {
                option("--rate", rate.clone());
            }
        }
        TestKind::TcpCrr | TestKind::UdpRr => {}
    }
    if row.test == TestKind::UdpStream {
        option("-b", measure.udp_rate.0.to_string());
    }
    let tcp = !matches!(row.test, TestKind::UdpStream | TestKind::UdpRr);
    if let Some(name) = measure.congestion.as_ref().filter(|_| tcp) {
        option("-C", name.clone());
    }
    if row.test == TestKind::UdpRr {
        words.push("--rr".to_owned());
    }
    words.extend(
        measure.engine_options.iter().flat_map(|more| more.split_whitespace().map(str::to_owned)),
    );
    words
}

/// Holds every row's command line against the engine's rules.
///
/// # Errors
/// That of the engine, naming the test.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    for row in rows(settings) {
        let words = words(settings, row, "192.0.2.1:5210");
        podperf::check_command_line(&words).map_err(|error| Error {
            operation: format!("{} (test {})", error.operation, row.test.name()),
            ..error
        })?;
    }
    Ok(())
}

/// The samples in the order of measuring: each round has every row once, in a random order.
/// What changes with time then meets all rows alike.
pub(crate) fn order(settings: &Settings, agents: impl Fn(TestRow) -> Vec<String>) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(settings.seed);
    let mut rows = rows(settings);
    let mut steps = Vec::new();
    for sample in 1..=settings.samples {
        random.shuffle(&mut rows);
        steps.extend(rows.iter().map(|row| Step {
            test: row.id(),
            sample,
            agents: agents(*row),
            limit_seconds: step_limit(settings),
        }));
    }
    steps
}

/// A step is given up after this: the run itself, connecting, draining and reporting.
fn step_limit(settings: &Settings) -> u32 {
    let run = settings.duration + settings.warmup + Duration::from_secs(60);
    u32::try_from(run.as_secs()).unwrap_or(u32::MAX)
}

/// How long all samples take, with a second each for opening, draining and reporting.
pub(crate) fn expected(settings: &Settings) -> Duration {
    let one = settings.duration + settings.warmup + Duration::from_secs(1);
    let steps = rows(settings).len() * settings.samples as usize;
    one * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// The plan as it stands in the document, for `collect` as well.
pub(crate) fn cluster_plan(settings: &Settings) -> ClusterPlan {
    let measure = &settings.measure;
    let mut flows: Vec<u32> = rows(settings).iter().map(|row| row.flows).collect();
    flows.sort_unstable();
    flows.dedup();
    ClusterPlan {
        namespace: settings.cluster.namespace.clone(),
        image: settings.pods.image.clone(),
        paths: paths(settings).into_iter().map(PathByFamily::name).collect(),
        tests: settings.tests.iter().map(|test| test.name()).collect(),
        flows,
        rows: rows(settings)
            .into_iter()
            .map(|row| PlannedRow {
                path: row.path.name(),
                test: row.test.name(),
                flows: row.flows,
            })
            .collect(),
        samples: settings.samples,
        window_seconds: settings.duration.as_secs_f64(),
        warm_up_seconds: settings.warmup.as_secs_f64(),
        seed: settings.seed,
        pairs: measure.pairs,
        policies: settings.policies,
        idle_policies: measure.idle_policies,
        background_services: measure.services,
        tolerance_share: settings.tolerance / 100.0,
    }
}

#[cfg(test)]
mod tests;
