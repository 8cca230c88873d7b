//! The objects of a run as the API server takes them: pure functions, JSON out.
//!
//! Every pod fulfils the restricted level of the Pod Security Standards, but for the network of the
//! node where a path needs it. No pod has access to the API, and none has more rights than any
//! program.

use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Map, Value, json};

use super::layout::{COORDINATOR_PORT, DATA_PORT, DENIED_PORT, Layout, PORT, Seat};
use super::options::Settings;
use super::placement::Placement;
use super::scenario::{Client, Server};
use podperf_model::result::cluster::ClusterPlan;
use podperf_model::schedule::{AgentConfig, Schedule};

const NAME: &str = "app.kubernetes.io/name";
/// Labels by which everything of podperf, and of one run, is found again.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(super) const COMPONENT: &str = "app.kubernetes.io/component";
const PAIR: &str = "podperf/pair";
/// On the run's Job: what was to be done, for who collects.
pub(super) const PLAN: &str = "podperf/plan";
/// On a namespace that a run made.
pub(super) const MADE_BY_RUN: &str = "podperf/made-by-run";

/// What podperf finds its objects by, and keeps in them: not for the user to set.
pub(super) fn own_key(key: &str) -> bool {
    let own = [NAME, MANAGED_BY, INSTANCE, COMPONENT];
    own.contains(&key) || key.starts_with("podperf/")
}

/// Selects everything of one run.
pub(super) fn selector(run_id: &str) -> String {
    format!("{MANAGED_BY}=podperf,{INSTANCE}={run_id}")
}

/// Name of a run's Job.
pub(super) fn job_name(run_id: &str) -> String {
    format!("podperf-{run_id}")
}

/// What all manifests of a run share.
#[derive(Debug)]
pub(super) struct Forge<'a> {
    pub(super) settings: &'a Settings,
    pub(super) layout: &'a Layout,
    pub(super) placement: &'a Placement,
    pub(super) token: &'a str,
    /// Of the Job that owns all else; absent before there is one.
    pub(super) owner_uid: Option<String>,
    /// Everything ends by itself after this, in seconds.
    pub(super) life_seconds: u64,
}

impl Forge<'_> {
    /// The Job of the coordinator: owner of everything else, so that all goes with it.
    pub(super) fn job(&self, schedule: &Schedule, plan: &ClusterPlan) -> Value {
        let schedule = serde_json::to_string(schedule).unwrap_or_default();
        let mut container = self.container("coordinator", &["coordinate".to_owned()]);
        container["args"] = json!(["coordinate", "-p", COORDINATOR_PORT.to_string()]);
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
            "activeDeadlineSeconds": self.life_seconds,
            "ttlSecondsAfterFinished": self.settings.ttl.as_secs(),
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": spec,
            },
        });
        job
    }

    /// A server's pod; for a hairpin the client is in it too.
    pub(super) fn server(&self, seat: Seat<Server>, part: Option<(&str, &AgentConfig)>) -> Value {
        let host = seat.role == Server::Host;
        let mut containers = vec![self.serving(
            "server",
            seat.port(self.settings),
            Some(seat.data_port(self.settings)),
        )];
        if seat.role == Server::Policed {
            containers.push(self.serving("denied", DENIED_PORT, None));
        }
        if let Some((coordinator, part)) = part {
            containers.push(self.joining(coordinator, part));
        }
        let node = if seat.role.on_client_node() {
            &self.placement.client.name
        } else {
            &self.placement.server.name
        };
        let name = seat.pod(self.run_id());
        self.pod(&name, (seat.role.role(), seat.pair), self.pod_spec(node, containers, host))
    }

    /// A client's pod.
    pub(super) fn client(
        &self,
        seat: Seat<Client>,
        coordinator: &str,
        part: &AgentConfig,
    ) -> Value {
        let containers = vec![self.joining(coordinator, part)];
        let host = seat.role == Client::Host;
        let spec = self.pod_spec(&self.placement.client.name, containers, host);
        self.pod(&seat.pod(self.run_id()), (seat.role.role(), seat.pair), spec)
    }

    fn run_id(&self) -> &str {
        &self.settings.run_id
    }

    fn pod(&self, name: &str, (role, pair): (&str, u32), mut spec: Value) -> Value {
        spec["restartPolicy"] = json!("Never");
        spec["activeDeadlineSeconds"] = json!(self.life_seconds);
        let mut pod = self.object("v1", "Pod", name, role);
        let labels = &mut pod["metadata"]["labels"];
        labels[PAIR] = json!(pair.to_string());
        extend(labels, &self.settings.pods.pod_labels);
        extend(&mut pod["metadata"]["annotations"], &self.settings.pods.pod_annotations);
        pod["spec"] = spec;
        pod
    }

    fn serving(&self, name: &str, port: u16, data_port: Option<u16>) -> Value {
        let mut args = vec!["serve".to_owned(), "-p".to_owned(), port.to_string()];
        if let Some(data_port) = data_port.filter(|_| self.layout.data_port) {
            args.extend(["--data-port".to_owned(), data_port.to_string()]);
        }
        let mut container = self.container(name, &args);
        // Once it listens nothing probes it any more, so that nothing disturbs a measurement.
        container["startupProbe"] = json!({
            "tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 60,
        });
        container
    }

    fn joining(&self, coordinator: &str, part: &AgentConfig) -> Value {
        let args = [
            "agent".to_owned(),
            coordinator.to_owned(),
            "--join-timeout".to_owned(),
            format!("{}s", self.settings.deadlines.ready_timeout.as_secs()),
        ];
        let mut container = self.container("client", &args);
        let part = serde_json::to_string(part).unwrap_or_default();
        push(&mut container["env"], json!({"name": "PODPERF_AGENT_CONFIG", "value": part}));
        container
    }

    fn container(&self, name: &str, args: &[String]) -> Value {
        let pods = &self.settings.pods;
        let resources = if self.settings.placement.guaranteed {
            let whole = json!({"cpu": self.settings.placement.cpus.to_string(),
                               "memory": "512Mi"});
            json!({"requests": whole, "limits": whole})
        } else {
            // No limits: a quota would be what is measured.
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}})
        };
        json!({
            "name": name,
            "image": pods.image,
            "imagePullPolicy": pods.pull_policy,
            "args": args,
            "env": [{"name": "PODPERF_TOKEN", "value": self.token}],
            "resources": resources,
            // The last lines of the log stand in the pod's status when it fails.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "privileged": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    }

    fn pod_spec(&self, node: &str, containers: Vec<Value>, host_network: bool) -> Value {
        let pods = &self.settings.pods;
        let tolerations: &[Toleration] = &self.placement.tolerations;
        let mut spec = json!({
            "containers": containers,
            // By the scheduler, which knows of cordons, taints and room, and not past it.
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": [node]}]}],
            }}},
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 10,
            "securityContext": {
                "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        });
        if host_network {
            spec["hostNetwork"] = json!(true);
            spec["dnsPolicy"] = json!("ClusterFirstWithHostNet");
        }
        if !tolerations.is_empty() {
            spec["tolerations"] = json!(tolerations);
        }
        if let Some(class) = &pods.priority_class {
            spec["priorityClassName"] = json!(class);
        }
        if let Some(secret) = &pods.pull_secret {
            spec["imagePullSecrets"] = json!([{"name": secret}]);
        }
        spec
    }

    /// The Service of a server.
    pub(super) fn service(&self, seat: Seat<Server>, family: Option<&str>) -> Value {
        let mut ports = vec![json!({"name": "control", "protocol": "TCP", "port": PORT})];
        if self.layout.data_port {
            ports.push(json!({"name": "data", "protocol": "TCP", "port": DATA_PORT}));
        }
        if self.layout.datagrams {
            ports.push(json!({"name": "datagrams", "protocol": "UDP", "port": PORT}));
        }
        let name = service_name(self.run_id(), seat, family);
        let mut service = self.object("v1", "Service", &name, seat.role.role());
        let kind = if self.layout.node_ports { "NodePort" } else { "ClusterIP" };
        service["spec"] = json!({"type": kind, "ports": ports,
                                 "selector": self.selects(seat.role, Some(seat.pair))});
        if let Some(family) = family {
            service["spec"]["ipFamilies"] = json!([family]);
        }
        service
    }

    /// Services that nobody uses, all with the first pod server behind them.
    pub(super) fn background(&self) -> Vec<Value> {
        (0..self.layout.background)
            .map(|number| {
                let name = format!("podperf-{}-background-{number:05}", self.run_id());
                let mut service = self.object("v1", "Service", &name, "background");
                service["spec"] = json!({
                    "ports": [{"protocol": "TCP", "port": 80, "targetPort": PORT}],
                    "selector": self.selects(Server::Pod, Some(0)),
                });
                service
            })
            .collect()
    }

    /// NetworkPolicies: those that select the policed server, of which the last by name and by age
    /// lets its clients in, and those that select nothing.
    pub(super) fn policies(&self) -> Vec<Value> {
        let mut ports = vec![json!({"protocol": "TCP", "port": PORT})];
        if self.layout.data_port {
            ports.push(json!({"protocol": "TCP", "port": DATA_PORT}));
        }
        if self.layout.datagrams {
            ports.push(json!({"protocol": "UDP", "port": PORT}));
        }
        let nobody =
            |kind: &str, number: u32| json!({"podperf/nobody": format!("{kind}-{number}")});
        let policy = |name: String, selects: Value, admits: Value| {
            let mut policy = self.object("networking.k8s.io/v1", "NetworkPolicy", &name, "policy");
            policy["spec"] = json!({
                "podSelector": {"matchLabels": selects},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": admits}}],
                             "ports": ports}],
            });
            policy
        };
        let run = self.run_id();
        let idle = (0..self.layout.idle_policies).map(|number| {
            let name = format!("podperf-{run}-idle-{number:05}");
            policy(name, nobody("idle", number), nobody("from", number))
        });
        let selecting = (1..=self.layout.policies).map(|number| {
            let name = format!("podperf-{run}-policy-{number:05}");
            let last = number == self.layout.policies;
            let admits = if last {
                json!({INSTANCE: run, COMPONENT: Client::Pod.role()})
            } else {
                nobody("from", number)
            };
            policy(name, self.selects(Server::Policed, None), admits)
        });
        idle.chain(selecting).collect()
    }

    fn selects(&self, role: Server, pair: Option<u32>) -> Value {
        let mut labels = json!({INSTANCE: self.run_id(), COMPONENT: role.role()});
        if let Some(pair) = pair {
            labels[PAIR] = json!(pair.to_string());
        }
        labels
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
pub(super) fn namespace(settings: &Settings, host_network: bool) -> Value {
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

/// Name of a server's Service for addresses of a family.
pub(super) fn service_name(run_id: &str, seat: Seat<Server>, family: Option<&str>) -> String {
    let name = seat.pod(run_id);
    if family == Some("IPv6") { format!("{name}-v6") } else { name }
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

fn extend(map: &mut Value, pairs: &[(String, String)]) {
    for (key, value) in pairs {
        map[key] = json!(value);
    }
}

#[cfg(test)]
mod tests;
