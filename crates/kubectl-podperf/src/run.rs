//! `kubectl podperf run`: deploy, follow, collect, clean up; and `deploy` alone.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use super::api::Cluster;
use super::deploy::{Deployed, Deployment};
use super::fingerprint;
use super::follow::{Follower, Told};
use super::gather;
use super::layout::Layout;
use super::manifest;
use super::options::{DeployArgs, Form, RunArgs, Settings};
use super::placement::{self, Needs, Placement};
use super::progress::Progress;
use super::results::Results;
use super::signal::{Interrupts, ended_by};
use super::{cleanup, document, namespace, plan, trial};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::{ClusterFacts, ClusterPlan, ClusterRun};

/// Beyond the time that the samples take, in the default of --timeout.
const SLACK: Duration = Duration::from_secs(180);

/// What a run is, before it touches the cluster.
pub(super) struct Prepared {
    pub(super) settings: Settings,
    pub(super) cluster: Cluster,
    pub(super) layout: Layout,
    pub(super) placement: Placement,
    pub(super) plan: ClusterPlan,
    pub(super) facts: ClusterFacts,
    pub(super) timeout: Duration,
}

impl Prepared {
    /// Reaches the cluster and chooses nodes; creates nothing.
    pub(super) async fn new(settings: Settings) -> Result<Self> {
        let cluster = Cluster::connect(&settings.cluster).await?;
        let layout = Layout::new(&settings);
        let needs = Needs {
            two_nodes: settings.scenarios.iter().any(|path| !path.server().on_client_node()),
        };
        let placement = match cluster.nodes().await {
            Ok(nodes) => placement::choose(&nodes, &settings.placement, needs)?,
            Err(failure) if failure.is(403) => placement::by_name(&settings.placement)?,
            Err(failure) => return Err(failure.of("list the nodes")),
        };
        let read = fingerprint::read(&cluster).await;
        let facts = fingerprint::facts(&cluster.version, &placement, &read);
        let plan = gather::plan(&settings);
        let timeout = settings
            .deadlines
            .timeout
            .unwrap_or_else(|| trial::expected(&settings).mul_f64(1.5) + SLACK);
        Ok(Self { settings, cluster, layout, placement, plan, facts, timeout })
    }

    pub(super) fn steps(&self) -> Vec<podperf_model::schedule::Step> {
        trial::order(&self.settings, |row| self.layout.agents(row))
    }

    /// Everything in the cluster ends by itself after this.
    fn life(&self) -> Duration {
        self.timeout + 2 * self.settings.deadlines.ready_timeout + SLACK
    }

    pub(super) async fn deploy(
        &self,
        steps: Vec<podperf_model::schedule::Step>,
        progress: &Progress,
    ) -> Result<Deployed> {
        let deployment = Deployment {
            cluster: &self.cluster,
            settings: &self.settings,
            layout: &self.layout,
            placement: &self.placement,
            plan: &self.plan,
            steps,
            life: self.life(),
            progress,
        };
        deployment.carry_out().await
    }

    /// Says which nodes were chosen, and how long it will take.
    pub(super) fn announce(&self, progress: &Progress) {
        let (client, server) = (&self.placement.client.name, &self.placement.server.name);
        let steps = self.steps().len();
        let expected = plan::time_text(trial::expected(&self.settings));
        progress.note(&format!(
            "run {}: clients on {client}, servers on {server}; {steps} samples, about {expected}",
            self.settings.run_id
        ));
        for (path, test) in trial::left_out(&self.settings) {
            let (path, test) = (path.name(), test.name());
            progress.note(&format!(
                "{test} is left out on path {path}: it uses the server's own port numbers, which \
                 are others there"
            ));
        }
    }

    /// Takes everything of the run away again.
    pub(super) async fn clean_up(&self, progress: &Progress) -> Result<()> {
        let selector = manifest::selector(&self.settings.run_id);
        let mut deleted = cleanup::delete(&self.cluster, &selector, progress).await?;
        namespace::delete(&self.cluster, &mut deleted).await?;
        progress.note(&deleted.sentence(&self.cluster.namespace));
        Ok(())
    }
}

/// Carries out `run`; returns the exit status.
pub(super) async fn run(args: RunArgs, command: Vec<String>) -> Result<u8> {
    if args.dry_run {
        return plan::run(args).await;
    }
    let (output, keep) = (args.output.clone(), args.keep);
    let settings = args.work.settle(args.ttl, args.output.quiet)?;
    let results = Results::open(&output, &settings.run_id)?;
    let progress = Progress::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let started_at = jiff::Timestamp::now().to_string();
    let prepared = match interrupts.or(Prepared::new(settings)).await {
        Ok(prepared) => prepared,
        Err(error) => {
            results.discard();
            return Err(error);
        }
    };
    prepared.announce(&progress);
    let told = RefCell::new(Told::default());
    let deployed = RefCell::new(None);
    let broken_off = tokio::select! {
        ended = measure(&prepared, &deployed, &told, &progress, &results) => ended.err(),
        kind = interrupts.first() => Some(ended_by(kind)),
        () = sleep(prepared.timeout) => Some(late(prepared.timeout)),
    };
    let told = told.into_inner();
    let deployed = deployed.into_inner();
    let mut run = document::make(&prepared, deployed.as_ref(), &told, broken_off);
    (run.command, run.started_at) = (command, started_at);
    // What a run may yet bring home is not deleted for having been out of sight.
    let cleaned = if keep || told.unreachable {
        progress.note(&kept(&prepared));
        Ok(())
    } else {
        tokio::select! {
            cleaned = prepared.clean_up(&progress) => cleaned,
            kind = interrupts.first() => Err(Error::new(kind, "clean up", "a second signal")
                .with_remedy(format!("kubectl podperf destroy {}", prepared.settings.run_id))),
        }
    };
    if let Err(error) = cleaned {
        run.errors.push(error);
        run.status = podperf_model::result::run::Status::Incomplete;
    }
    run.ended_at = jiff::Timestamp::now().to_string();
    finish(&run, &results, &progress, output.max_slowdown)
}

/// From nothing in the cluster to the coordinator's last word.
async fn measure(
    prepared: &Prepared,
    deployed: &RefCell<Option<Deployed>>,
    told: &RefCell<Told>,
    progress: &Progress,
    results: &Results,
) -> Result<()> {
    let up = prepared.deploy(prepared.steps(), progress).await?;
    results.manifests(&up.manifests)?;
    for (path, why) in &up.missing {
        progress.note(&format!("path {path} is left out: {why}"));
    }
    let settings = &prepared.settings;
    let follower = Follower {
        cluster: &prepared.cluster,
        run_id: &settings.run_id,
        coordinator: &up.coordinator.clone(),
        pods: up.pods.keys().cloned().collect(),
        patience: settings.cluster.api_timeout,
        step: settings.duration + settings.warmup + Duration::from_secs(1),
        progress,
    };
    deployed.replace(Some(up));
    follower.until_finished(told).await
}

/// Hands the result over; returns the exit status.
pub(super) fn finish(
    run: &ClusterRun,
    results: &Results,
    progress: &Progress,
    max_slowdown: Option<f64>,
) -> Result<u8> {
    progress.finish();
    results.write(run)?;
    if results.form() == Form::Json {
        // The tables have them.
        for error in &run.errors {
            progress.note(&format!("error: {error}"));
        }
    }
    progress.note(&format!("everything is in {}/", results.directory().display()));
    Ok(document::exit_status(run, max_slowdown))
}

/// Carries out `deploy`; returns the exit status.
pub(super) async fn deploy(args: DeployArgs) -> Result<u8> {
    let settings = args.work.settle(args.ttl, args.quiet)?;
    let progress = Progress::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let prepared = interrupts.or(Prepared::new(settings)).await?;
    prepared.announce(&progress);
    let ended = tokio::select! {
        ended = prepared.deploy(prepared.steps(), &progress) => ended.map(|_| ()),
        kind = interrupts.first() => Err(ended_by(kind)),
        () = sleep(prepared.timeout) => Err(late(prepared.timeout)),
    };
    if let Err(error) = ended {
        prepared.clean_up(&progress).await?;
        return Err(error);
    }
    progress.note(&kept(&prepared));
    progress.finish();
    super::results::stdout(|to| writeln!(to, "{}", prepared.settings.run_id))?;
    Ok(0)
}

fn kept(prepared: &Prepared) -> String {
    let (run, namespace) = (&prepared.settings.run_id, &prepared.cluster.namespace);
    let life = humantime::format_duration(prepared.settings.ttl);
    format!(
        "run {run} is in namespace {namespace}; its objects go {life} after it has ended. \
         kubectl podperf collect {run} -n {namespace}; kubectl podperf destroy {run} -n {namespace}"
    )
}

pub(super) fn late(timeout: Duration) -> Error {
    let cause = format!("not done within {}", humantime::format_duration(timeout));
    Error::new(Kind::Deadline, "measure", cause).with_remedy("raise --timeout, or ask for less")
}
