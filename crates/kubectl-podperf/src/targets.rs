//! Which address each client measures against, once pods and Services have theirs: pure functions.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};

use super::layout::{DENIED_PATH, DENIED_PORT, Layout, PORT, Seat};
use super::manifest::service_name;
use super::options::Settings;
use super::scenario::{Client, Scenario, Server, Way};
use super::trial::{self, Path, Row};
use podperf_model::AddressFamily;
use podperf_model::plan::Expect;
use podperf_model::schedule::{AgentConfig, PathProbe};

/// Addresses as the API server has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// By name of the pod.
    pub(super) pods: BTreeMap<String, PodSeen>,
    /// By name of the Service.
    pub(super) services: BTreeMap<String, ServiceSeen>,
    /// Of the node beside the server's.
    pub(super) other_node: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct PodSeen {
    pub(super) addresses: Vec<String>,
    /// Of its node.
    pub(super) host_addresses: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ServiceSeen {
    pub(super) addresses: Vec<String>,
    pub(super) node_port: Option<u16>,
}

/// A path of a pair that has no address, and why.
pub(super) type Missing = (String, String);

/// The part of one client, and the paths that it cannot measure.
pub(super) fn part(
    settings: &Settings,
    layout: &Layout,
    seen: &Seen,
    seat: Seat<Client>,
) -> (AgentConfig, Vec<Missing>) {
    let mut part = AgentConfig {
        agent: seat.agent(),
        tests: BTreeMap::new(),
        probes: Vec::new(),
        probe_seconds: u32::try_from(settings.deadlines.ready_timeout.as_secs() / 2)
            .unwrap_or(u32::MAX)
            .clamp(5, 60),
    };
    let mut missing = Vec::new();
    let rows = trial::rows(settings);
    let own = |path: &Path| path.scenario.client() == seat.role;
    for path in trial::paths(settings).into_iter().filter(own) {
        let target = match target(settings, seen, path, seat.pair) {
            Ok(target) => target,
            Err(why) => {
                missing.push((path.name(), why));
                continue;
            }
        };
        let rows: Vec<&Row> = rows.iter().filter(|row| row.path == path).collect();
        for row in &rows {
            part.tests.insert(row.id(), trial::words(settings, **row, &target));
        }
        part.probes.push(PathProbe {
            path: path.name(),
            address: target.clone(),
            expect: Expect::Answer,
            tests: rows.iter().map(|row| row.id()).collect(),
        });
        if path.scenario == Scenario::Policies && layout.policies > 0 {
            part.probes.extend(denied(&target));
        }
    }
    (part, missing)
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
fn target(settings: &Settings, seen: &Seen, path: Path, pair: u32) -> Result<String, String> {
    let seat = Seat { role: path.scenario.server(), pair };
    let pod_name = seat.pod(&settings.run_id);
    let pod = || seen.pods.get(&pod_name).ok_or_else(|| format!("there is no pod {pod_name}"));
    let ip_family = path.family.map(AddressFamily::name);
    let service_name = service_name(&settings.run_id, seat, ip_family);
    let service = || {
        let service = seen.services.get(&service_name);
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
    match path.scenario.way() {
        Way::Direct if seat.role == Server::Host => {
            let addresses = &pod()?.host_addresses;
            Ok(join(&address(addresses, "the server's node")?, seat.port(settings)))
        }
        Way::Direct => Ok(join(&address(&pod()?.addresses, &pod_name)?, seat.port(settings))),
        Way::ClusterIp => Ok(join(&address(&service()?.addresses, &service_name)?, PORT)),
        Way::NodePort => node_port(&pod()?.host_addresses, "the server's node"),
        Way::NodePortOther => node_port(&seen.other_node, "the other node"),
        Way::Given => settings.measure.via.clone().ok_or_else(|| "--via is not given".to_owned()),
    }
}

/// The families that Services are made for; none: the cluster's own choice.
pub(super) fn families(settings: &Settings) -> Vec<Option<AddressFamily>> {
    let mut families = Vec::new();
    for path in trial::paths(settings) {
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

/// Addresses of a pod and of its node.
pub(super) fn pod_seen(pod: &Pod) -> PodSeen {
    let Some(status) = &pod.status else { return PodSeen::default() };
    let mut addresses: Vec<String> =
        status.pod_ips.iter().flatten().map(|address| address.ip.clone()).collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip.clone());
    }
    let mut host_addresses: Vec<String> =
        status.host_ips.iter().flatten().map(|address| address.ip.clone()).collect();
    if host_addresses.is_empty() {
        host_addresses.extend(status.host_ip.clone());
    }
    PodSeen { addresses, host_addresses }
}

/// Addresses of a Service.
pub(super) fn service_seen(service: &Service) -> ServiceSeen {
    let Some(spec) = &service.spec else { return ServiceSeen::default() };
    let mut addresses = spec.cluster_ips.clone().unwrap_or_default();
    if addresses.is_empty() {
        addresses.extend(spec.cluster_ip.clone());
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    let node_port = ports
        .iter()
        .find(|port| port.name.as_deref() == Some("control"))
        .and_then(|port| port.node_port)
        .and_then(|port| u16::try_from(port).ok());
    ServiceSeen { addresses, node_port }
}

/// Host and port as one word; an IPv6 address gets brackets.
pub(super) fn join(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests;
