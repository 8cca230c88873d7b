//! Network plugins by their DaemonSets and ConfigMaps, and what their MTUs show.

use serde_json::{Value, json};

use super::*;
use crate::testing::placement;
use podperf_report::analysis::testing::streams;

fn set(name: &str, image: &str) -> DaemonSet {
    let object = json!({"metadata": {"name": name}, "spec": {"selector": {}, "template": {
        "spec": {"containers": [{"name": "c", "image": image}]}}}});
    serde_json::from_value(object).unwrap()
}

fn map(name: &str, data: &Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
}

fn flannel(backend: &str) -> ConfigMap {
    let net = json!({"Network": "10.244.0.0/16", "Backend": {"Type": backend}}).to_string();
    map("kube-flannel-cfg", &json!({"cni-conf.json": "{}", "net-conf.json": net}))
}

fn cilium(data: &Value) -> ConfigMap {
    map("cilium-config", data)
}

fn antrea(text: &str) -> ConfigMap {
    map("antrea-config", &json!({"antrea-agent.conf": text}))
}

fn proxy(mode: &str) -> ConfigMap {
    let text = format!("apiVersion: v1\nclusterCIDR: 10.244.0.0/16\nmode: {mode}\nwinkernel:\n");
    map("kube-proxy", &json!({"config.conf": text}))
}

#[test]
fn plugins_are_known_by_their_daemon_sets() {
    for (name, image, plugin_name, version) in [
        ("kube-flannel-ds", "registry.example/flannel:v0.27.0", "flannel", Some("v0.27.0")),
        ("calico-node", "calico/node:v3.30.1", "calico", Some("v3.30.1")),
        ("canal", "calico/node:v3.30.1", "canal", Some("v3.30.1")),
        ("cilium", "cilium/cilium:v1.18.0@sha256:0123", "cilium", Some("v1.18.0")),
        ("antrea-agent", "antrea/antrea-agent", "antrea", None),
        ("kindnet", "registry.example:5000/kindnetd", "kindnet", None),
        ("ovnkube-node", "ovn:1", "ovn-kubernetes", Some("1")),
        ("aws-node", "vpc-cni:v1.20", "amazon-vpc-cni", Some("v1.20")),
    ] {
        let sets = [set("kube-proxy", "proxy:1"), set(name, image)];
        let wanted = Some((plugin_name.to_owned(), version.map(str::to_owned)));
        assert_eq!(plugin(&sets), wanted, "{name}");
    }
    // Its proxy alone does not make a plugin, wherever it stands in the list.
    let envoy = set("cilium-envoy", "envoy:1.30");
    let with = [envoy, set("cilium", "cilium:2")];
    assert_eq!(plugin(&with), Some(("cilium".to_owned(), Some("2".to_owned()))));
    assert_eq!(plugin(&with[..1]), None);
    assert_eq!(plugin(&[set("kube-proxy", "proxy:1")]), None);
}

#[test]
fn configuration_tells_how_packets_travel() {
    for (config, wanted) in [
        (flannel("vxlan"), Some("vxlan")),
        (flannel("host-gw"), Some("none")),
        (flannel("wireguard"), Some("wireguard")),
        (map("kube-flannel-cfg", &json!({"net-conf.json": "{"})), None),
        (cilium(&json!({"routing-mode": "tunnel", "tunnel-protocol": "vxlan"})), Some("vxlan")),
        (cilium(&json!({"routing-mode": "tunnel", "tunnel-protocol": "geneve"})), Some("geneve")),
        (cilium(&json!({"tunnel": "vxlan"})), Some("vxlan")),
        (cilium(&json!({})), Some("vxlan")),
        (cilium(&json!({"tunnel": "disabled"})), Some("none")),
        (cilium(&json!({"routing-mode": "native"})), Some("none")),
        // Not encapsulated, and yet encrypted: the largest cost there is.
        (cilium(&json!({"routing-mode": "native", "enable-wireguard": "true"})), Some("wireguard")),
        (cilium(&json!({"routing-mode": "native", "enable-wireguard": "false"})), Some("none")),
        (
            cilium(&json!({"tunnel-protocol": "vxlan", "enable-wireguard": "true"})),
            Some("vxlan with wireguard"),
        ),
        (cilium(&json!({"enable-ipsec": "true"})), Some("vxlan with ipsec")),
        (map("calico-config", &json!({"calico_backend": "vxlan"})), Some("vxlan")),
        (
            map("calico-config", &json!({"calico_backend": "bird"})),
            Some("ipip or none (calico_backend bird)"),
        ),
        (antrea("# x\n#trafficEncapMode: noEncap\n#tunnelType: vxlan\n"), Some("geneve")),
        (antrea("trafficEncapMode: encap\ntunnelType: \"vxlan\"\n"), Some("vxlan")),
        (antrea("trafficEncapMode: noEncap\n"), Some("none")),
        (antrea("trafficEncapMode: hybrid\n"), Some("hybrid")),
        (map("coredns", &json!({})), None),
    ] {
        let name = config.metadata.name.clone();
        let maps = [proxy("ipvs"), config];
        assert_eq!(encapsulation(&maps).as_deref(), wanted, "{name:?} {:?}", maps[1].data);
    }
}

#[test]
fn the_mode_of_kube_proxy_or_what_stands_in_for_it() {
    let replaced = |value: &str| cilium(&json!({"kube-proxy-replacement": value}));
    for (maps, wanted) in [
        (vec![proxy("ipvs")], Some("ipvs")),
        (vec![proxy("\"nftables\"")], Some("nftables")),
        (vec![proxy("\"\"")], Some("iptables")),
        (vec![proxy("iptables"), replaced("true")], Some("eBPF (cilium replaces kube-proxy)")),
        (vec![replaced("strict")], Some("eBPF (cilium replaces kube-proxy)")),
        (vec![proxy("iptables"), replaced("false")], Some("iptables")),
        (vec![map("kube-proxy", &json!({"kubeconfig.conf": ""}))], None),
        (vec![], None),
    ] {
        assert_eq!(proxy_mode(&maps).as_deref(), wanted);
    }
}

#[test]
fn a_fact_that_is_not_to_be_had_says_why() {
    let forbidden = Err("this account may not list it".to_owned());
    let read = SystemObjects { daemon_sets: forbidden.clone(), config_maps: Err("x".to_owned()) };
    let mut found = facts("v1.34.0", &placement(), &read);
    add_measured(&mut found, &[]);
    assert_eq!(found.kubernetes_version.as_deref(), Some("v1.34.0"));
    assert_eq!((&*found.nodes.client.name, &*found.nodes.server.name), ("node-a", "node-b"));
    let unknown = |fact: &str| found.unknown[fact].as_str();
    assert_eq!(unknown("cni"), "DaemonSets: this account may not list it");
    assert_eq!(unknown("kube_proxy_mode"), "ConfigMaps of kube-system: x");
    assert!(unknown("encapsulation").contains("no ConfigMap tells"));
    assert!(unknown("node_mtu_bytes").contains("path host"));
    assert!(unknown("pod_mtu_bytes").contains("no path from a pod"));
    let read = SystemObjects {
        daemon_sets: Ok(vec![set("kube-flannel-ds", "f:1")]),
        config_maps: Ok(vec![flannel("vxlan"), proxy("ipvs")]),
    };
    let known = facts("v1.34.0", &placement(), &read);
    let told = [&known.cni, &known.cni_version, &known.encapsulation, &known.kube_proxy_mode];
    assert_eq!(told.map(Option::as_deref), ["flannel", "1", "vxlan", "ipvs"].map(Some));
    assert!(known.unknown.is_empty(), "{:?}", known.unknown);
    let read = SystemObjects { daemon_sets: Ok(Vec::new()), config_maps: Ok(Vec::new()) };
    let empty = facts("v1.34.0", &placement(), &read);
    assert!(empty.unknown["cni"].contains("known here"), "{:?}", empty.unknown);
    assert!(empty.unknown["kube_proxy_mode"].contains("no ConfigMap"), "{:?}", empty.unknown);
}

/// A sample on `path` whose client left by a device of this MTU and driver.
fn sample(path: &str, mtu: u32, driver: &str) -> Sample {
    let mut run = streams(1.0);
    let device = run.host.client.as_mut().unwrap().device.as_mut().unwrap();
    (device.mtu_bytes, device.driver) = (Some(mtu), Some(driver.to_owned()));
    Sample {
        step: 1,
        path: path.to_owned(),
        test: "tcp_stream".to_owned(),
        flows: 1,
        sample: 1,
        missing: None,
        runs: vec![run],
    }
}

#[test]
fn what_was_measured_adds_the_mtus_and_the_tunnel() {
    let mut found = ClusterFacts::default();
    let samples = [
        sample("same-node", 9, "veth"),
        sample("host", 1500, "virtio_net"),
        sample("pod", 1450, "veth"),
        sample("host-pod", 1450, "vxlan"),
    ];
    add_measured(&mut found, &samples);
    assert_eq!((found.node_mtu_bytes, found.pod_mtu_bytes), (Some(1500), Some(1450)));
    assert_eq!(found.encapsulation.as_deref(), Some("vxlan"));
    assert!(found.unknown.is_empty(), "{:?}", found.unknown);
    // What the plugin says itself stands.
    let said = Some("geneve".to_owned());
    let mut found = ClusterFacts { encapsulation: said.clone(), ..ClusterFacts::default() };
    add_measured(&mut found, &samples);
    assert_eq!(found.encapsulation, said);
    let mut six = ClusterFacts::default();
    add_measured(&mut six, &[sample("host-v6", 1500, "x"), sample("clusterip-v6", 1430, "x")]);
    assert_eq!((six.node_mtu_bytes, six.pod_mtu_bytes), (Some(1500), Some(1430)));
}

#[test]
fn mtus_that_do_not_fit_are_warned_of() {
    for (tunnel, pod, node, code) in [
        ("vxlan", Some(1450), Some(1500), None),
        ("vxlan", Some(1500), Some(1500), Some("pod_mtu_too_large")),
        ("vxlan", Some(1451), Some(1500), Some("pod_mtu_too_large")),
        ("vxlan", Some(1450), Some(9000), Some("pod_mtu_small")),
        ("vxlan", Some(8950), Some(9000), None),
        ("geneve", Some(1300), Some(1500), None),
        ("ipip", Some(1480), Some(1500), None),
        ("ipip", Some(1481), Some(1500), Some("pod_mtu_too_large")),
        ("wireguard", Some(1440), Some(1500), None),
        ("wireguard", Some(1450), Some(1500), Some("pod_mtu_too_large")),
        ("none", Some(1500), Some(1500), None),
        ("hybrid", Some(1500), Some(1500), None),
        ("vxlan", None, Some(1500), None),
        ("vxlan", Some(1500), None, None),
        // Larger than the nodes' is wrong without any tunnel, and so is far smaller.
        ("none", Some(9000), Some(1500), Some("pod_mtu_too_large")),
        ("none", Some(1500), Some(9000), Some("pod_mtu_small")),
    ] {
        let facts = ClusterFacts {
            encapsulation: Some(tunnel.to_owned()),
            pod_mtu_bytes: pod,
            node_mtu_bytes: node,
            ..ClusterFacts::default()
        };
        let found = warnings(&facts);
        let codes: Vec<&str> = found.iter().map(|warning| &*warning.code).collect();
        assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "{tunnel} {pod:?} {node:?}");
        for warning in found {
            let mtus = [pod, node].map(|mtu| format!("{} B", mtu.unwrap()));
            assert!(mtus.iter().all(|mtu| warning.text.contains(mtu)), "{}", warning.text);
            assert!(!warning.remedy.is_empty() && !warning.text.contains("none's"));
        }
    }
    assert!(warnings(&ClusterFacts::default()).is_empty());
}
