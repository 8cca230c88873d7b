//! Services and NetworkPolicies.

use serde_json::{Value, json};

use super::ManifestBuilder;
use crate::plan::labels::{COMPONENT, INSTANCE, PAIR};
use crate::plan::layout::{DATA_PORT, PORT, Replica};
use crate::plan::path::{ClientRole, ServerRole};
use podperf_model::AddressFamily;

impl ManifestBuilder<'_> {
    /// The Service of a server.
    pub(crate) fn service(
        &self,
        replica: Replica<ServerRole>,
        family: Option<AddressFamily>,
    ) -> Value {
        let mut ports = vec![json!({"name": "control", "protocol": "TCP", "port": PORT})];
        if self.layout.data_port {
            ports.push(json!({"name": "data", "protocol": "TCP", "port": DATA_PORT}));
        }
        if self.layout.datagrams {
            ports.push(json!({"name": "datagrams", "protocol": "UDP", "port": PORT}));
        }
        let name = service_name(self.run_id(), replica, family);
        let mut service = self.object("v1", "Service", &name, replica.role.role());
        let kind = if self.layout.node_ports { "NodePort" } else { "ClusterIP" };
        service["spec"] = json!({"type": kind, "ports": ports,
                                 "selector": self.pod_selector(replica.role, Some(replica.pair))});
        if let Some(family) = family {
            service["spec"]["ipFamilies"] = json!([family.name()]);
        }
        service
    }

    /// Services that nobody uses, all with the first pod server behind them.
    pub(crate) fn background(&self) -> Vec<Value> {
        (0..self.layout.background)
            .map(|number| {
                let name = format!("podperf-{}-background-{number:05}", self.run_id());
                let mut service = self.object("v1", "Service", &name, "background");
                service["spec"] = json!({
                    "ports": [{"protocol": "TCP", "port": 80, "targetPort": PORT}],
                    "selector": self.pod_selector(ServerRole::Pod, Some(0)),
                });
                service
            })
            .collect()
    }

    /// NetworkPolicies: those that select the policed server, of which the last by name and by age
    /// lets its clients in, and those that select nothing.
    pub(crate) fn policies(&self) -> Vec<Value> {
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
                json!({INSTANCE: run, COMPONENT: ClientRole::Pod.role()})
            } else {
                nobody("from", number)
            };
            policy(name, self.pod_selector(ServerRole::Policed, None), admits)
        });
        idle.chain(selecting).collect()
    }

    fn pod_selector(&self, role: ServerRole, pair: Option<u32>) -> Value {
        let mut labels = json!({INSTANCE: self.run_id(), COMPONENT: role.role()});
        if let Some(pair) = pair {
            labels[PAIR] = json!(pair.to_string());
        }
        labels
    }
}

/// Name of a server's Service for addresses of a family.
pub(crate) fn service_name(
    run_id: &str,
    replica: Replica<ServerRole>,
    family: Option<AddressFamily>,
) -> String {
    let name = replica.pod(run_id);
    if family == Some(AddressFamily::V6) { format!("{name}-v6") } else { name }
}
