//! What a node says of itself: pure functions over the object of the API server.

use k8s_openapi::api::core::v1::Node;

use podperf_model::result::cluster::NodeFacts;

const ZONE: &str = "topology.kubernetes.io/zone";
const ARCHITECTURE: &str = "kubernetes.io/arch";

/// Why a node is not ready; none: it is, or says nothing of it.
pub(crate) fn not_ready(node: &Node) -> Option<String> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    if ready.status == "True" {
        return None;
    }
    let reason = ready.reason.as_deref().unwrap_or("no reason given");
    let message = ready.message.as_deref().unwrap_or("");
    Some(format!("it is not Ready ({reason}: {message})"))
}

pub(crate) fn has_labels(node: &Node, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| label(node, key) == Some(value))
}

pub(crate) fn label<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// The facts about a node for the document.
pub(crate) fn facts(node: &Node) -> NodeFacts {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let info = status.and_then(|status| status.node_info.as_ref());
    let cpus = status.and_then(|status| status.capacity.as_ref()?.get("cpu"));
    NodeFacts {
        name: node.metadata.name.clone().unwrap_or_default(),
        addresses: addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .map(|address| address.address.clone())
            .collect(),
        zone: label(node, ZONE).map(str::to_owned),
        architecture: info
            .map(|info| info.architecture.clone())
            .or_else(|| label(node, ARCHITECTURE).map(str::to_owned)),
        kernel: info.map(|info| info.kernel_version.clone()),
        os_image: info.map(|info| info.os_image.clone()),
        container_runtime: info.map(|info| info.container_runtime_version.clone()),
        kubelet_version: info.map(|info| info.kubelet_version.clone()),
        cpus: cpus.map(|cpus| cpus.0.clone()),
    }
}
