//! Waits for pods, and says why those that do not come up do not.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};

use crate::cluster::api::Cluster;
use crate::cluster::failure::{ApiFailure, DuringRequest as _};
use crate::cluster::pod_health::{self, PodHealth};
use crate::plan::labels::{self, role};
use crate::plan::layout::COORDINATOR_PORT;
use crate::plan::node;
use crate::plan::settings::Settings;
use crate::plan::targets;
use crate::progress::ProgressLine;
use podperf_model::error::{Code, Error, Kind, Result};

/// Time between two checks of the pods.
const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Waits for the pods of a run.
pub(crate) struct PodWaiter<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    pub(crate) progress: &'a ProgressLine,
}

impl PodWaiter<'_> {
    /// Waits until `expected` pods are ready.
    pub(crate) async fn until(&self, expected: usize) -> Result<BTreeMap<String, Pod>> {
        let limit = self.settings.deadlines.ready_timeout;
        let end = Instant::now() + limit;
        loop {
            let pods = self.cluster.pods(&self.settings.run_id).await.during("look at the pods")?;
            let mut waiting = Vec::new();
            for (name, pod) in &pods {
                match pod_health::health(pod) {
                    PodHealth::Ready => {}
                    // A short run may be over before its pods have been seen at it.
                    PodHealth::Ended if role(pod) != "server" => {}
                    PodHealth::Ended => waiting.push((name, "it has ended already".to_owned())),
                    PodHealth::Waiting(why) => waiting.push((name, why)),
                    PodHealth::Failed(why) => return Err(failed(name, pod, &why)),
                }
            }
            if pods.len() < expected {
                self.refused_job().await?;
            } else if waiting.is_empty() {
                return Ok(pods);
            }
            let up = pods.len() - waiting.len();
            self.progress.wait(&format!("{up} of {expected} pods are ready"));
            if Instant::now() >= end {
                return Err(self.late(expected, &pods, &waiting, limit).await);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// A Job's pod is made by its controller, whose refusals stand in events.
    async fn refused_job(&self) -> Result<()> {
        let name = labels::job_name(&self.settings.run_id);
        let events = self.cluster.events(&name).await.unwrap_or_default();
        match pod_health::refused(&events) {
            Some(why) => {
                Err(ApiFailure::Refused { code: 403, reason: "FailedCreate".into(), message: why }
                    .during(format!("create the pod of Job {name}")))
            }
            None => Ok(()),
        }
    }

    /// The error that names the pods that are not ready, and why.
    async fn late(
        &self,
        expected: usize,
        pods: &BTreeMap<String, Pod>,
        waiting: &[(&String, String)],
        limit: Duration,
    ) -> Error {
        let mut reasons = Vec::new();
        if pods.len() < expected {
            reasons.push(format!("only {} of {expected} pods exist", pods.len()));
        }
        let nodes = self.cluster.nodes().await.unwrap_or_default();
        for (name, why) in waiting {
            let node = pods[*name].spec.as_ref().and_then(|spec| spec.node_name.clone());
            let mut reason = match &node {
                Some(node) => format!("pod {name} on node {node}: {why}"),
                None => format!("pod {name}: {why}"),
            };
            let events = self.cluster.events(name).await.unwrap_or_default();
            if let Some(warning) = pod_health::warning(&events) {
                reason = format!("{reason}; {warning}");
            }
            let found = nodes.iter().find(|it| node.as_ref() == Some(&node::facts(it).name));
            if let Some(not_ready) = found.and_then(node::not_ready) {
                reason = format!("{reason}; the node: {not_ready}");
            }
            reasons.push(reason);
        }
        let cause =
            format!("not within {}: {}", humantime::format_duration(limit), reasons.join("; "));
        Error::new(Kind::Unmeasured, "wait for the pods", cause)
            .with_code(Code::Timeout)
            .with_remedy("mend what is named, or raise --ready-timeout")
    }
}

/// The coordinator's pod and its address.
pub(crate) fn coordinator(pods: &BTreeMap<String, Pod>) -> Result<(String, String)> {
    let found = pods.iter().find(|(_, pod)| role(pod) == "coordinator");
    let Some((name, pod)) = found else {
        let cause = "the Job has no pod";
        return Err(Error::new(Kind::Unmeasured, "find the coordinator", cause));
    };
    let addresses = targets::pod_addresses(pod);
    let address =
        addresses.addresses.first().map(|address| targets::join(address, COORDINATOR_PORT));
    address.map(|address| (name.clone(), address)).ok_or_else(|| {
        Error::new(Kind::Unmeasured, "find the coordinator", "its pod has no address")
            .with_peer(name)
    })
}

/// The error of a pod that will not run.
pub(crate) fn failed(name: &str, pod: &Pod, why: &str) -> Error {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let node = node.map_or_else(String::new, |node| format!(" on node {node}"));
    let error = Error::new(Kind::Unmeasured, format!("run pod {name}{node}"), why);
    if why.contains("ImagePull") || why.contains("ErrImage") || why.contains("InvalidImageName") {
        return error.with_remedy(
            "load the image into the nodes or push it where they can fetch it (--image, \
             --pull-policy, --pull-secret; docs/KUBERNETES.md)",
        );
    }
    error
}
