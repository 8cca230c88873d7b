//! How options that were given take the place of a preset's defaults, and what does not go
//! together.

use std::time::Duration;

use crate::plan::layout::RunLayout;
use crate::plan::options::{MeasurementArgs, WorkArgs};
use crate::plan::path::{ClientRole, NetworkPath};
use crate::plan::preset::PresetDefaults;
use crate::plan::settings::Settings;
use crate::plan::test_plan;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::schedule::host_and_port;

/// Most steps of a run: past it, it would take days, or its specification be too large.
const MAX_STEPS: usize = 2_000;
/// Linux takes 128 KiB for one variable (MAX_ARG_STRLEN, execve(2)).
const MAX_SPECIFICATION_BYTES: usize = 120_000;
const MAX_PAIRS: u32 = 32;
const MAX_OBJECTS: u32 = 10_000;

impl WorkArgs {
    /// Fills in the preset's defaults, and refuses what does not go together. Objects stay for
    /// `ttl`; `quiet` suppresses progress.
    pub(crate) fn settle(self, ttl: Duration, quiet: bool) -> Result<Settings> {
        let Self { cluster, measure, placement, pods, deadlines, tolerance } = self;
        let defaults = measure.preset.defaults();
        let paths = paths(&measure, &defaults);
        let policies = policies(&measure, &defaults, &paths);
        let settings = Settings {
            run_id: pods.run_id.clone().unwrap_or_else(random_name),
            seed: measure.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            paths,
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
fn paths(measure: &MeasurementArgs, defaults: &PresetDefaults) -> Vec<NetworkPath> {
    let mut paths = given(&measure.paths, defaults.paths);
    for (asked, path) in [
        (measure.via.is_some(), NetworkPath::Via),
        (measure.policies.is_some_and(|policies| policies > 0), NetworkPath::Policies),
    ] {
        if asked && !paths.contains(&path) {
            paths.push(path);
        }
    }
    // The baseline first, the others in the order of the list of paths.
    paths.sort();
    paths
}

/// The number of policies: none without the path that they are for, whatever the preset says.
fn policies(measure: &MeasurementArgs, defaults: &PresetDefaults, paths: &[NetworkPath]) -> u32 {
    if !paths.contains(&NetworkPath::Policies) {
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
    between("--pairs", measure.pairs, 1, MAX_PAIRS)?;
    between("--policies", settings.policies, 0, MAX_OBJECTS)?;
    between("--idle-policies", measure.idle_policies, 0, MAX_OBJECTS)?;
    between("--services", measure.services, 0, MAX_OBJECTS)?;
    between("--cpus", settings.placement.cpus, 1, 1024)?;
    if settings.deadlines.ready_timeout < Duration::from_secs(1) {
        let time = humantime::format_duration(settings.deadlines.ready_timeout);
        return Err(Error::usage("--ready-timeout", time, "allowed: 1s or more"));
    }
    let paths = &settings.paths;
    if paths.contains(&NetworkPath::Via) && measure.via.is_none() {
        return Err(Error::usage("--scenarios", "via", "needs --via HOST:PORT, where it leads"));
    }
    if let Some(via) = measure.via.as_deref().filter(|via| host_and_port(via).is_none()) {
        let allowed = "allowed: HOST:PORT, an IPv6 address in brackets";
        return Err(Error::usage("--via", via, allowed));
    }
    if paths.contains(&NetworkPath::Policies) && settings.policies == 0 {
        return Err(Error::usage("--policies", 0, "allowed: at least 1 with the path policies"));
    }
    let nodes = (&settings.placement.client_node, &settings.placement.server_node);
    if nodes.0.is_some() && nodes.0 == nodes.1 {
        let node = nodes.0.as_deref().unwrap_or_default();
        let allowed = "allowed: two different nodes; the path same-node measures within one";
        return Err(Error::usage("--server-node", node, allowed));
    }
    if test_plan::rows(settings).is_empty() {
        let tests: Vec<String> = settings.tests.iter().map(|test| test.name()).collect();
        let cause = "none of them can be measured on the paths asked for; allowed there: \
                     tcp_stream and tcp_rr";
        return Err(Error::usage("--tests", tests.join(","), cause));
    }
    let steps = test_plan::rows(settings).len() * settings.samples as usize;
    if steps > MAX_STEPS {
        let cause = format!("{steps} samples, at most {MAX_STEPS}: fewer paths, tests or samples");
        return Err(Error::new(Kind::Usage, "plan the run", cause));
    }
    specification_fits(settings)?;
    // Every run of the engine, held against the engine's own rules.
    test_plan::check(settings)
}

/// The order of the samples stands in one variable of the coordinator's environment, all command
/// lines of a client in one of the client's.
fn specification_fits(settings: &Settings) -> Result<()> {
    let layout = RunLayout::new(settings);
    let steps = test_plan::order(settings, |row| layout.agents(row));
    let order = serde_json::to_string(&steps).map_or(usize::MAX, |text| text.len());
    let parts = [ClientRole::Pod, ClientRole::Host, ClientRole::Hairpin]
        .map(|role| agent_config_bytes(settings, role));
    let bytes = parts.into_iter().fold(order, usize::max);
    if bytes <= MAX_SPECIFICATION_BYTES {
        return Ok(());
    }
    let cause = format!(
        "{} samples by {} pairs take {bytes} bytes of a pod's specification, at most \
         {MAX_SPECIFICATION_BYTES}: fewer paths, tests, samples or pairs, or several runs",
        steps.len(),
        settings.measure.pairs
    );
    Err(Error::new(Kind::Usage, "plan the run", cause))
}

/// Most bytes of a client's configuration, with each row's name twice: at its words and at its
/// probe.
fn agent_config_bytes(settings: &Settings, role: ClientRole) -> usize {
    let longest = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let via = settings.measure.via.as_deref().unwrap_or_default();
    let target = if via.len() > longest.len() { via } else { longest };
    let rows =
        test_plan::rows(settings).into_iter().filter(|row| row.path.network_path.client() == role);
    let sizes = rows.map(|row| {
        let entry = (row.id(), row.id(), test_plan::words(settings, row, target));
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
