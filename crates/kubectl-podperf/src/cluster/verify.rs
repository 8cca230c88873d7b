//! Holds the pods against the placement and the options.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::plan::labels::role;
use crate::plan::placement::NodePlacement;
use crate::plan::settings::Settings;
use crate::plan::targets::pod_addresses;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::PodFacts;
use podperf_model::result::run::Warning;

/// Roles on the servers' node.
const SERVER_SIDE: [&str; 3] = ["server", "server-host", "server-policed"];
/// Containers that podperf asks for.
const OWN_CONTAINERS: [&str; 4] = ["coordinator", "server", "denied", "client"];

/// Checks that every pod is on its node, and that clients and servers are on two machines by their
/// nodes' addresses.
///
/// # Errors
/// Naming the pod that is not.
pub(crate) fn placement(
    pods: &BTreeMap<String, Pod>,
    settings: &Settings,
    placement: &NodePlacement,
) -> Result<()> {
    let failed = |cause: String| Error::new(Kind::Unmeasured, "verify where the pods run", cause);
    let mut addresses: BTreeMap<bool, String> = BTreeMap::new();
    for (name, pod) in pods {
        let facts = facts(name, pod);
        let server_side = SERVER_SIDE.contains(&facts.role.as_str());
        let wanted = if server_side { &placement.server.name } else { &placement.client.name };
        if facts.node != *wanted {
            return Err(failed(format!("{name} is on node {}, not on {wanted}", facts.node)));
        }
        if let Some(address) = facts.host_ip {
            addresses.insert(server_side, address);
        }
    }
    let two = placement.client.name != placement.server.name;
    match (addresses.get(&false), addresses.get(&true)) {
        (Some(client), Some(server)) if two && client == server => Err(failed(format!(
            "nodes {} and {} have one address, {client}; run {}",
            placement.client.name, placement.server.name, settings.run_id
        ))),
        _ => Ok(()),
    }
}

/// The facts about a pod for the document.
pub(crate) fn facts(name: &str, pod: &Pod) -> PodFacts {
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let statuses = status.and_then(|status| status.container_statuses.as_deref());
    let own = |name: &str| OWN_CONTAINERS.contains(&name);
    PodFacts {
        name: name.to_owned(),
        role: role(pod).to_owned(),
        node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        host_ip: status.and_then(|status| status.host_ip.clone()),
        addresses: pod_addresses(pod).addresses,
        host_network: spec.and_then(|spec| spec.host_network).unwrap_or(false),
        injected_containers: containers
            .iter()
            .chain(init)
            .map(|container| container.name.clone())
            .filter(|name| !own(name))
            .collect(),
        image_id: statuses
            .unwrap_or_default()
            .iter()
            .find(|status| own(&status.name))
            .map(|status| status.image_id.clone()),
    }
}

/// Warns where a mesh was asked for and is not there, or is there without having been asked for.
pub(crate) fn mesh(pods: &[PodFacts], settings: &Settings) -> Option<Warning> {
    let asked = !settings.pods.pod_labels.is_empty()
        || !settings.pods.pod_annotations.is_empty()
        || !settings.pods.namespace_labels.is_empty();
    let measured = pods.iter().filter(|pod| pod.role != "coordinator" && !pod.host_network);
    let mut injected: Vec<String> =
        measured.flat_map(|pod| pod.injected_containers.iter().cloned()).collect();
    injected.sort();
    injected.dedup();
    let (code, text, remedy) = match (asked, injected.is_empty()) {
        (true, true) => (
            "mesh_not_injected",
            "labels or annotations were asked for, and no container was injected into the pods"
                .to_owned(),
            "if a sidecar was expected, check what its injector selects; a mesh without sidecars \
             (ambient, eBPF) adds none",
        ),
        (false, false) => (
            "sidecar_injected",
            format!("containers that were not asked for run in the pods: {}", injected.join(", ")),
            "measure in a namespace without injection to leave the mesh out",
        ),
        _ => return None,
    };
    Some(Warning { code: code.to_owned(), text, remedy: remedy.to_owned() })
}

#[cfg(test)]
mod tests;
