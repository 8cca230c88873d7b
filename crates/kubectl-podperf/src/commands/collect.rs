//! `kubectl podperf collect`: what a run has measured, from its coordinator's log.

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use super::finish::{finish, timed_out};
use super::signal::{Interrupts, signal_error};
use crate::cluster::api::Cluster;
use crate::cluster::follow::LogFollower;
use crate::cluster::log_state::LogState;
use crate::cluster::stored_run::StoredRun;
use crate::cluster::system_objects::SystemObjects;
use crate::plan::options::CollectArgs;
use crate::progress::ProgressLine;
use crate::result::document::{self, DocumentParts};
use crate::result::fingerprint;
use crate::result::results::ResultsDirectory;
use podperf_model::error::Result;

/// Carries out `collect`; returns the exit status.
pub(super) async fn run(args: CollectArgs, command: Vec<String>) -> Result<u8> {
    let progress = ProgressLine::new(args.output.quiet);
    let mut interrupts = Interrupts::watch()?;
    let cluster = interrupts.or(Cluster::connect(&args.cluster)).await?;
    let stored = interrupts.or(StoredRun::find(&cluster, &args.run)).await?;
    let results = ResultsDirectory::open(&args.output, &args.run)?;
    let follower = LogFollower {
        cluster: &cluster,
        run_id: &args.run,
        coordinator: &stored.coordinator,
        // Only pods that are there still can fail to be.
        pods: stored.pods.keys().cloned().collect(),
        retry_time: args.cluster.api_timeout,
        step_time: Duration::from_secs_f64(
            stored.plan.window_seconds + stored.plan.warm_up_seconds + 1.0,
        ),
        progress: &progress,
    };
    let log = RefCell::new(LogState::default());
    let ended_early_by = tokio::select! {
        ended = follow(&follower, &log, args.no_wait) => ended.err(),
        kind = interrupts.next() => Some(signal_error(kind)),
        timeout = passed(args.timeout) => Some(timed_out(timeout)),
    };
    let log = log.into_inner();
    let objects = SystemObjects::read(&cluster).await;
    let facts = fingerprint::facts(&cluster.version, &stored.placement(&cluster).await, &objects);
    let mut run = document::build(DocumentParts {
        run_id: &args.run,
        plan: &stored.plan,
        facts,
        steps: &stored.schedule.steps,
        pods: &stored.pods,
        settings: None,
        without_address: &[],
        log: &log,
        ended_early_by,
    });
    (run.command, run.started_at) = (command, stored.started_at);
    let remedy = format!("kubectl podperf destroy {} -n {}", args.run, cluster.namespace);
    progress.note(&format!("the run's objects are still there: {remedy}"));
    finish(&run, &results, &progress, args.output.max_slowdown)
}

async fn follow(follower: &LogFollower<'_>, log: &RefCell<LogState>, no_wait: bool) -> Result<()> {
    if no_wait {
        return follower.once(log).await;
    }
    follower.until_finished(log).await
}

/// Returns when the time has passed; without one, never.
async fn passed(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            sleep(timeout).await;
            timeout
        }
        None => pending().await,
    }
}
