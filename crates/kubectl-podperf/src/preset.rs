//! Sets of defaults, and how options that were given take their place.

use std::time::Duration;

use clap::ValueEnum;

use super::layout::Layout;
use super::options::{ClusterArgs, DeadlineArgs, MeasureArgs, PlacementArgs, PodArgs, WorkArgs};
use super::scenario::{Client, Scenario};
use super::trial::{self, TestKind};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::schedule::host_and_port;

/// Everything about one run, settled.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) cluster: ClusterArgs,
    pub(super) measure: MeasureArgs,
    pub(super) placement: PlacementArgs,
    pub(super) pods: PodArgs,
    pub(super) deadlines: DeadlineArgs,
    pub(super) tolerance: f64,
    pub(super) ttl: Duration,
    pub(super) quiet: bool,
    pub(super) run_id: String,
    pub(super) seed: u64,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) tests: Vec<TestKind>,
    pub(super) streams: Vec<u32>,
    pub(super) rr_flows: Vec<u32>,
    pub(super) duration: Duration,
    pub(super) warmup: Duration,
    pub(super) samples: u32,
    pub(super) policies: u32,
}

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Preset {
    /// Host and pod, 1 and 8 streams, one flow of requests, 3 samples of 5 s: under 3 minutes
    Quick,
    /// Host and pod, 1 to 32 streams, 5 samples of a minute
    Default,
    /// As in the study that asked: host and pod, 1 and 3 streams, windows of 10 minutes
    Paper,
    /// How many streams fill the path: 1 to 64, 3 samples of 10 s
    Saturate,
    /// What Services cost: pod, ClusterIP, both NodePorts, hairpin; connections among the tests
    Services,
    /// What 100 NetworkPolicies cost
    Policies,
}

/// What a preset says.
struct Defaults {
    scenarios: &'static [Scenario],
    tests: &'static [TestKind],
    streams: &'static [u32],
    rr_flows: &'static [u32],
    window: Duration,
    warm_up: Duration,
    samples: u32,
    policies: u32,
}

impl Preset {
    const fn defaults(self) -> Defaults {
        use Scenario::{ClusterIp, Hairpin, Host, NodePort, NodePortOther, Pod, Policies};
        use TestKind::{TcpCrr, TcpRr, TcpStream};
        let base = Defaults {
            scenarios: &[Host, Pod],
            tests: &[TcpStream, TcpRr],
            streams: &[1, 2, 4, 8, 16, 32],
            rr_flows: &[1, 16],
            window: Duration::from_secs(60),
            warm_up: Duration::from_secs(5),
            samples: 5,
            policies: 0,
        };
        match self {
            Self::Default => base,
            Self::Quick => Defaults {
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(5),
                warm_up: Duration::from_secs(1),
                samples: 3,
                ..base
            },
            Self::Paper => Defaults {
                streams: &[1, 3],
                rr_flows: &[1],
                window: Duration::from_secs(600),
                samples: 3,
                ..base
            },
            Self::Saturate => Defaults {
                tests: &[TcpStream],
                streams: &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                samples: 3,
                ..base
            },
            Self::Services => Defaults {
                scenarios: &[Host, Pod, ClusterIp, NodePort, NodePortOther, Hairpin],
                tests: &[TcpStream, TcpRr, TcpCrr],
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                ..base
            },
            Self::Policies => Defaults {
                scenarios: &[Host, Pod, Policies],
                tests: &[TcpStream, TcpRr, TcpCrr],
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                policies: 100,
                ..base
            },
        }
    }
}

/// Most of anything that is counted: past it a run would take days, or a specification be too
/// large.
const MOST_STEPS: usize = 2_000;
/// Linux takes 128 KiB for one variable (MAX_ARG_STRLEN, execve(2)).
const MOST_SPECIFICATION_BYTES: usize = 120_000;
const MOST_PAIRS: u32 = 32;
const MOST_OBJECTS: u32 = 10_000;

impl WorkArgs {
    /// What was typed, with the preset's defaults and everything that does not go together refused.
    /// Objects stay for `ttl`; `quiet` says that nobody is told how it goes.
    pub(super) fn settle(self, ttl: Duration, quiet: bool) -> Result<Settings> {
        let Self { cluster, measure, placement, pods, deadlines, tolerance } = self;
        let defaults = measure.preset.defaults();
        let scenarios = scenarios(&measure, &defaults);
        let policies = policies(&measure, &defaults, &scenarios);
        let settings = Settings {
            run_id: pods.run_id.clone().unwrap_or_else(random_name),
            seed: measure.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            scenarios,
            tests: given(&measure.tests, defaults.tests),
            streams: given(&measure.streams, defaults.streams),
            rr_flows: given(&measure.rr_flows, defaults.rr_flows),
            duration: measure.duration.unwrap_or(defaults.window),
            warmup: measure.warmup.unwrap_or(defaults.warm_up),
            samples: measure.samples.unwrap_or(defaults.samples),
            policies,
            cluster,
            measure,
            placement,
            pods,
            deadlines,
            tolerance,
            ttl,
            quiet,
        };
        check(&settings)?;
        Ok(settings)
    }
}

fn given<T: Copy + PartialEq>(typed: &[T], defaults: &[T]) -> Vec<T> {
    let all = if typed.is_empty() { defaults } else { typed };
    let mut once = Vec::with_capacity(all.len());
    for item in all {
        if !once.contains(item) {
            once.push(*item);
        }
    }
    once
}

/// The paths: those named, and those that another option asks for.
fn scenarios(measure: &MeasureArgs, defaults: &Defaults) -> Vec<Scenario> {
    let mut paths = given(&measure.scenarios, defaults.scenarios);
    for (asked, scenario) in [
        (measure.via.is_some(), Scenario::Via),
        (measure.policies.is_some_and(|policies| policies > 0), Scenario::Policies),
    ] {
        if asked && !paths.contains(&scenario) {
            paths.push(scenario);
        }
    }
    // The baseline first, the others in the order of the list of paths.
    paths.sort();
    paths
}

/// None without the path that they are for, whatever the preset says.
fn policies(measure: &MeasureArgs, defaults: &Defaults, paths: &[Scenario]) -> u32 {
    if !paths.contains(&Scenario::Policies) {
        return 0;
    }
    measure.policies.unwrap_or_else(|| defaults.policies.max(1))
}

fn check(settings: &Settings) -> Result<()> {
    let measure = &settings.measure;
    let between = |option: &str, value: u32, least: u32, most: u32| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(Error::usage(option, value, format!("allowed: {least} to {most}")))
    };
    between("--samples", settings.samples, 1, 1000)?;
    between("--pairs", measure.pairs, 1, MOST_PAIRS)?;
    between("--policies", settings.policies, 0, MOST_OBJECTS)?;
    between("--idle-policies", measure.idle_policies, 0, MOST_OBJECTS)?;
    between("--services", measure.services, 0, MOST_OBJECTS)?;
    between("--cpus", settings.placement.cpus, 1, 1024)?;
    if settings.deadlines.ready_timeout < Duration::from_secs(1) {
        let time = humantime::format_duration(settings.deadlines.ready_timeout);
        return Err(Error::usage("--ready-timeout", time, "allowed: 1s or more"));
    }
    let paths = &settings.scenarios;
    if paths.contains(&Scenario::Via) && measure.via.is_none() {
        return Err(Error::usage("--scenarios", "via", "needs --via HOST:PORT, where it leads"));
    }
    if let Some(via) = measure.via.as_deref().filter(|via| host_and_port(via).is_none()) {
        let allowed = "allowed: HOST:PORT, an IPv6 address in brackets";
        return Err(Error::usage("--via", via, allowed));
    }
    if paths.contains(&Scenario::Policies) && settings.policies == 0 {
        return Err(Error::usage("--policies", 0, "allowed: at least 1 with the path policies"));
    }
    let nodes = (&settings.placement.client_node, &settings.placement.server_node);
    if nodes.0.is_some() && nodes.0 == nodes.1 {
        let node = nodes.0.as_deref().unwrap_or_default();
        let allowed = "allowed: two different nodes; the path same-node measures within one";
        return Err(Error::usage("--server-node", node, allowed));
    }
    if trial::rows(settings).is_empty() {
        let tests: Vec<String> = settings.tests.iter().map(|test| test.name()).collect();
        let cause = "none of them can be measured on the paths asked for; allowed there: \
                     tcp_stream and tcp_rr";
        return Err(Error::usage("--tests", tests.join(","), cause));
    }
    let steps = trial::rows(settings).len() * settings.samples as usize;
    if steps > MOST_STEPS {
        let cause = format!("{steps} samples, at most {MOST_STEPS}: fewer paths, tests or samples");
        return Err(Error::new(Kind::Usage, "plan the run", cause));
    }
    specification_fits(settings)?;
    // Every run of the engine, held against the engine's own rules.
    trial::check(settings)
}

/// The order of the samples stands in one variable of the coordinator's environment, all command
/// lines of a client in one of the client's.
fn specification_fits(settings: &Settings) -> Result<()> {
    let layout = Layout::new(settings);
    let steps = trial::order(settings, |row| layout.agents(row));
    let order = serde_json::to_string(&steps).map_or(usize::MAX, |text| text.len());
    let parts = [Client::Pod, Client::Host, Client::Hairpin].map(|role| part_bytes(settings, role));
    let bytes = parts.into_iter().fold(order, usize::max);
    if bytes <= MOST_SPECIFICATION_BYTES {
        return Ok(());
    }
    let cause = format!(
        "{} samples by {} pairs take {bytes} bytes of a pod's specification, at most \
         {MOST_SPECIFICATION_BYTES}: fewer paths, tests, samples or pairs, or several runs",
        steps.len(),
        settings.measure.pairs
    );
    Err(Error::new(Kind::Usage, "plan the run", cause))
}

/// What a client's part takes at most, with each row's name twice: at its words and at its probe.
fn part_bytes(settings: &Settings, role: Client) -> usize {
    let longest = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let via = settings.measure.via.as_deref().unwrap_or_default();
    let target = if via.len() > longest.len() { via } else { longest };
    let rows = trial::rows(settings).into_iter().filter(|row| row.path.scenario.client() == role);
    let sizes = rows.map(|row| {
        let entry = (row.id(), row.id(), trial::words(settings, row, target));
        serde_json::to_string(&entry).map_or(0, |text| text.len())
    });
    sizes.sum()
}

/// Six letters and digits, a letter first.
fn random_name() -> String {
    let rest: String = std::iter::repeat_with(fastrand::alphanumeric)
        .map(|char| char.to_ascii_lowercase())
        .take(5)
        .collect();
    format!("{}{rest}", fastrand::lowercase())
}

#[cfg(test)]
mod tests;
