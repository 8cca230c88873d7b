//! The namespace of a run: found, or made and deleted with it.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use tokio::time::{Instant, sleep};

use crate::cluster::api::Cluster;
use crate::cluster::cleanup::Deleted;
use crate::cluster::failure::DuringRequest as _;
use crate::plan::labels;
use crate::plan::layout::RunLayout;
use crate::plan::manifest;
use crate::plan::settings::Settings;
use crate::progress::ProgressLine;
use podperf_model::error::{Code, Error, Kind, Result};

const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Makes the namespace where it is not there, and checks the labels of one that is.
pub(crate) async fn ensure(
    cluster: &Cluster,
    settings: &Settings,
    layout: &RunLayout,
    progress: &ProgressLine,
) -> Result<()> {
    let end = Instant::now() + settings.deadlines.ready_timeout;
    loop {
        match cluster.namespace().await {
            Ok(Some(namespace)) if is_ending(&namespace) => {
                progress.wait("the namespace of an earlier run is being deleted");
            }
            Ok(Some(namespace)) => return check_labels(&namespace, settings),
            Ok(None) => {
                let object = manifest::namespace(settings, layout.host_network());
                let operation = format!("create namespace {}", cluster.namespace);
                return cluster.create_namespace(&object).await.map(drop).during(operation);
            }
            // Who may not ask may still use it.
            Err(failure) if failure.has_status(403) => return Ok(()),
            Err(failure) => return Err(failure.during("look up the namespace")),
        }
        if Instant::now() >= end {
            let cause = "it is still being deleted; see `kubectl get namespace -o yaml`";
            return Err(Error::new(Kind::Unmeasured, "use the namespace", cause)
                .with_code(Code::Timeout)
                .with_peer(&cluster.namespace));
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn is_ending(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Checks that a namespace that somebody else made has the labels that were asked for.
fn check_labels(namespace: &Namespace, settings: &Settings) -> Result<()> {
    let labels = namespace.metadata.labels.clone().unwrap_or_default();
    let missing: Vec<String> = settings
        .pods
        .namespace_labels
        .iter()
        .filter(|(key, value)| labels.get(key) != Some(value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = &settings.cluster.namespace;
    let cause = format!("it is there already, without {}", missing.join(" "));
    let remedy = format!("kubectl label namespace {name} {}", missing.join(" "));
    Err(Error::new(Kind::Unmeasured, "use namespace", cause).with_peer(name).with_remedy(remedy))
}

/// Deletes the namespace if a run of podperf made it and nothing of podperf is in it any more.
pub(crate) async fn delete(cluster: &Cluster, deleted: &mut Deleted) -> Result<()> {
    let operation = format!("delete namespace {}", cluster.namespace);
    let namespace = match cluster.namespace().await {
        Ok(Some(namespace)) => namespace,
        Ok(None) => return Ok(()),
        Err(failure) if failure.has_status(403) => return Ok(()),
        Err(failure) => return Err(failure.during(operation)),
    };
    let annotations = namespace.metadata.annotations.unwrap_or_default();
    if !annotations.contains_key(labels::MADE_BY_RUN) {
        return Ok(());
    }
    let selector = format!("{}=podperf", labels::MANAGED_BY);
    let pods: Vec<Pod> = cluster.list("").await.during(&operation)?;
    let jobs: Vec<Job> = cluster.list(&selector).await.during(&operation)?;
    if !pods.is_empty() || !jobs.is_empty() {
        return Ok(());
    }
    cluster.delete_namespace().await.during(&operation)?;
    deleted.namespace = true;
    Ok(())
}
