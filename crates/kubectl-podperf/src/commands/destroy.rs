//! `kubectl podperf destroy`: what a run left, by its labels.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};

use crate::cluster::api::Cluster;
use crate::cluster::cleanup;
use crate::cluster::failure::DuringRequest as _;
use crate::cluster::namespace;
use crate::plan::labels::{INSTANCE, MANAGED_BY, selector};
use crate::plan::options::DestroyArgs;
use crate::progress::ProgressLine;
use crate::result::results;
use podperf_model::error::{Error, Kind, Result};

/// Carries out `destroy`; returns the exit status.
pub(crate) async fn run(args: DestroyArgs) -> Result<u8> {
    let progress = ProgressLine::new(args.quiet);
    let cluster = Cluster::connect(&args.cluster).await?;
    let everything = format!("{MANAGED_BY}=podperf");
    let runs = runs(&cluster, &everything).await?;
    let selector = match (&args.run, args.all) {
        (Some(run), _) if !runs.contains_key(run) => {
            let cause = format!("there is none; there are: {}", names(&runs));
            return Err(Error::new(
                Kind::Unmeasured,
                format!("find run {run} in namespace"),
                cause,
            )
            .with_peer(&cluster.namespace));
        }
        (Some(run), _) => selector(run),
        (None, true) => everything,
        (None, false) => {
            results::stdout(|to| list(&runs, &cluster.namespace, to))?;
            return Ok(0);
        }
    };
    let mut deleted = cleanup::delete(&cluster, &selector, &progress).await?;
    namespace::delete(&cluster, &mut deleted).await?;
    progress.finish();
    results::stdout(|to| writeln!(to, "{}", deleted.sentence(&cluster.namespace)))?;
    Ok(0)
}

/// Runs that left something, with the number of their Jobs, pods and Services.
async fn runs(cluster: &Cluster, selector: &str) -> Result<BTreeMap<String, usize>> {
    let operation = "look for runs";
    let jobs: Vec<Job> = cluster.list(selector).await.during(operation)?;
    let pods: Vec<Pod> = cluster.list(selector).await.during(operation)?;
    let services: Vec<Service> = cluster.list_visible(selector).await.during(operation)?;
    let metas = jobs
        .into_iter()
        .map(|job| job.metadata)
        .chain(pods.into_iter().map(|pod| pod.metadata))
        .chain(services.into_iter().map(|service| service.metadata));
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for meta in metas {
        let run = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
        if let Some(run) = run {
            *runs.entry(run.clone()).or_default() += 1;
        }
    }
    Ok(runs)
}

fn names(runs: &BTreeMap<String, usize>) -> String {
    if runs.is_empty() {
        return "none".to_owned();
    }
    runs.keys().cloned().collect::<Vec<_>>().join(", ")
}

fn list(
    runs: &BTreeMap<String, usize>,
    namespace: &str,
    to: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    if runs.is_empty() {
        return writeln!(to, "no run has left anything in namespace {namespace}");
    }
    for (run, objects) in runs {
        writeln!(to, "{run}  {objects} objects  kubectl podperf destroy {run} -n {namespace}")?;
    }
    Ok(())
}
