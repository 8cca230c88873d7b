//! Finds the address that each client measures against, once pods and Services have theirs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};

use crate::plan::layout::{DENIED_PATH, DENIED_PORT, PORT, Replica, RunLayout};
use crate::plan::manifest::service_name;
use crate::plan::path::{AddressKind, ClientRole, NetworkPath, ServerRole};
use crate::plan::settings::Settings;
use crate::plan::test_plan::{self, PathByFamily, TestRow};
use podperf_model::AddressFamily;
use podperf_model::plan::Expect;
use podperf_model::schedule::{AgentConfig, PathProbe};

/// The addresses of a run's pods and Services, as the API server has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownAddresses {
    /// Pods by name.
    pub(crate) pods: BTreeMap<String, PodAddresses>,
    /// Services by name.
    pub(crate) services: BTreeMap<String, ServiceAddresses>,
    /// Addresses of another node than the server's.
    pub(crate) other_node: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PodAddresses {
    pub(crate) addresses: Vec<String>,
    /// Addresses of its node.
    pub(crate) host_addresses: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceAddresses {
    pub(crate) addresses: Vec<String>,
    pub(crate) node_port: Option<u16>,
}

/// A path of a pair that has no address, and why.
pub(crate) type MissingPath = (String, String);

/// The configuration of one client, and the paths that it cannot measure.
pub(crate) fn agent_config(
    settings: &Settings,
    layout: &RunLayout,
    known: &KnownAddresses,
    replica: Replica<ClientRole>,
) -> (AgentConfig, Vec<MissingPath>) {
    let mut config = AgentConfig {
        agent: replica.agent(),
        tests: BTreeMap::new(),
        probes: Vec::new(),
        probe_seconds: u32::try_from(settings.deadlines.ready_timeout.as_secs() / 2)
            .unwrap_or(u32::MAX)
            .clamp(5, 60),
    };
    let mut missing = Vec::new();
    let rows = test_plan::rows(settings);
    let own = |path: &PathByFamily| path.network_path.client() == replica.role;
    for path in test_plan::paths(settings).into_iter().filter(own) {
        let target = match target(settings, known, path, replica.pair) {
            Ok(target) => target,
            Err(why) => {
                missing.push((path.name(), why));
                continue;
            }
        };
        let rows: Vec<&TestRow> = rows.iter().filter(|row| row.path == path).collect();
        for row in &rows {
            config.tests.insert(row.id(), test_plan::words(settings, **row, &target));
        }
        config.probes.push(PathProbe {
            path: path.name(),
            address: target.clone(),
            expect: Expect::Answer,
            tests: rows.iter().map(|row| row.id()).collect(),
        });
        if path.network_path == NetworkPath::Policies && layout.policies > 0 {
            config.probes.extend(denied(&target));
        }
    }
    (config, missing)
}

/// The port of a policed server that no policy admits anybody to.
fn denied(target: &str) -> Option<PathProbe> {
    let (host, _) = target.rsplit_once(':')?;
    Some(PathProbe {
        path: DENIED_PATH.to_owned(),
        address: format!("{host}:{DENIED_PORT}"),
        expect: Expect::NoAnswer,
        tests: Vec::new(),
    })
}

/// `host:port` of a path for one pair.
fn target(
    settings: &Settings,
    known: &KnownAddresses,
    path: PathByFamily,
    pair: u32,
) -> Result<String, String> {
    let replica = Replica { role: path.network_path.server(), pair };
    let pod_name = replica.pod(&settings.run_id);
    let pod = || known.pods.get(&pod_name).ok_or_else(|| format!("there is no pod {pod_name}"));
    let ip_family = path.family.map(AddressFamily::name);
    let service_name = service_name(&settings.run_id, replica, path.family);
    let service = || {
        let service = known.services.get(&service_name);
        service.ok_or_else(|| format!("there is no Service {service_name}"))
    };
    let address = |addresses: &[String], of: &str| -> Result<String, String> {
        let found = addresses.iter().find(|address| {
            path.family.is_none_or(|family| address.parse().is_ok_and(|ip| family.has(ip)))
        });
        let family = ip_family.unwrap_or("");
        found.cloned().ok_or_else(|| {
            let has = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
            format!("{of} has no {family} address (it has {has})").replace("no  ", "no ")
        })
    };
    let node_port = |addresses: &[String], of: &str| -> Result<String, String> {
        let port = service()?.node_port.ok_or("the Service has no node port")?;
        Ok(join(&address(addresses, of)?, port))
    };
    match path.network_path.address_kind() {
        AddressKind::Direct if replica.role == ServerRole::Host => {
            let addresses = &pod()?.host_addresses;
            Ok(join(&address(addresses, "the server's node")?, replica.port(settings)))
        }
        AddressKind::Direct => {
            Ok(join(&address(&pod()?.addresses, &pod_name)?, replica.port(settings)))
        }
        AddressKind::ClusterIp => Ok(join(&address(&service()?.addresses, &service_name)?, PORT)),
        AddressKind::NodePort => node_port(&pod()?.host_addresses, "the server's node"),
        AddressKind::NodePortOther => node_port(&known.other_node, "the other node"),
        AddressKind::Given => {
            settings.measure.via.clone().ok_or_else(|| "--via is not given".to_owned())
        }
    }
}

/// The families that Services are made for; none: the cluster's own choice.
pub(crate) fn families(settings: &Settings) -> Vec<Option<AddressFamily>> {
    let mut families = Vec::new();
    for path in test_plan::paths(settings) {
        if !families.contains(&path.family) {
            families.push(path.family);
        }
    }
    // The path to a given address has no family of its own.
    if families.len() > 1 {
        families.retain(Option::is_some);
    }
    families
}

/// Addresses as clusters of two families list them, or the one that others tell.
fn all_or_one(all: impl Iterator<Item = String>, one: Option<&String>) -> Vec<String> {
    let all: Vec<String> = all.collect();
    if all.is_empty() { one.into_iter().cloned().collect() } else { all }
}

/// Addresses of a pod and of its node.
pub(crate) fn pod_addresses(pod: &Pod) -> PodAddresses {
    let Some(status) = &pod.status else { return PodAddresses::default() };
    let own = status.pod_ips.iter().flatten().map(|address| address.ip.clone());
    let host = status.host_ips.iter().flatten().map(|address| address.ip.clone());
    PodAddresses {
        addresses: all_or_one(own, status.pod_ip.as_ref()),
        host_addresses: all_or_one(host, status.host_ip.as_ref()),
    }
}

/// Addresses of a Service.
pub(crate) fn service_addresses(service: &Service) -> ServiceAddresses {
    let Some(spec) = &service.spec else { return ServiceAddresses::default() };
    let all = spec.cluster_ips.iter().flatten().cloned();
    let addresses = all_or_one(all, spec.cluster_ip.as_ref());
    let ports = spec.ports.as_deref().unwrap_or_default();
    let node_port = ports
        .iter()
        .find(|port| port.name.as_deref() == Some("control"))
        .and_then(|port| port.node_port)
        .and_then(|port| u16::try_from(port).ok());
    ServiceAddresses { addresses, node_port }
}

/// Host and port as one word; an IPv6 address gets brackets.
pub(crate) fn join(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests;
