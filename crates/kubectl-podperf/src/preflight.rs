//! `kubectl podperf preflight`: everything that a run needs, tried without measuring.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use super::access::{self, When};
use super::follow::{Follower, Told};
use super::options::RunArgs;
use super::progress::Progress;
use super::results;
use super::run::{Prepared, late};
use super::signal::{Interrupts, ended_by};
use podperf_model::error::{Kind, Result};
use podperf_model::plan::Expect;

/// For pods to start and paths to answer.
const LIMIT: Duration = Duration::from_secs(600);

/// One thing that was checked.
struct Check {
    what: String,
    found: Result<String, String>,
}

/// Carries it out; returns the exit status.
pub(super) async fn run(args: RunArgs) -> Result<u8> {
    let settings = args.work.settle(args.ttl, args.output.quiet)?;
    let progress = Progress::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let prepared = interrupts.or(Prepared::new(settings)).await?;
    let mut checks = vec![
        Check {
            what: "API server".into(),
            found: Ok(format!("answers, {}", prepared.cluster.version)),
        },
        Check {
            what: "nodes".into(),
            found: Ok(format!(
                "clients on {}, servers on {}",
                prepared.placement.client.name, prepared.placement.server.name
            )),
        },
    ];
    checks.extend(optional_access(&prepared).await?);
    let told = RefCell::new(Told::default());
    let ended = tokio::select! {
        ended = probe(&prepared, &told, &progress) => ended,
        kind = interrupts.first() => Err(ended_by(kind)),
        () = sleep(LIMIT) => Err(late(LIMIT)),
    };
    let cleaned = prepared.clean_up(&progress).await;
    progress.finish();
    let told = told.into_inner();
    match &ended {
        Ok(()) => checks.push(Check {
            what: "access, pod security, image, pods".into(),
            found: Ok("all pods were admitted and started".into()),
        }),
        Err(error) => {
            let found = Err(error.to_string());
            checks.push(Check { what: "access, pod security, image, pods".into(), found });
        }
    }
    checks.extend(told.probes.iter().map(|probe| {
        let answer = probe.cause.clone().unwrap_or_else(|| {
            format!("answers at {} after {:.1} s", probe.address, probe.seconds)
        });
        let as_expected = probe.met || probe.expect == Expect::NoAnswer;
        Check {
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
async fn probe(prepared: &Prepared, told: &RefCell<Told>, progress: &Progress) -> Result<()> {
    let up = prepared.deploy(Vec::new(), progress).await?;
    let follower = Follower {
        cluster: &prepared.cluster,
        run_id: &prepared.settings.run_id,
        coordinator: &up.coordinator,
        pods: up.pods.keys().cloned().collect(),
        patience: prepared.settings.cluster.api_timeout,
        step: Duration::ZERO,
        progress,
    };
    follower.until_finished(told).await
}

/// What a run does without, and says so.
async fn optional_access(prepared: &Prepared) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let namespaced = access::RULES.iter().map(|rule| (rule, Some(&*prepared.cluster.namespace)));
    let wide = access::CLUSTER_RULES.iter().map(|rule| (rule, None));
    let system = access::SYSTEM_RULES.iter().map(|rule| (rule, Some(access::SYSTEM)));
    let optional = |(rule, _): &(&access::Rule, _)| rule.when == When::Optional;
    for (rule, namespace) in namespaced.chain(wide).chain(system).filter(optional) {
        for verb in rule.verbs {
            let allowed = access::allowed(&prepared.cluster, rule, verb, namespace)
                .await
                .map_err(|failure| failure.of("ask what this account may do"))?;
            if !allowed {
                checks.push(Check {
                    what: "access".into(),
                    found: Ok(format!("may not {verb} {}: the run does without", rule.resource)),
                });
            }
        }
    }
    Ok(checks)
}

fn print(checks: &[Check]) -> Result<()> {
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
