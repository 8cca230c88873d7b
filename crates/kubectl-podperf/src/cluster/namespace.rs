//! The namespace of a run: found, or made and deleted with it.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use tokio::time::{Instant, sleep};

use crate::cluster::api::{ApiFailure, Cluster};
use crate::cluster::cleanup::Deleted;
use crate::plan::labels;
use crate::plan::layout::RunLayout;
use crate::plan::manifest;
use crate::plan::settings::Settings;
use crate::progress::ProgressLine;
use podperf_model::error::{Error, Kind, Result};

const LOOK: Duration = Duration::from_millis(400);

/// The namespace is there, and admits what will be in it as far as its labels tell.
pub(crate) async fn ensure(
    cluster: &Cluster,
    settings: &Settings,
    layout: &RunLayout,
    progress: &ProgressLine,
) -> Result<()> {
    let end = Instant::now() + settings.deadlines.ready_timeout;
    loop {
        match cluster.namespace().await {
            Ok(Some(namespace)) if ending(&namespace) => {
                progress.wait("the namespace of an earlier run is being deleted");
            }
            Ok(Some(namespace)) => return labelled(&namespace, settings),
            Ok(None) => {
                let object = manifest::namespace(settings, layout.host_network());
                return cluster.create_namespace(&object).await.map(|_| ()).map_err(|failure| {
                    failure.of(format!("create namespace {}", cluster.namespace))
                });
            }
            // Who may not ask may still use it.
            Err(failure) if failure.is(403) => return Ok(()),
            Err(failure) => return Err(failure.of("look up the namespace")),
        }
        if Instant::now() >= end {
            let cause = "it is still being deleted; see `kubectl get namespace -o yaml`";
            return Err(Error::new(Kind::Unmeasured, "use the namespace", cause)
                .with_peer(&cluster.namespace));
        }
        sleep(LOOK).await;
    }
}

fn ending(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Labels that were asked for on a namespace that somebody else made.
fn labelled(namespace: &Namespace, settings: &Settings) -> Result<()> {
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
    let failed =
        |failure: ApiFailure| failure.of(format!("delete namespace {}", cluster.namespace));
    let namespace = match cluster.namespace().await {
        Ok(Some(namespace)) => namespace,
        Ok(None) => return Ok(()),
        Err(failure) if failure.is(403) => return Ok(()),
        Err(failure) => return Err(failed(failure)),
    };
    let annotations = namespace.metadata.annotations.unwrap_or_default();
    if !annotations.contains_key(labels::MADE_BY_RUN) {
        return Ok(());
    }
    let selector = format!("{}=podperf", labels::MANAGED_BY);
    let pods: Vec<Pod> = cluster.list("").await.map_err(failed)?;
    let jobs: Vec<Job> = cluster.list(&selector).await.map_err(failed)?;
    if !pods.is_empty() || !jobs.is_empty() {
        return Ok(());
    }
    cluster.delete_namespace().await.map_err(failed)?;
    deleted.namespace = true;
    Ok(())
}
