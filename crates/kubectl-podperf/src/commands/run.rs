//! `kubectl podperf run`: deploy, follow, collect, clean up.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use super::finish::{finish, timed_out};
use super::plan;
use super::prepared::PreparedRun;
use super::signal::{Interrupts, signal_error};
use crate::cluster::deploy::Deployed;
use crate::cluster::follow::LogFollower;
use crate::cluster::log_state::LogState;
use crate::plan::options::RunArgs;
use crate::progress::ProgressLine;
use crate::result::document::{self, DocumentParts};
use crate::result::results::ResultsDirectory;
use podperf_model::error::{Error, Result};
use podperf_model::result::cluster::ClusterRun;
use podperf_model::result::run::Status;

/// Carries out `run`; returns the exit status.
pub(super) async fn run(args: RunArgs, command: Vec<String>) -> Result<u8> {
    if args.dry_run {
        return plan::run(args).await;
    }
    let (output, keep) = (args.output.clone(), args.keep);
    let settings = args.work.settle(args.ttl, args.output.quiet)?;
    let results = ResultsDirectory::open(&output, &settings.run_id)?;
    let progress = ProgressLine::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let started_at = jiff::Timestamp::now().to_string();
    let prepared = match interrupts.or(PreparedRun::new(settings)).await {
        Ok(prepared) => prepared,
        Err(error) => {
            results.discard();
            return Err(error);
        }
    };
    prepared.announce(&progress);
    let log = RefCell::new(LogState::default());
    let deployed = RefCell::new(None);
    let ended_early_by = tokio::select! {
        ended = measure(&prepared, &deployed, &log, &progress, &results) => ended.err(),
        kind = interrupts.next() => Some(signal_error(kind)),
        () = sleep(prepared.timeout) => Some(timed_out(prepared.timeout)),
    };
    let log = log.into_inner();
    let mut run = document(&prepared, deployed.into_inner(), &log, ended_early_by);
    (run.command, run.started_at) = (command, started_at);
    // What a run may yet bring home is not deleted for having been out of sight.
    let cleaned = if keep || log.unreachable {
        progress.note(&prepared.what_stays());
        Ok(())
    } else {
        tokio::select! {
            cleaned = prepared.clean_up(&progress) => cleaned,
            kind = interrupts.next() => Err(Error::new(kind, "clean up", "a second signal")
                .with_remedy(format!("kubectl podperf destroy {}", prepared.settings.run_id))),
        }
    };
    if let Err(error) = cleaned {
        run.errors.push(error);
        run.status = Status::Incomplete;
    }
    run.ended_at = jiff::Timestamp::now().to_string();
    finish(&run, &results, &progress, output.max_slowdown)
}

/// Deploys the run and follows it to the last record of the coordinator's log.
async fn measure(
    prepared: &PreparedRun,
    deployed: &RefCell<Option<Deployed>>,
    log: &RefCell<LogState>,
    progress: &ProgressLine,
    results: &ResultsDirectory,
) -> Result<()> {
    let run = prepared.deploy(prepared.steps(), progress).await?;
    results.manifests(&run.manifests)?;
    for (path, why) in &run.missing {
        progress.note(&format!("path {path} is left out: {why}"));
    }
    let settings = &prepared.settings;
    let follower = LogFollower {
        cluster: &prepared.cluster,
        run_id: &settings.run_id,
        coordinator: &run.coordinator.clone(),
        pods: run.pods.keys().cloned().collect(),
        retry_time: settings.cluster.api_timeout,
        step_time: settings.duration + settings.warmup + Duration::from_secs(1),
        progress,
    };
    deployed.replace(Some(run));
    follower.until_finished(log).await
}

/// The document of the run, as far as it came.
fn document(
    prepared: &PreparedRun,
    deployed: Option<Deployed>,
    log: &LogState,
    ended_early_by: Option<Error>,
) -> ClusterRun {
    let deployed = deployed.unwrap_or_default();
    document::build(DocumentParts {
        run_id: &prepared.settings.run_id,
        plan: &prepared.plan,
        settings: Some(&prepared.settings),
        facts: prepared.facts.clone(),
        steps: &prepared.steps(),
        pods: &deployed.pods,
        without_address: &deployed.missing,
        log,
        ended_early_by,
    })
}
