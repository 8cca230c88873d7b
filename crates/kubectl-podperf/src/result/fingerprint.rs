//! What the cluster is: best effort, and every fact that is not to be had says why.
//!
//! Enters: DaemonSets and ConfigMaps as far as this account may see them, and the engine's own
//! facts about the two ends. Leaves: [`ClusterFacts`], and warnings about what is known to make
//! overlays slow. Everything past the requests is a pure function.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::cluster::system_objects::SystemObjects;
use crate::plan::placement::NodePlacement;
use crate::plan::rbac::SYSTEM_NAMESPACE;
use podperf_model::facts::{DeviceFacts, HostFacts};
use podperf_model::result::cluster::{ClusterFacts, Sample};
use podperf_model::result::run::{Ends, Warning};

/// Network plugins by a part of their DaemonSet's name.
const PLUGINS: [(&str, &str); 15] = [
    ("kube-flannel", "flannel"),
    ("canal", "canal"),
    ("calico-node", "calico"),
    ("cilium-envoy", ""),
    ("cilium", "cilium"),
    ("antrea-agent", "antrea"),
    ("kindnet", "kindnet"),
    ("kube-router", "kube-router"),
    ("kube-ovn-cni", "kube-ovn"),
    ("ovnkube-node", "ovn-kubernetes"),
    ("weave-net", "weave"),
    ("aws-node", "amazon-vpc-cni"),
    ("azure-cni", "azure-cni"),
    ("netd", "gke-netd"),
    ("ovs-node", "openshift-sdn"),
];

/// The facts, before anything was measured.
pub(crate) fn facts(
    version: &str,
    placement: &NodePlacement,
    objects: &SystemObjects,
) -> ClusterFacts {
    let mut facts = ClusterFacts {
        kubernetes_version: Some(version.to_owned()),
        nodes: Ends { client: placement.client.clone(), server: placement.server.clone() },
        ..ClusterFacts::default()
    };
    match &objects.daemon_sets {
        Ok(sets) => match plugin(sets) {
            Some((name, version)) => (facts.cni, facts.cni_version) = (Some(name), version),
            None => unknown(&mut facts, "cni", "no DaemonSet of a network plugin known here"),
        },
        Err(why) => unknown(&mut facts, "cni", &format!("DaemonSets: {why}")),
    }
    match &objects.config_maps {
        Ok(maps) => {
            facts.encapsulation = encapsulation(maps);
            facts.kube_proxy_mode = proxy_mode(maps);
            if facts.kube_proxy_mode.is_none() {
                unknown(&mut facts, "kube_proxy_mode", "no ConfigMap of kube-proxy tells");
            }
        }
        Err(why) => {
            unknown(
                &mut facts,
                "kube_proxy_mode",
                &format!("ConfigMaps of {SYSTEM_NAMESPACE}: {why}"),
            );
        }
    }
    facts
}

/// Adds what the engine saw on its paths.
pub(crate) fn add_measured(facts: &mut ClusterFacts, samples: &[Sample]) {
    let device = |paths: &[&str]| -> Option<&DeviceFacts> {
        let mut hosts = samples
            .iter()
            .filter(|sample| paths.contains(&sample.path.as_str()))
            .flat_map(|sample| &sample.runs)
            .filter_map(|run| run.host.client.as_ref());
        hosts.find_map(|host: &HostFacts| host.device.as_ref())
    };
    let node = device(&["host", "host-v6"]);
    facts.node_mtu_bytes = node.and_then(|device| device.mtu_bytes);
    if facts.node_mtu_bytes.is_none() {
        unknown(facts, "node_mtu_bytes", "it shows on the path host alone");
    }
    let pod = device(&["pod", "clusterip", "policies", "nodeport", "pod-v6", "clusterip-v6"]);
    facts.pod_mtu_bytes = pod.and_then(|device| device.mtu_bytes);
    if facts.pod_mtu_bytes.is_none() {
        unknown(facts, "pod_mtu_bytes", "no path from a pod to another node was measured");
    }
    // A node reaches pods of another node by the device that encapsulates.
    if let Some(driver) = device(&["host-pod"]).and_then(|device| device.driver.as_deref())
        && facts.encapsulation.is_none()
    {
        facts.encapsulation = tunnel(driver).map(str::to_owned);
    }
    if facts.encapsulation.is_none() {
        unknown(
            facts,
            "encapsulation",
            match (facts.node_mtu_bytes, facts.pod_mtu_bytes) {
                (Some(node), Some(pod)) if node == pod + 50 => {
                    "no ConfigMap tells, and it shows on the path host-pod alone; the pods' MTU is \
                     50 B less than the nodes', as with vxlan or geneve over IPv4"
                }
                _ => "no ConfigMap tells, and it shows on the path host-pod alone",
            },
        );
    }
}

fn unknown(facts: &mut ClusterFacts, fact: &str, why: &str) {
    facts.unknown.insert(fact.to_owned(), why.to_owned());
}

/// A tunnel by the driver of its device.
fn tunnel(driver: &str) -> Option<&'static str> {
    match driver {
        "vxlan" => Some("vxlan"),
        "geneve" => Some("geneve"),
        "ipip" | "tunl0" => Some("ipip"),
        "wireguard" => Some("wireguard"),
        _ => None,
    }
}

/// Name and version of the network plugin.
fn plugin(sets: &[DaemonSet]) -> Option<(String, Option<String>)> {
    for (part, name) in PLUGINS {
        let found = sets.iter().find(|set| {
            let own = set.metadata.name.as_deref().unwrap_or_default();
            own.contains(part) && !(name == "cilium" && own.contains("envoy"))
        });
        if let Some(set) = found.filter(|_| !name.is_empty()) {
            return Some((name.to_owned(), image_version(set)));
        }
    }
    None
}

/// The tag of a DaemonSet's first container.
fn image_version(set: &DaemonSet) -> Option<String> {
    let spec = set.spec.template.spec.as_ref()?;
    let image = spec.containers.first()?.image.as_deref()?;
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    (!tag.contains('/')).then(|| tag.to_owned())
}

fn config<'a>(maps: &'a [ConfigMap], name: &str) -> Option<&'a BTreeMap<String, String>> {
    let found = maps.iter().find(|map| map.metadata.name.as_deref() == Some(name))?;
    found.data.as_ref()
}

/// How pods' packets travel between nodes, by the plugin's own configuration.
fn encapsulation(maps: &[ConfigMap]) -> Option<String> {
    if let Some(flannel) = config(maps, "kube-flannel-cfg") {
        let net: serde_json::Value = serde_json::from_str(flannel.get("net-conf.json")?).ok()?;
        let backend = net["Backend"]["Type"].as_str()?;
        return Some(if backend == "host-gw" { "none".to_owned() } else { backend.to_owned() });
    }
    if let Some(cilium) = config(maps, "cilium-config") {
        let get = |key: &str| cilium.get(key).map(String::as_str);
        let native = get("routing-mode") == Some("native") || get("tunnel") == Some("disabled");
        let protocol = get("tunnel-protocol").or_else(|| get("tunnel")).unwrap_or("vxlan");
        let secured = [("enable-wireguard", "wireguard"), ("enable-ipsec", "ipsec")];
        let secured = secured.iter().find(|(key, _)| get(key) == Some("true"));
        return Some(match (native, secured) {
            (true, Some((_, name))) => (*name).to_owned(),
            (true, None) => "none".to_owned(),
            (false, Some((_, name))) => format!("{protocol} with {name}"),
            (false, None) => protocol.to_owned(),
        });
    }
    if let Some(calico) = config(maps, "calico-config") {
        return calico.get("calico_backend").map(|backend| match backend.as_str() {
            "bird" => "ipip or none (calico_backend bird)".to_owned(),
            other => other.to_owned(),
        });
    }
    if let Some(antrea) = config(maps, "antrea-config") {
        let text = antrea.get("antrea-agent.conf")?;
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        let mode = value("trafficEncapMode").unwrap_or_else(|| "encap".to_owned());
        let tunnel = value("tunnelType").unwrap_or_else(|| "geneve".to_owned());
        return Some(match &*mode {
            "encap" => tunnel,
            "noEncap" => "none".to_owned(),
            _ => mode,
        });
    }
    None
}

/// kube-proxy's mode, or what stands in for it.
fn proxy_mode(maps: &[ConfigMap]) -> Option<String> {
    if let Some(cilium) = config(maps, "cilium-config")
        && matches!(
            cilium.get("kube-proxy-replacement").map(String::as_str),
            Some("true" | "strict")
        )
    {
        return Some("eBPF (cilium replaces kube-proxy)".to_owned());
    }
    let text = config(maps, "kube-proxy")?.get("config.conf")?;
    let mode = text.lines().find_map(|line| line.strip_prefix("mode:"))?;
    let mode = mode.trim().trim_matches('"');
    // Empty: the default of Linux.
    Some(if mode.is_empty() { "iptables".to_owned() } else { mode.to_owned() })
}

/// Bytes that a header of the tunnel and the outer IPv4 packet take of the node's MTU (VXLAN: RFC
/// 7348; Geneve without options: RFC 8926; WireGuard by its protocol's overhead of 60 with IPv4).
fn overhead_bytes(encapsulation: &str) -> Option<u32> {
    match encapsulation {
        "vxlan" | "geneve" => Some(50),
        "ipip" => Some(20),
        "wireguard" => Some(60),
        "none" => Some(0),
        _ => None,
    }
}

/// Known causes of slow overlays that the facts show.
pub(crate) fn warnings(facts: &ClusterFacts) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, text: String, remedy: &str| {
        warnings.push(Warning { code: code.to_owned(), text, remedy: remedy.to_owned() });
    };
    let encapsulation = facts.encapsulation.as_deref().unwrap_or("none");
    if let (Some(pod), Some(node), Some(overhead)) =
        (facts.pod_mtu_bytes, facts.node_mtu_bytes, overhead_bytes(encapsulation))
    {
        let which = match overhead {
            0 => ", which".to_owned(),
            _ => format!("; with {encapsulation}'s {overhead} B it"),
        };
        if pod + overhead > node {
            let text = format!(
                "pods use an MTU of {pod} B{which} is more than the nodes' {node} B, so packets \
                 are split or dropped"
            );
            warn("pod_mtu_too_large", text, "set the network plugin's MTU, and restart the pods");
        } else if pod + overhead + 200 < node {
            let text = format!(
                "pods use an MTU of {pod} B where the nodes' {node} B would carry {} B",
                node - overhead
            );
            warn("pod_mtu_small", text, "raise the network plugin's MTU: fewer packets, less CPU");
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
