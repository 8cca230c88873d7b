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

/// Carries out `preflight`; returns the exit status.
pub(crate) async fn run(args: RunArgs) -> Result<u8> {
    let settings = args.work.settle(args.ttl, args.output.quiet)?;
    let progress = ProgressLine::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let prepared = interrupts.or(PreparedRun::new(settings)).await?;
    let mut checks = vec![
        PreflightCheck {
            what: "API server".into(),
            found: Ok(format!("answers, {}", prepared.cluster.version)),
        },
        PreflightCheck {
            what: "nodes".into(),
            found: Ok(format!(
                "clients on {}, servers on {}",
                prepared.placement.client.name, prepared.placement.server.name
            )),
        },
    ];
    checks.extend(optional_access(&prepared).await?);
    let log = RefCell::new(LogState::default());
    let ended = tokio::select! {
        ended = probe(&prepared, &log, &progress) => ended,
        kind = interrupts.first() => Err(signal_error(kind)),
        () = sleep(PREFLIGHT_TIMEOUT) => Err(timed_out(PREFLIGHT_TIMEOUT)),
    };
    let cleaned = prepared.clean_up(&progress).await;
    progress.finish();
    let log = log.into_inner();
    match &ended {
        Ok(()) => checks.push(PreflightCheck {
            what: "access, pod security, image, pods".into(),
            found: Ok("all pods were admitted and started".into()),
        }),
        Err(error) => {
            let found = Err(error.to_string());
            checks.push(PreflightCheck { what: "access, pod security, image, pods".into(), found });
        }
    }
    checks.extend(log.probes.iter().map(|probe| {
        let answer = probe.cause.clone().unwrap_or_else(|| {
            format!("answers at {} after {:.1} s", probe.address, probe.seconds)
        });
        let as_expected = probe.met || probe.expect == Expect::NoAnswer;
        PreflightCheck {
            what: format!("path {} ({})", probe.path, probe.agent),
            found: if as_expected { Ok(answer) } else { Err(answer) },
        }
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
                checks.push(PreflightCheck {
                    what: "access".into(),
                    found: Ok(format!("may not {verb} {}: the run does without", rule.resource)),
                });
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
