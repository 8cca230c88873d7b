//! Pods held against what was asked for.

use serde_json::{Value, json};

use super::*;
use crate::testing::{changed, placement as places, pod, settings};

fn running(role: &str, node: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": role, "labels": {"app.kubernetes.io/component": role}},
        "spec": {"nodeName": node, "containers": [{"name": "client"}]},
        "status": {
            "hostIP": address, "podIP": "10.1.0.9",
            "podIPs": [{"ip": "10.1.0.9"}, {"ip": "fd00::9"}],
            "containerStatuses": [
                {"name": "mesh", "image": "m", "imageID": "m@sha256:1", "ready": true,
                 "restartCount": 0},
                {"name": "client", "image": "p", "imageID": "p@sha256:2", "ready": true,
                 "restartCount": 0}],
        },
    })
}

fn verified(pods: &[Value]) -> Result<(), String> {
    let named =
        |object: &Value| (object["metadata"]["name"].as_str().unwrap().to_owned(), pod(object));
    let pods: BTreeMap<String, Pod> = pods.iter().map(named).collect();
    placement(&pods, &settings(""), &places()).map_err(|error| error.to_string())
}

#[test]
fn every_pod_has_to_be_on_the_node_of_its_side() {
    let right = [
        running("coordinator", "node-a", "192.0.2.1"),
        running("client", "node-a", "192.0.2.1"),
        running("client-host", "node-a", "192.0.2.1"),
        running("hairpin", "node-a", "192.0.2.1"),
        running("server-near", "node-a", "192.0.2.1"),
        running("server", "node-b", "192.0.2.2"),
        running("server-host", "node-b", "192.0.2.2"),
        running("server-policed", "node-b", "192.0.2.2"),
    ];
    assert_eq!(verified(&right), Ok(()));
    for at in 0..right.len() {
        let mut wrong = right.to_vec();
        wrong[at] = changed(wrong[at].clone(), &[("/spec/nodeName", json!("node-z"))]);
        let role = wrong[at]["metadata"]["name"].as_str().unwrap();
        let refusal = verified(&wrong).unwrap_err();
        assert!(refusal.contains(&format!("{role} is on node node-z, not on node-")), "{refusal}");
    }
}

#[test]
fn two_nodes_of_one_machine_are_found_out() {
    let pods = [running("client", "node-a", "192.0.2.1"), running("server", "node-b", "192.0.2.1")];
    let refusal = verified(&pods).unwrap_err();
    assert!(refusal.contains("nodes node-a and node-b have one address, 192.0.2.1"), "{refusal}");
    // On one node it is as it should be.
    let same = NodePlacement { server: places().client, ..places() };
    let pods = BTreeMap::from([
        ("c".to_owned(), pod(&running("client", "node-a", "192.0.2.1"))),
        ("s".to_owned(), pod(&running("server", "node-a", "192.0.2.1"))),
    ]);
    assert!(placement(&pods, &settings(""), &same).is_ok());
}

#[test]
fn a_pod_tells_what_it_is_and_what_was_put_into_it() {
    let found = facts("p", &pod(&running("client", "node-a", "192.0.2.1")));
    assert_eq!((&*found.name, &*found.role, &*found.node), ("p", "client", "node-a"));
    assert_eq!((found.host_ip.as_deref(), found.host_network), (Some("192.0.2.1"), false));
    assert_eq!(found.addresses, ["10.1.0.9", "fd00::9"]);
    assert_eq!(found.image_id.as_deref(), Some("p@sha256:2"), "not the mesh's");
    assert!(found.injected_containers.is_empty());
    let meshed = changed(
        running("client", "node-a", "192.0.2.1"),
        &[
            ("/spec/containers", json!([{"name": "client"}, {"name": "mesh-proxy"}])),
            ("/spec/initContainers", json!([{"name": "mesh-init"}])),
            ("/spec/hostNetwork", json!(true)),
            ("/status/podIPs", json!(null)),
        ],
    );
    let found = facts("p", &pod(&meshed));
    assert_eq!(found.injected_containers, ["mesh-proxy", "mesh-init"]);
    assert!(found.host_network);
    assert_eq!(found.addresses, ["10.1.0.9"], "by the older field");
    let unframed = facts("p", &pod(&json!({"metadata": {"name": "p"}})));
    assert_eq!(unframed, PodFacts { name: "p".to_owned(), ..PodFacts::default() });
}

#[test]
fn a_mesh_that_is_not_there_or_not_asked_for_is_warned_of() {
    let of = |role: &str, host_network: bool, injected: &[&str]| PodFacts {
        role: role.to_owned(),
        host_network,
        injected_containers: crate::testing::strings(injected),
        ..PodFacts::default()
    };
    let plain = [of("client", false, &[]), of("server", false, &[])];
    let meshed = [of("client", false, &["proxy"]), of("server", false, &["proxy"])];
    let elsewhere = [of("coordinator", false, &["proxy"]), of("server-host", true, &["proxy"])];
    for (pods, line, code) in [
        (&plain, "", None),
        (&meshed, "", Some("sidecar_injected")),
        (&plain, "--pod-label a=b", Some("mesh_not_injected")),
        (&plain, "--pod-annotation a=b", Some("mesh_not_injected")),
        (&plain, "--namespace-label a=b", Some("mesh_not_injected")),
        (&meshed, "--namespace-label a=b", None),
        // Labels of everything are no mesh, and what is not measured does not count.
        (&plain, "--label a=b", None),
        (&elsewhere, "", None),
    ] {
        let warning = mesh(pods, &settings(line));
        assert_eq!(warning.as_ref().map(|it| &*it.code), code, "{line}");
        if code == Some("sidecar_injected") {
            assert!(warning.unwrap().text.ends_with("in the pods: proxy"), "each once");
        }
    }
}
