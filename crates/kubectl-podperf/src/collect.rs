//! `kubectl podperf collect`: what a run has measured, from its coordinator's log.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::sleep;

use super::api::Cluster;
use super::document::{self, Parts};
use super::fingerprint;
use super::follow::{Follower, Told};
use super::manifest;
use super::options::CollectArgs;
use super::placement::{self, Placement};
use super::progress::Progress;
use super::ready::role;
use super::results::Results;
use super::run::{finish, late};
use super::signal::{Interrupts, ended_by};
use super::verify;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::{ClusterPlan, NodeFacts};
use podperf_model::schedule::Schedule;

/// In place of no deadline.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Carries it out; returns the exit status.
pub(super) async fn run(args: CollectArgs, command: Vec<String>) -> Result<u8> {
    let progress = Progress::new(args.output.quiet);
    let mut interrupts = Interrupts::watch()?;
    let cluster = interrupts.or(Cluster::connect(&args.cluster)).await?;
    let found = interrupts.or(Found::look(&cluster, &args.run)).await?;
    let results = Results::open(&args.output, &args.run)?;
    let follower = Follower {
        cluster: &cluster,
        run_id: &args.run,
        coordinator: &found.coordinator,
        // Only pods that are there still can fail to be.
        pods: found.pods.keys().cloned().collect(),
        patience: args.cluster.api_timeout,
        step: Duration::from_secs_f64(found.plan.window_seconds + found.plan.warm_up_seconds + 1.0),
        progress: &progress,
    };
    let told = RefCell::new(Told::default());
    let broken_off = tokio::select! {
        ended = follow(&follower, &told, args.no_wait) => ended.err(),
        kind = interrupts.first() => Some(ended_by(kind)),
        () = sleep(args.timeout.unwrap_or(FAR)) => {
            Some(late(args.timeout.unwrap_or_default()))
        }
    };
    let told = told.into_inner();
    let read = fingerprint::read(&cluster).await;
    let facts = fingerprint::facts(&cluster.version, &found.placement(&cluster).await, &read);
    let mut run = document::assemble(Parts {
        run_id: &args.run,
        plan: &found.plan,
        facts,
        steps: &found.schedule.steps,
        pods: &found.pods,
        told: &told,
        broken_off,
    });
    (run.command, run.started_at) = (command, found.started_at);
    let remedy = format!("kubectl podperf destroy {} -n {}", args.run, cluster.namespace);
    progress.note(&format!("the run's objects are still there: {remedy}"));
    finish(&run, &results, &progress, args.output.max_slowdown)
}

async fn follow(follower: &Follower<'_>, told: &RefCell<Told>, no_wait: bool) -> Result<()> {
    if no_wait {
        return follower.once(told).await;
    }
    follower.until_finished(told).await
}

/// A run as it is in the cluster.
struct Found {
    plan: ClusterPlan,
    schedule: Schedule,
    coordinator: String,
    pods: BTreeMap<String, Pod>,
    started_at: String,
}

impl Found {
    async fn look(cluster: &Cluster, run_id: &str) -> Result<Self> {
        let failed = |cause: &str| {
            Error::new(Kind::Unmeasured, format!("find run {run_id} in namespace"), cause)
                .with_peer(&cluster.namespace)
                .with_remedy("`kubectl podperf destroy` lists the runs that are there")
        };
        let job: Option<Job> = cluster
            .get(&manifest::job_name(run_id))
            .await
            .map_err(|failure| failure.of(format!("look up run {run_id}")))?;
        let job = job.ok_or_else(|| failed("there is none of that name"))?;
        let annotations = job.metadata.annotations.unwrap_or_default();
        let plan = annotations.get(manifest::PLAN).and_then(|text| serde_json::from_str(text).ok());
        let plan = plan.ok_or_else(|| failed("its Job has no plan of this version"))?;
        let template = job.spec.and_then(|spec| spec.template.spec);
        let schedule = template
            .and_then(|spec| spec.containers.into_iter().next())
            .and_then(|container| container.env)
            .and_then(|env| env.into_iter().find(|one| one.name == "PODPERF_SCHEDULE"))
            .and_then(|one| serde_json::from_str(&one.value.unwrap_or_default()).ok());
        let schedule = schedule.ok_or_else(|| failed("its Job has no schedule of this version"))?;
        let pods: Vec<Pod> = cluster
            .list(&manifest::selector(run_id))
            .await
            .map_err(|failure| failure.of("look at the pods"))?;
        let pods: BTreeMap<String, Pod> =
            pods.into_iter().filter_map(|pod| Some((pod.metadata.name.clone()?, pod))).collect();
        let coordinator = pods.iter().find(|(_, pod)| role(pod) == "coordinator");
        let coordinator =
            coordinator.ok_or_else(|| failed("its coordinator's pod is gone"))?.0.clone();
        let created = job.metadata.creation_timestamp;
        let started_at = created.map_or_else(String::new, |time| time.0.to_string());
        Ok(Self { plan, schedule, coordinator, pods, started_at })
    }

    /// The nodes that the pods are on.
    async fn placement(&self, cluster: &Cluster) -> Placement {
        let nodes = cluster.nodes().await.unwrap_or_default();
        let node_of = |roles: &[&str]| {
            let pods = self.pods.iter().map(|(name, pod)| verify::facts(name, pod));
            let name = pods
                .filter(|pod| roles.contains(&pod.role.as_str()))
                .map(|pod| pod.node)
                .next()
                .unwrap_or_default();
            let found = nodes.iter().map(placement::facts).find(|facts| facts.name == name);
            found.unwrap_or_else(|| NodeFacts { name, ..NodeFacts::default() })
        };
        let client = node_of(&["coordinator"]);
        let server = node_of(&["server", "server-host", "server-policed"]);
        Placement { other: client.clone(), client, server, tolerations: Vec::new() }
    }
}
