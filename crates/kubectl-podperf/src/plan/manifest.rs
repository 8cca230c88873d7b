//! The objects of a run as the API server takes them: pure functions, JSON out.
//!
//! Every pod fulfils the restricted level of the Pod Security Standards, but for the network of the
//! node where a path needs it. No pod has access to the API, and none has more rights than any
//! program.

mod network;
mod pods;

use serde_json::{Map, Value, json};

use crate::plan::labels::{COMPONENT, INSTANCE, MADE_BY_RUN, MANAGED_BY, NAME, PLAN, job_name};
use crate::plan::layout::{COORDINATOR_PORT, RunLayout};
use crate::plan::placement::NodePlacement;
use crate::plan::settings::Settings;
pub(crate) use network::service_name;
use podperf_model::result::cluster::ClusterPlan;
use podperf_model::schedule::Schedule;

/// Makes the manifests of a run, out of what they share.
#[derive(Debug)]
pub(crate) struct ManifestBuilder<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a RunLayout,
    pub(crate) placement: &'a NodePlacement,
    pub(crate) token: &'a str,
    /// Id of the Job that owns all else; absent before there is one.
    pub(crate) owner_uid: Option<String>,
    /// Seconds after which everything ends by itself.
    pub(crate) lifetime_seconds: u64,
}

impl ManifestBuilder<'_> {
    /// The Job of the coordinator, owner of everything else, so that all goes with it.
    pub(crate) fn job(&self, schedule: &Schedule, plan: &ClusterPlan) -> Value {
        let schedule = serde_json::to_string(schedule).unwrap_or_default();
        let args = ["coordinate", "-p", &COORDINATOR_PORT.to_string()].map(str::to_owned);
        let mut container = self.container("coordinator", &args);
        push(&mut container["env"], json!({"name": "PODPERF_SCHEDULE", "value": schedule}));
        container["resources"] = json!({"requests": {"cpu": "10m", "memory": "64Mi"}});
        let mut spec = self.pod_spec(&self.placement.client.name, vec![container], false);
        spec["restartPolicy"] = json!("Never");
        let mut job = self.object("batch/v1", "Job", &job_name(self.run_id()), "coordinator");
        job["metadata"]["annotations"][PLAN] = json!(serde_json::to_string(plan).ok());
        // No sidecar of a mesh: it would outlive the coordinator, and the Job never end.
        let mut labels = self.labels("coordinator");
        labels.insert("sidecar.istio.io/inject".into(), json!("false"));
        let mut annotations = json!({});
        extend(&mut annotations, &self.settings.pods.annotations);
        annotations["sidecar.istio.io/inject"] = json!("false");
        annotations["linkerd.io/inject"] = json!("disabled");
        job["spec"] = json!({
            "backoffLimit": 0,
            "activeDeadlineSeconds": self.lifetime_seconds,
            "ttlSecondsAfterFinished": self.settings.ttl.as_secs(),
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": spec,
            },
        });
        job
    }

    fn run_id(&self) -> &str {
        &self.settings.run_id
    }

    fn labels(&self, component: &str) -> Map<String, Value> {
        let mut labels = Map::new();
        for (key, value) in &self.settings.pods.labels {
            labels.insert(key.clone(), json!(value));
        }
        for (key, value) in [
            (NAME, "podperf"),
            (MANAGED_BY, "podperf"),
            (INSTANCE, self.run_id()),
            (COMPONENT, component),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
        labels
    }

    fn object(&self, version: &str, kind: &str, name: &str, component: &str) -> Value {
        let mut object = json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.settings.cluster.namespace,
                "labels": self.labels(component),
                "annotations": {},
            },
        });
        extend(&mut object["metadata"]["annotations"], &self.settings.pods.annotations);
        if let Some(uid) = &self.owner_uid {
            // Not blocking its deletion, which would need rights over the Job's finalizers.
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "batch/v1", "kind": "Job", "name": job_name(self.run_id()),
                "uid": uid, "controller": false, "blockOwnerDeletion": false,
            }]);
        }
        object
    }
}

/// The namespace, where a run makes it. The lowest level of pod security that admits all pods.
pub(crate) fn namespace(settings: &Settings, host_network: bool) -> Value {
    let level = if host_network { "privileged" } else { "restricted" };
    let mut labels = json!({
        MANAGED_BY: "podperf",
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/warn": level,
    });
    extend(&mut labels, &settings.pods.namespace_labels);
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": settings.cluster.namespace, "labels": labels,
                     "annotations": {MADE_BY_RUN: settings.run_id}},
    })
}

/// Appends `item` to a JSON array.
fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

/// Puts `pairs` into a JSON object.
fn extend(map: &mut Value, pairs: &[(String, String)]) {
    for (key, value) in pairs {
        map[key] = json!(value);
    }
}

#[cfg(test)]
mod tests;
