//! The cluster's fingerprint. A fact that could not be established is null; `unknown` says why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Expect;
use crate::result::run::Ends;

/// The cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// Version of the API server.
    pub kubernetes_version: Option<String>,
    /// The network plugin ("flannel", "cilium" …), by its DaemonSet.
    pub cni: Option<String>,
    /// Its version, from the image's tag.
    pub cni_version: Option<String>,
    /// How it carries pods' packets between nodes ("vxlan", "geneve", "ipip", "none" …).
    pub encapsulation: Option<String>,
    /// kube-proxy's mode ("iptables", "ipvs", "nftables") or what stands in for it.
    pub kube_proxy_mode: Option<String>,
    /// MTU inside the measured pods, in bytes.
    pub pod_mtu_bytes: Option<u32>,
    /// MTU of the nodes' own device on the path, in bytes.
    pub node_mtu_bytes: Option<u32>,
    /// The nodes of client and server.
    pub nodes: Ends<NodeFacts>,
    /// Facts that are null, with the reason, by field name.
    pub unknown: BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its InternalIP addresses.
    pub addresses: Vec<String>,
    /// topology.kubernetes.io/zone.
    pub zone: Option<String>,
    /// Machine architecture.
    pub architecture: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Operating system.
    pub os_image: Option<String>,
    /// Container runtime and its version.
    pub container_runtime: Option<String>,
    /// The kubelet's version.
    pub kubelet_version: Option<String>,
    /// CPUs of the node.
    pub cpus: Option<String>,
}

/// A pod as it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// What it did ("server", "client-host" …).
    pub role: String,
    /// Where it ran.
    pub node: String,
    /// The node's address as the pod's status has it.
    pub host_ip: Option<String>,
    /// The pod's addresses.
    pub addresses: Vec<String>,
    /// It used the node's own network.
    pub host_network: bool,
    /// Containers that were not asked for, such as a mesh's sidecar.
    pub injected_containers: Vec<String>,
    /// Digest of the image that ran.
    pub image_id: Option<String>,
}

/// A path that was probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeFacts {
    /// The path.
    pub path: String,
    /// Who probed.
    pub agent: String,
    /// Where it leads.
    pub address: String,
    /// What was expected.
    pub expect: Expect,
    /// It was as expected.
    pub met: bool,
    /// Until then, in seconds.
    pub seconds: f64,
    /// What came of it, in words.
    pub cause: Option<String>,
}

/// NetworkPolicies of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFacts {
    /// Policies that select the server of the path `policies`, the matching one last.
    pub selecting: u32,
    /// Policies that select no pod.
    pub idle: u32,
    /// The network plugin enforces them; null: not known.
    pub enforced: Option<bool>,
}
