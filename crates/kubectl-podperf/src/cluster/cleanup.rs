//! Deletes a run from the cluster, and says what was deleted.
//!
//! Everything is found by its labels, so it does not matter how far a run came. Deleting is
//! repeated until nothing is found, because a request under way when a run is broken off may
//! still create something.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use tokio::time::{Instant, sleep};

use crate::cluster::api::{Cluster, NamespacedObject};
use crate::cluster::failure::{ApiFailure, DuringRequest as _};
use crate::plan::node;
use crate::progress::ProgressLine;
use podperf_model::error::{Error, Kind, Result};

/// Time limit for everything to be gone: a kubelet and the controllers may look for changes but
/// once a minute after the API server was away.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(150);
/// Time after which a pod whose node does not answer is deleted by force.
const FORCE_DELETE_AFTER: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const MAX_CONCURRENT_REQUESTS: usize = 16;
/// Time that a pod has to end; the engine ends at once.
const GRACE_SECONDS: u32 = 3;

/// The objects that were deleted, by kind.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) objects: BTreeMap<&'static str, usize>,
    /// Pods whose node does not answer: their containers may go on until it does.
    pub(crate) force_deleted: Vec<String>,
    pub(crate) namespace: bool,
}

impl Deleted {
    /// Describes it in one sentence.
    pub(crate) fn sentence(&self, namespace: &str) -> String {
        let mut parts: Vec<String> =
            self.objects.iter().map(|(kind, count)| counted(*count, kind)).collect();
        if self.namespace {
            parts.push(format!("namespace {namespace}"));
        }
        if parts.is_empty() {
            return "nothing to delete".to_owned();
        }
        let mut sentence = format!("deleted {}", parts.join(", "));
        if !self.force_deleted.is_empty() {
            let pods = self.force_deleted.join(", ");
            sentence = format!(
                "{sentence}; the nodes of {pods} do not answer, so their containers may run on \
                 until their kubelets are back"
            );
        }
        sentence
    }
}

/// The number of objects of a kind, in English.
fn counted(count: usize, kind: &str) -> String {
    match kind.strip_suffix('y') {
        _ if count == 1 => format!("1 {kind}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {kind}s"),
    }
}

/// Deletes everything that `selector` matches.
///
/// # Errors
/// When something is still there after 150 s, naming it.
pub(crate) async fn delete(
    cluster: &Cluster,
    selector: &str,
    progress: &ProgressLine,
) -> Result<Deleted> {
    let operation = format!("delete what is labelled {selector}");
    let mut deleted = Deleted::default();
    let started = Instant::now();
    let mut most: BTreeMap<&'static str, usize> = BTreeMap::new();
    loop {
        // All is looked at before anything is deleted: once the Job is gone, so is what it owns.
        let jobs = find::<Job>(cluster, selector).await.during(&operation)?;
        let policies = find::<NetworkPolicy>(cluster, selector).await.during(&operation)?;
        let services = find::<Service>(cluster, selector).await.during(&operation)?;
        let pods = pods(cluster, selector).await.during(&operation)?;
        let found =
            [("Job", &jobs), ("NetworkPolicy", &policies), ("Service", &services), ("pod", &pods)];
        for (kind, names) in found {
            let known = most.entry(kind).or_default();
            *known = (*known).max(names.len());
        }
        delete_each::<Job>(cluster, &jobs, None).await.during(&operation)?;
        // Where its Job was gone before, nobody else may come for a pod.
        let job_known = most.get("Job").is_some_and(|count| *count > 0);
        let ours = pods.iter().filter(|pod| !(pod.of_job && job_known));
        delete_each::<Pod>(cluster, ours, Some(GRACE_SECONDS)).await.during(&operation)?;
        force_delete_idle(cluster, &pods).await.during(&operation)?;
        delete_each::<Service>(cluster, &services, None).await.during(&operation)?;
        if !policies.is_empty() {
            // In one request, however many they are.
            cluster.delete_all::<NetworkPolicy>(selector).await.during(&operation)?;
        }
        let left: usize = found.iter().map(|(_, names)| names.len()).sum();
        if left == 0 {
            break;
        }
        progress.wait(&format!("cleaning up: {left} objects are still there"));
        if started.elapsed() >= FORCE_DELETE_AFTER {
            force_delete_unconfirmed(cluster, selector, &mut deleted).await.during(&operation)?;
        }
        if started.elapsed() >= CLEANUP_TIMEOUT {
            let names: Vec<&str> =
                found.iter().flat_map(|(_, names)| names.iter().map(|it| &*it.name)).collect();
            let cause =
                format!("still there after {} s: {}", CLEANUP_TIMEOUT.as_secs(), names.join(", "));
            return Err(Error::new(Kind::Incomplete, "clean up", cause)
                .with_remedy("try `kubectl podperf destroy` again"));
        }
        sleep(POLL_INTERVAL).await;
    }
    deleted.objects = most.into_iter().filter(|(_, count)| *count > 0).collect();
    Ok(deleted)
}

/// An object, and whether its deletion is under way.
struct FoundObject {
    name: String,
    ending: bool,
    /// A pod none of whose containers runs: they have ended, or never started.
    idle: bool,
    /// A pod that a Job made. It goes with its Job: the garbage collector deletes it, which sees
    /// Jobs by the same cache as the controller that makes their pods. Deleted by anybody else, it
    /// is made anew by a controller that has not yet seen that its Job is gone, as after the API
    /// server was away (the shared informers of Kubernetes' kube-controller-manager).
    of_job: bool,
}

/// Finds everything of one kind.
async fn find<K: NamespacedObject>(
    cluster: &Cluster,
    selector: &str,
) -> Result<Vec<FoundObject>, ApiFailure> {
    let found: Vec<K> = cluster.list_visible(selector).await?;
    let found_object = |object: K| {
        let meta = object.meta();
        let ending = meta.deletion_timestamp.is_some();
        meta.name.clone().map(|name| FoundObject { name, ending, idle: false, of_job: false })
    };
    Ok(found.into_iter().filter_map(found_object).collect())
}

async fn pods(cluster: &Cluster, selector: &str) -> Result<Vec<FoundObject>, ApiFailure> {
    let found: Vec<Pod> = cluster.list(selector).await?;
    let found_object = |pod: Pod| {
        let ending = pod.metadata.deletion_timestamp.is_some();
        let statuses = pod.status.and_then(|status| status.container_statuses);
        let runs = |status: &ContainerStatus| {
            let started = status.container_id.as_ref().is_some_and(|id| !id.is_empty());
            let ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
            started && !ended
        };
        let idle = !statuses.iter().flatten().any(runs);
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let of_job = owners.any(|owner| owner.kind == "Job" && owner.controller == Some(true));
        pod.metadata.name.map(|name| FoundObject { name, ending, idle, of_job })
    };
    Ok(found.into_iter().filter_map(found_object).collect())
}

/// A kubelet may take a minute to confirm the end of a pod that has ended or never began: it looks
/// for dead containers as seldom (ContainerGCPeriod). Nothing of it is left running, so it is not
/// waited for.
async fn force_delete_idle(cluster: &Cluster, pods: &[FoundObject]) -> Result<(), ApiFailure> {
    for pod in pods.iter().filter(|pod| pod.idle && pod.ending) {
        cluster.delete::<Pod>(&pod.name, Some(0)).await?;
    }
    Ok(())
}

/// Asks for the deletion of all that is not being deleted yet.
async fn delete_each<K: NamespacedObject>(
    cluster: &Cluster,
    found: impl IntoIterator<Item = &FoundObject>,
    grace: Option<u32>,
) -> Result<(), ApiFailure> {
    let open = found.into_iter().filter(|object| !object.ending);
    let answers: Vec<Result<(), ApiFailure>> = stream::iter(open)
        .map(|object| cluster.delete::<K>(&object.name, grace))
        .buffer_unordered(MAX_CONCURRENT_REQUESTS)
        .collect()
        .await;
    answers.into_iter().collect()
}

/// Deletes pods by force whose node is not ready: it will not confirm that they ended.
async fn force_delete_unconfirmed(
    cluster: &Cluster,
    selector: &str,
    deleted: &mut Deleted,
) -> Result<(), ApiFailure> {
    let pods: Vec<Pod> = cluster.list(selector).await?;
    let nodes = cluster.nodes().await.unwrap_or_default();
    for pod in pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
        let Some(name) = pod.metadata.name else { continue };
        let node = pod.spec.and_then(|spec| spec.node_name);
        let dead = node.is_some_and(|node| {
            let found = nodes.iter().find(|it| node::facts(it).name == node);
            // Where nodes may not be listed, a pod that does not end is sign enough.
            found.is_none_or(|found| node::not_ready(found).is_some())
        });
        if dead {
            cluster.delete::<Pod>(&name, Some(0)).await?;
            if !deleted.force_deleted.contains(&name) {
                deleted.force_deleted.push(name);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
