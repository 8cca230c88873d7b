//! The pods: servers, clients, their containers, and what every pod of a run has.

use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

use super::{ManifestBuilder, extend, push};
use crate::plan::labels::PAIR;
use crate::plan::layout::{DENIED_PORT, Replica};
use crate::plan::path::{ClientRole, ServerRole};
use podperf_model::schedule::AgentConfig;

/// What a run's own clients may choose of its servers. Nobody else has the run's token.
const OWN_CLIENTS: [&str; 2] = ["--allow-client-affinity", "--allow-client-spin"];

impl ManifestBuilder<'_> {
    /// A server's pod; for a hairpin the client is in it too.
    pub(crate) fn server(
        &self,
        replica: Replica<ServerRole>,
        agent: Option<(&str, &AgentConfig)>,
    ) -> Value {
        let host = replica.role == ServerRole::Host;
        let mut containers = vec![self.server_container(
            "server",
            replica.port(self.settings),
            Some(replica.data_port(self.settings)),
        )];
        if replica.role == ServerRole::Policed {
            containers.push(self.server_container("denied", DENIED_PORT, None));
        }
        if let Some((coordinator, config)) = agent {
            containers.push(self.agent_container(coordinator, config));
        }
        let node = if replica.role.on_client_node() {
            &self.placement.client.name
        } else {
            &self.placement.server.name
        };
        let name = replica.pod(self.run_id());
        self.pod(&name, (replica.role.role(), replica.pair), self.pod_spec(node, containers, host))
    }

    /// A client's pod; that of a hairpin is its server's too.
    pub(crate) fn client(
        &self,
        replica: Replica<ClientRole>,
        coordinator: &str,
        config: &AgentConfig,
    ) -> Value {
        if replica.role == ClientRole::Hairpin {
            let server = Replica { role: ServerRole::Hairpin, pair: replica.pair };
            return self.server(server, Some((coordinator, config)));
        }
        let containers = vec![self.agent_container(coordinator, config)];
        let host = replica.role == ClientRole::Host;
        let spec = self.pod_spec(&self.placement.client.name, containers, host);
        self.pod(&replica.pod(self.run_id()), (replica.role.role(), replica.pair), spec)
    }

    fn pod(&self, name: &str, (role, pair): (&str, u32), mut spec: Value) -> Value {
        spec["restartPolicy"] = json!("Never");
        spec["activeDeadlineSeconds"] = json!(self.lifetime_seconds);
        let mut pod = self.object("v1", "Pod", name, role);
        let labels = &mut pod["metadata"]["labels"];
        labels[PAIR] = json!(pair.to_string());
        extend(labels, &self.settings.pods.pod_labels);
        extend(&mut pod["metadata"]["annotations"], &self.settings.pods.pod_annotations);
        pod["spec"] = spec;
        pod
    }

    fn server_container(&self, name: &str, port: u16, data_port: Option<u16>) -> Value {
        // As long as any test of the launcher may be; the pod's deadline ends it before.
        let mut args: Vec<String> =
            ["serve", "-p", &port.to_string(), "--max-time", "7d"].map(String::from).into();
        if let Some(data_port) = data_port.filter(|_| self.layout.data_port) {
            args.extend(["--data-port".to_owned(), data_port.to_string()]);
        }
        args.extend(OWN_CLIENTS.map(str::to_owned));
        let mut container = self.container(name, &args);
        // Once it listens nothing probes it any more, so that nothing disturbs a measurement.
        container["startupProbe"] = json!({
            "tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 60,
        });
        container
    }

    fn agent_container(&self, coordinator: &str, config: &AgentConfig) -> Value {
        let args = [
            "agent".to_owned(),
            coordinator.to_owned(),
            "--join-timeout".to_owned(),
            format!("{}s", self.settings.deadlines.ready_timeout.as_secs()),
        ];
        let mut container = self.container("client", &args);
        let config = serde_json::to_string(config).unwrap_or_default();
        push(&mut container["env"], json!({"name": "PODPERF_AGENT_CONFIG", "value": config}));
        container
    }

    pub(super) fn container(&self, name: &str, args: &[String]) -> Value {
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

    pub(super) fn pod_spec(&self, node: &str, containers: Vec<Value>, host_network: bool) -> Value {
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
}
