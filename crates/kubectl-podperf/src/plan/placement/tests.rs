//! Which nodes are chosen, and what is said where none are.

use serde_json::json;

use super::*;
use crate::testing::{changed, node, node_json, typed};

const TWO: PlacementNeeds = PlacementNeeds { two_nodes: true };
const ONE: PlacementNeeds = PlacementNeeds { two_nodes: false };

fn asked(line: &str) -> NodeArgs {
    typed(line).unwrap().work.placement
}

/// Names of the clients', the servers' and the other node, or the refusal.
fn chosen(nodes: &[Node], line: &str, needs: PlacementNeeds) -> Result<[String; 3], String> {
    let placement = choose(nodes, &asked(line), needs).map_err(|error| error.to_string())?;
    Ok([placement.client.name, placement.server.name, placement.other.name])
}

fn plain(names: &[&str]) -> Vec<Node> {
    names.iter().map(|name| node(name, &[])).collect()
}

fn taint(effect: &str) -> serde_json::Value {
    json!([{"key": "dedicated", "value": "gpu", "effect": effect}])
}

#[test]
fn the_first_two_by_name_are_chosen_whatever_their_order() {
    for names in [["n3", "n1", "n2"], ["n1", "n2", "n3"], ["n2", "n3", "n1"]] {
        let found = chosen(&plain(&names), "", TWO).unwrap();
        assert_eq!(found, ["n1", "n2", "n3"], "{names:?}");
    }
    // Without a third, the NodePort of the clients' own node is the other one.
    assert_eq!(chosen(&plain(&["n2", "n1"]), "", TWO).unwrap(), ["n1", "n2", "n1"]);
}

#[test]
fn a_node_that_cannot_be_used_is_passed_over_and_the_reason_told() {
    let not_ready = json!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                            "message": "Kubelet stopped posting node status."}]);
    for (change, line, why) in [
        ("/spec/unschedulable", "", "it is cordoned"),
        (
            "/status/conditions",
            "",
            "it is not Ready (NodeStatusUnknown: Kubelet stopped posting node status.)",
        ),
        (
            "/spec/taints",
            "",
            "it has the taint dedicated=gpu:NoSchedule (--toleration 'dedicated=gpu:NoSchedule'",
        ),
        ("/spec/taints", "--toleration other", "dedicated=gpu:NoSchedule"),
        ("/spec/taints", "--toleration dedicated=cpu", "dedicated=gpu:NoSchedule"),
        ("/spec/taints", "--toleration dedicated:NoExecute", "dedicated=gpu:NoSchedule"),
        ("/metadata/labels/kubernetes.io~1os", "", "it does not run Linux"),
    ] {
        let value = match change {
            "/spec/unschedulable" => json!(true),
            "/status/conditions" => not_ready.clone(),
            "/spec/taints" => taint("NoSchedule"),
            _ => json!("windows"),
        };
        let mut nodes = plain(&["n2", "n3"]);
        nodes.push(node("n1", &[(change, value.clone())]));
        assert_eq!(chosen(&nodes, line, TWO).unwrap(), ["n2", "n3", "n2"], "{change}");
        let named = chosen(&nodes, &format!("--client-node n1 {line}"), TWO).unwrap_err();
        assert!(named.contains("--client-node n1: it"), "{named}");
        assert!(named.contains(why), "{named}");
        let few = [node("n1", &[(change, value)]), node("n2", &[])];
        let refusal = chosen(&few, line, TWO).unwrap_err();
        assert!(refusal.contains("choose two nodes"), "{refusal}");
        assert!(refusal.contains("n1: it") && refusal.contains(why), "{refusal}");
        assert!(refusal.contains("usable for clients: n2 (zone a, amd64)"), "{refusal}");
    }
}

#[test]
fn taints_are_borne_by_tolerations_as_the_scheduler_does() {
    for (effect, line, usable) in [
        ("PreferNoSchedule", "", true),
        ("NoExecute", "", false),
        ("NoSchedule", "--toleration *", true),
        ("NoExecute", "--toleration *", true),
        ("NoSchedule", "--toleration dedicated", true),
        ("NoSchedule", "--toleration dedicated=gpu", true),
        ("NoSchedule", "--toleration dedicated=gpu:NoSchedule", true),
        ("NoExecute", "--toleration dedicated=gpu:NoSchedule", false),
        ("NoSchedule", "--toleration x --toleration dedicated:NoSchedule", true),
        ("NoSchedule", "--toleration dedicated=", false),
    ] {
        let nodes = [node("n1", &[("/spec/taints", taint(effect))]), node("n2", &[])];
        assert_eq!(chosen(&nodes, line, TWO).is_ok(), usable, "{effect} {line}");
    }
    // What was asked for reaches the pods.
    let placement = choose(&plain(&["a", "b"]), &asked("--toleration k=v:NoExecute"), TWO).unwrap();
    let wanted = json!([{"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}]);
    assert_eq!(serde_json::to_value(placement.tolerations).unwrap(), wanted);
}

#[test]
fn bad_taints_and_labels_are_usage_errors() {
    for (line, parts) in [
        ("--toleration k:Never", ["--toleration", "'k:Never'", "NoSchedule|PreferNoSchedule"]),
        ("--toleration =v", ["--toleration", "'=v'", "KEY[=VALUE]"]),
        ("--toleration :NoExecute", ["--toleration", "':NoExecute'", "or *"]),
        ("--client-selector disk", ["--client-selector", "'disk'", "KEY=VALUE"]),
        ("--server-selector =ssd", ["--server-selector", "'=ssd'", "KEY=VALUE"]),
        ("--server-selector a=b,", ["--server-selector", "'a=b,'", "with commas"]),
    ] {
        let error = choose(&plain(&["a", "b"]), &asked(line), TWO).unwrap_err();
        assert_eq!(error.kind, Kind::Usage, "{line}");
        parts.iter().for_each(|part| assert!(error.to_string().contains(part), "{error}"));
    }
}

#[test]
fn both_ends_are_of_one_architecture_and_zone_unless_asked_otherwise() {
    const ARCH: &str = "/status/nodeInfo/architecture";
    const ZONE: &str = "/metadata/labels/topology.kubernetes.io~1zone";
    let nodes = [
        node("n1", &[]),
        node("n2", &[(ARCH, json!("arm64"))]),
        node("n3", &[(ZONE, json!("b"))]),
        node("n4", &[]),
    ];
    assert_eq!(chosen(&nodes, "", TWO).unwrap(), ["n1", "n4", "n2"]);
    assert_eq!(chosen(&nodes, "--across-zones", TWO).unwrap(), ["n1", "n3", "n2"]);
    // Named, they may be what they will.
    let named = chosen(&nodes, "--client-node n3 --server-node n2", TWO).unwrap();
    assert_eq!(named, ["n3", "n2", "n1"]);
    // One that was named has to find its like.
    let refusal = chosen(&nodes, "--client-node n3", TWO).unwrap_err();
    for part in ["--across-zones", "usable for clients: n3 (zone b, amd64)", "n2 (zone a, arm64)"] {
        assert!(refusal.contains(part), "{refusal}");
    }
    let refusal = chosen(&[node("n1", &[]), node("n4", &[])], "--across-zones", TWO).unwrap_err();
    assert!(refusal.contains("in different zones are needed"), "{refusal}");
    let across = "--across-zones --client-node n1 --server-node n4";
    assert!(chosen(&nodes, across, TWO).is_err(), "both named, and of one zone");
}

#[test]
fn labels_and_names_choose() {
    const DISK: &str = "/metadata/labels/disk";
    let nodes =
        [node("n1", &[]), node("n2", &[(DISK, json!("ssd"))]), node("n3", &[(DISK, json!("ssd"))])];
    for (line, found) in [
        ("--client-selector disk=ssd", ["n2", "n1", "n3"]),
        ("--server-selector disk=ssd", ["n1", "n2", "n3"]),
        ("--client-selector disk=ssd --server-selector disk=ssd", ["n2", "n3", "n1"]),
        ("--client-selector disk=ssd,kubernetes.io/os=linux", ["n2", "n1", "n3"]),
        ("--client-node n3", ["n3", "n1", "n2"]),
        ("--server-node n1", ["n2", "n1", "n3"]),
        ("--client-node n3 --server-node n2", ["n3", "n2", "n1"]),
    ] {
        assert_eq!(chosen(&nodes, line, TWO).unwrap(), found, "{line}");
    }
    let refusal = chosen(&nodes, "--client-selector disk=hdd", TWO).unwrap_err();
    assert!(refusal.contains("usable for clients: none"), "{refusal}");
    let refusal = chosen(&nodes, "--server-node n9", TWO).unwrap_err();
    assert!(refusal.contains("--server-node n9: there is no such node; there are n1, n2, n3"));
}

#[test]
fn one_node_is_enough_where_no_path_leaves_it() {
    let one = plain(&["n1"]);
    assert_eq!(chosen(&one, "", ONE).unwrap(), ["n1", "n1", "n1"]);
    let refusal = chosen(&one, "", TWO).unwrap_err();
    assert!(refusal.contains("usable for servers: n1"), "{refusal}");
    assert!(chosen(&[], "", ONE).unwrap_err().contains("usable for clients: none"));
    // With two, two are taken.
    assert_eq!(chosen(&plain(&["n2", "n1"]), "", ONE).unwrap(), ["n1", "n2", "n1"]);
}

#[test]
fn where_nodes_may_not_be_listed_both_have_to_be_named() {
    let placement = by_name(&asked("--client-node a --server-node b --toleration *")).unwrap();
    let names = [&placement.client, &placement.server, &placement.other].map(|it| &*it.name);
    assert_eq!(names, ["a", "b", "a"]);
    assert_eq!(placement.tolerations.len(), 1);
    for line in ["", "--client-node a", "--server-node b"] {
        let error = by_name(&asked(line)).unwrap_err().to_string();
        assert!(error.contains("may not list nodes") && error.contains("--server-node"), "{error}");
    }
}

#[test]
fn what_a_node_tells_of_itself_is_taken_over() {
    let found = node::facts(&node("n1", &[]));
    assert_eq!(found.addresses, ["192.0.2.49", "2001:db8::49"]);
    assert_eq!((found.zone.as_deref(), found.architecture.as_deref()), (Some("a"), Some("amd64")));
    assert_eq!((found.kernel.as_deref(), found.cpus.as_deref()), (Some("6.12.0"), Some("8")));
    // A node that has just come tells little.
    let unframed = changed(node_json("n2"), &[("/status", json!({})), ("/spec", json!({}))]);
    let unframed: Node = serde_json::from_value(unframed).unwrap();
    assert_eq!((unusable(&unframed, &[]), node::facts(&unframed).addresses.len()), (None, 0));
    assert_eq!(node::facts(&unframed).architecture.as_deref(), Some("amd64"));
}
