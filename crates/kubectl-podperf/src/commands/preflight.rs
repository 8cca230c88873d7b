//! `kubectl podperf preflight`: everything that a run needs, tried without measuring.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use super::finish::timed_out;
use super::prepared::PreparedRun;
use super::signal::{Interrupts, signal_error};
use crate::cluster::access;
use crate::cluster::failure::DuringRequest as _;
use crate::cluster::follow::LogFollower;
use crate::cluster::log_state::LogState;
use crate::plan::options::RunArgs;
use crate::plan::rbac::{self, AccessRule, NeededFor};
use crate::progress::ProgressLine;
use crate::result::results;
use podperf_model::error::{Kind, Result};
use podperf_model::plan::Expect;

/// Time limit for pods to start and paths to answer.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(600);

/// The outcome of one check.
struct PreflightCheck {
    what: String,
    found: Result<String, String>,
}

fn check(what: impl Into<String>, found: Result<String, String>) -> PreflightCheck {
    PreflightCheck { what: what.into(), found }
}

/// Carries out `preflight`; returns the exit status.
pub(crate) async fn run(args: RunArgs) -> Result<u8> {
    let settings = args.work.settle(args.ttl, args.output.quiet)?;
    let progress = ProgressLine::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let prepared = interrupts.or(PreparedRun::new(settings)).await?;
    let (client, server) = (&prepared.placement.client.name, &prepared.placement.server.name);
    let mut checks = vec![
        check("API server", Ok(format!("answers, {}", prepared.cluster.version))),
        check("nodes", Ok(format!("clients on {client}, servers on {server}"))),
    ];
    checks.extend(optional_access(&prepared).await?);
    let log = RefCell::new(LogState::default());
    let ended = tokio::select! {
        ended = probe(&prepared, &log, &progress) => ended,
        kind = interrupts.next() => Err(signal_error(kind)),
        () = sleep(PREFLIGHT_TIMEOUT) => Err(timed_out(PREFLIGHT_TIMEOUT)),
    };
    let cleaned = prepared.clean_up(&progress).await;
    progress.finish();
    let log = log.into_inner();
    let started = ended.as_ref().map(|()| "all pods were admitted and started".to_owned());
    let started = started.map_err(ToString::to_string);
    checks.push(check("access, pod security, image, pods", started));
    checks.extend(log.probes.iter().map(|probe| {
        let answer = probe.cause.clone().unwrap_or_else(|| {
            format!("answers at {} after {:.1} s", probe.address, probe.seconds)
        });
        let as_expected = probe.met || probe.expect == Expect::NoAnswer;
        let what = format!("path {} ({})", probe.path, probe.agent);
        check(what, if as_expected { Ok(answer) } else { Err(answer) })
    }));
    print(&checks)?;
    cleaned?;
    let failed = checks.iter().any(|check| check.found.is_err());
    match ended {
        Err(error) if error.kind != Kind::Unmeasured && error.kind != Kind::Incomplete => {
            Err(error)
        }
        _ if failed => Ok(Kind::Unmeasured.exit_status()),
        _ => Ok(0),
    }
}

/// A run without a step: pods start, clients join and probe their paths.
async fn probe(
    prepared: &PreparedRun,
    log: &RefCell<LogState>,
    progress: &ProgressLine,
) -> Result<()> {
    let run = prepared.deploy(Vec::new(), progress).await?;
    let follower = LogFollower {
        cluster: &prepared.cluster,
        run_id: &prepared.settings.run_id,
        coordinator: &run.coordinator,
        pods: run.pods.keys().cloned().collect(),
        retry_time: prepared.settings.cluster.api_timeout,
        step_time: Duration::ZERO,
        progress,
    };
    follower.until_finished(log).await
}

/// Checks access that a run does without.
async fn optional_access(prepared: &PreparedRun) -> Result<Vec<PreflightCheck>> {
    let mut checks = Vec::new();
    let namespaced = rbac::RULES.iter().map(|rule| (rule, Some(&*prepared.cluster.namespace)));
    let wide = rbac::CLUSTER_RULES.iter().map(|rule| (rule, None));
    let system = rbac::SYSTEM_RULES.iter().map(|rule| (rule, Some(rbac::SYSTEM_NAMESPACE)));
    let optional = |(rule, _): &(&AccessRule, _)| rule.needed_for == NeededFor::Optional;
    for (rule, namespace) in namespaced.chain(wide).chain(system).filter(optional) {
        for verb in rule.verbs {
            let allowed = access::allowed(&prepared.cluster, rule, verb, namespace)
                .await
                .during("ask what this account may do")?;
            if !allowed {
                let resource = rule.resource;
                let found = format!("may not {verb} {resource}: the run does without");
                checks.push(check("access", Ok(found)));
            }
        }
    }
    Ok(checks)
}

fn print(checks: &[PreflightCheck]) -> Result<()> {
    results::stdout(|to| {
        for check in checks {
            let (mark, text) = match &check.found {
                Ok(text) => ("ok    ", text),
                Err(text) => ("FAILED", text),
            };
            writeln!(to, "{mark}  {}: {}", check.what, text.replace(char::is_control, " "))?;
        }
        Ok(())
    })
}
