//! Finds a run in the cluster: its plan and schedule in its Job, and its pods.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::api::Cluster;
use crate::cluster::failure::DuringRequest as _;
use crate::cluster::verify;
use crate::plan::labels::{self, role};
use crate::plan::node;
use crate::plan::placement::NodePlacement;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::{ClusterPlan, NodeFacts};
use podperf_model::schedule::Schedule;

/// A run as it is in the cluster.
pub(crate) struct StoredRun {
    pub(crate) plan: ClusterPlan,
    pub(crate) schedule: Schedule,
    /// The coordinator's pod.
    pub(crate) coordinator: String,
    /// The pods that are still there.
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) started_at: String,
}

impl StoredRun {
    /// Finds the run by its Job and its pods.
    ///
    /// # Errors
    /// When its Job or its coordinator is not there, or is of another version.
    pub(crate) async fn find(cluster: &Cluster, run_id: &str) -> Result<Self> {
        let failed = |cause: &str| {
            Error::new(Kind::Unmeasured, format!("find run {run_id} in namespace"), cause)
                .with_peer(&cluster.namespace)
                .with_remedy("`kubectl podperf destroy` lists the runs that are there")
        };
        let job: Option<Job> =
            cluster.get(&labels::job_name(run_id)).await.during(format!("look up run {run_id}"))?;
        let job = job.ok_or_else(|| failed("there is none of that name"))?;
        let annotations = job.metadata.annotations.unwrap_or_default();
        let plan = annotations.get(labels::PLAN).and_then(|text| serde_json::from_str(text).ok());
        let plan = plan.ok_or_else(|| failed("its Job has no plan of this version"))?;
        let template = job.spec.and_then(|spec| spec.template.spec);
        let schedule = template
            .and_then(|spec| spec.containers.into_iter().next())
            .and_then(|container| container.env)
            .and_then(|env| env.into_iter().find(|one| one.name == "PODPERF_SCHEDULE"))
            .and_then(|one| serde_json::from_str(&one.value.unwrap_or_default()).ok());
        let schedule = schedule.ok_or_else(|| failed("its Job has no schedule of this version"))?;
        let pods = cluster.pods(run_id).await.during("look at the pods")?;
        let coordinator = pods.iter().find(|(_, pod)| role(pod) == "coordinator");
        let coordinator =
            coordinator.ok_or_else(|| failed("its coordinator's pod is gone"))?.0.clone();
        let created = job.metadata.creation_timestamp;
        let started_at = created.map_or_else(String::new, |time| time.0.to_string());
        Ok(Self { plan, schedule, coordinator, pods, started_at })
    }

    /// The nodes that the pods are on.
    pub(crate) async fn placement(&self, cluster: &Cluster) -> NodePlacement {
        let nodes = cluster.nodes().await.unwrap_or_default();
        let node_of = |roles: &[&str]| {
            let pods = self.pods.iter().map(|(name, pod)| verify::facts(name, pod));
            let name = pods
                .filter(|pod| roles.contains(&pod.role.as_str()))
                .map(|pod| pod.node)
                .next()
                .unwrap_or_default();
            let found = nodes.iter().map(node::facts).find(|facts| facts.name == name);
            found.unwrap_or_else(|| NodeFacts { name, ..NodeFacts::default() })
        };
        let client = node_of(&["coordinator"]);
        let server = node_of(&["server", "server-host", "server-policed"]);
        NodePlacement { other: client.clone(), client, server, tolerations: Vec::new() }
    }
}
