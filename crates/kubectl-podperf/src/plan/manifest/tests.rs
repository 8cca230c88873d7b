//! The objects of a run, held against the API's own types, against the rules of the Pod Security
//! Standards, and against each other.

mod metadata;
// The manifests of k8s/ are held to the same rules.
#[path = "../../../../../tests/support/restricted.rs"]
mod restricted;

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::plan::labels::selector;
use crate::plan::path::ClientRole;
use crate::plan::test_plan;
use crate::testing::{EVERY_PATH, idle_config, laid_out, placement};
use podperf_model::AddressFamily;
use podperf_model::schedule::AgentConfig;
use restricted::broken_rules;

const EVERY_TEST: &str = "--tests tcp_stream,tcp_rr,tcp_crr,udp_stream,udp_rr -P 1 --rr-flows 1";
const COORDINATOR: &str = "192.0.2.9:5209";

/// Everything that a run of this command line puts into a cluster.
fn objects(line: &str) -> Vec<Value> {
    let (settings, layout) = laid_out(line);
    let placement = placement();
    let builder = ManifestBuilder {
        settings: &settings,
        layout: &layout,
        placement: &placement,
        token: "0123",
        owner_uid: Some("uid-of-job".to_owned()),
        lifetime_seconds: 4321,
    };
    let steps = test_plan::order(&settings, |row| layout.agents(row));
    let agents = layout.clients.iter().map(|replica| replica.agent()).collect();
    let schedule = Schedule { agents, join_seconds: 60, steps };
    let mut objects = vec![namespace(&settings, layout.host_network())];
    // The Job is made before there is an owner.
    let first = ManifestBuilder { owner_uid: None, ..builder };
    objects.push(first.job(&schedule, &test_plan::cluster_plan(&settings)));
    let builder = ManifestBuilder { owner_uid: Some("uid-of-job".to_owned()), ..first };
    objects.extend(builder.background());
    for replica in &layout.services {
        objects.push(builder.service(*replica, None));
        objects.push(builder.service(*replica, Some(AddressFamily::V6)));
    }
    objects.extend(builder.policies());
    objects.extend(layout.own_servers().map(|replica| builder.server(replica, None)));
    let clients = layout.clients.iter();
    objects.extend(clients.map(|own| builder.client(*own, COORDINATOR, &idle_config(*own))));
    objects
}

fn full() -> Vec<Value> {
    objects(&format!(
        "{EVERY_PATH} {EVERY_TEST} --pairs 2 --policies 3 --idle-policies 2 --services 2"
    ))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Names and specifications of all pods, the Job's among them.
fn pods(objects: &[Value]) -> Vec<(String, Value)> {
    let own = of_kind(objects, "Pod").into_iter().map(|pod| (name(pod).to_owned(), pod.clone()));
    let jobs = of_kind(objects, "Job").into_iter();
    own.chain(jobs.map(|job| (name(job).to_owned(), job["spec"]["template"].clone()))).collect()
}

fn containers(pod: &Value) -> &[Value] {
    pod["spec"]["containers"].as_array().unwrap()
}

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(object.clone()).unwrap()).unwrap()
}

/// The same without what is empty: absent and empty mean the same to the API.
fn without_empty(value: &Value) -> Value {
    let empty = |value: &Value| *value == json!({}) || *value == json!([]) || value.is_null();
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), without_empty(value)))
            .filter(|(_, value)| !empty(value))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

/// The labels of `pod` have all that `selector` wants.
fn selects(selector: &Value, pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
}

/// Names of the pods that `selector` selects.
fn selected(objects: &[Value], selector: &Value) -> Vec<String> {
    let pods = pods(objects).into_iter().filter(|(_, pod)| selects(selector, pod));
    pods.map(|(name, _)| name).collect()
}

#[test]
fn no_field_is_lost_on_the_way_through_the_apis_types() {
    let more = "--guaranteed --toleration k=v:NoSchedule --priority-class p --pull-secret s \
                --label a=b --annotation c=d --pod-label e=f --pod-annotation g=h";
    for line in [
        format!("{EVERY_PATH} {EVERY_TEST} --policies 2 --idle-policies 1 --services 1"),
        format!("{EVERY_PATH} {more} --namespace-label i=j"),
        "--scenarios pod".to_owned(),
    ] {
        for object in objects(&line) {
            let back = match object["kind"].as_str().unwrap() {
                "Namespace" => through::<Namespace>(&object),
                "Job" => through::<Job>(&object),
                "Pod" => through::<Pod>(&object),
                "Service" => through::<Service>(&object),
                "NetworkPolicy" => through::<NetworkPolicy>(&object),
                other => panic!("{other}"),
            };
            assert_eq!(without_empty(&back), without_empty(&object), "{}", name(&object));
        }
    }
    let misspelt = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
                          "spec": {"containers": [{"name": "a", "arguments": ["b"]}]}});
    assert_ne!(without_empty(&through::<Pod>(&misspelt)), misspelt);
}

#[test]
fn pods_pass_the_restricted_profile_but_for_the_network_of_the_node() {
    let mut host = 0;
    for line in [format!("{EVERY_PATH} {EVERY_TEST}"), format!("{EVERY_PATH} --guaranteed")] {
        for (name, pod) in pods(&objects(&line)) {
            let expected: &[&str] = if name.contains("host") { &["host namespaces"] } else { &[] };
            assert_eq!(broken_rules(&pod["spec"]), expected, "{name}");
            host += expected.len();
        }
    }
    assert_eq!(host, 4);
}

#[test]
fn no_pod_can_ask_the_api_server_or_knows_of_other_services() {
    for (name, pod) in pods(&full()) {
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["enableServiceLinks"], false, "{name}");
        assert!(spec["serviceAccountName"].is_null() && spec["volumes"].is_null(), "{name}");
        assert_eq!(spec["restartPolicy"], "Never", "{name}");
        let dns = if spec["hostNetwork"] == true {
            json!("ClusterFirstWithHostNet")
        } else {
            json!(null)
        };
        assert_eq!(spec["dnsPolicy"], dns, "{name}");
        for container in containers(&pod) {
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError", "{name}");
            let ports = &container["startupProbe"]["tcpSocket"]["port"];
            assert_eq!(ports.is_u64(), container["args"][0] == "serve", "{name}");
            assert!(container["livenessProbe"].is_null(), "{name}: it would disturb");
        }
    }
}

#[test]
fn pods_have_requests_and_limits_only_where_whole_cpus_are_asked_for() {
    for (name, pod) in pods(&full()) {
        for container in containers(&pod) {
            let resources = &container["resources"];
            assert!(resources["limits"].is_null(), "{name}: a limit would throttle");
            let request = resources["requests"]["cpu"].as_str().unwrap();
            assert!(request.ends_with('m'), "{name}: {request}");
        }
    }
    for (name, pod) in pods(&objects(&format!("{EVERY_PATH} --guaranteed --cpus 3"))) {
        for container in containers(&pod) {
            let resources = &container["resources"];
            if container["name"] == "coordinator" {
                assert!(resources["limits"].is_null(), "{name}");
                continue;
            }
            assert_eq!(resources["requests"], resources["limits"], "{name}");
            assert_eq!(resources["limits"]["cpu"], "3", "{name}");
            assert!(resources["limits"]["memory"].is_string(), "{name}");
        }
    }
}

#[test]
fn names_and_label_values_are_what_the_api_admits_however_long_the_run_is_called() {
    let run = "a2345678901234567890bcdx";
    let (mut settings, _) = laid_out(&format!("{EVERY_PATH} --pairs 32 --samples 1"));
    settings.run_id = run.to_owned();
    let layout = RunLayout::new(&settings);
    let mut names = BTreeSet::new();
    let mut check = |name: String| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
        assert!(name.len() <= 63 && edges && name.bytes().all(inside), "{name}");
        assert!(names.insert(name.clone()), "{name} is there twice");
    };
    assert_eq!(run.len(), 24);
    layout.servers.iter().for_each(|replica| check(replica.pod(run)));
    let clients = layout.clients.iter().filter(|replica| replica.role != ClientRole::Hairpin);
    clients.for_each(|replica| check(replica.pod(run)));
    layout
        .servers
        .iter()
        .for_each(|replica| check(service_name(run, *replica, Some(AddressFamily::V6))));
    // The Job's pod gets five letters and digits more.
    check(format!("{}-abcde", job_name(run)));
    let many = objects(&format!(
        "--scenarios policies --pairs 2 --policies 12 --idle-policies 12 --services 12 \
         --run-id {run}"
    ));
    let mut addresses = BTreeSet::new();
    for object in &many {
        let kind = object["kind"].as_str().unwrap();
        assert!(addresses.insert((kind, name(object))), "{kind} {} is there twice", name(object));
        assert!(name(object).len() <= 63, "{}", name(object));
        let labels = object["metadata"]["labels"].as_object().unwrap();
        assert!(labels.values().all(|value| value.as_str().unwrap().len() <= 63), "{labels:?}");
    }
}

#[test]
fn services_select_the_pods_that_they_are_for() {
    let objects = full();
    for service in of_kind(&objects, "Service") {
        let found = selected(&objects, &service["spec"]["selector"]);
        let wanted = if name(service).contains("background") {
            "podperf-r1-server-0"
        } else {
            name(service).trim_end_matches("-v6")
        };
        assert_eq!(found, [wanted], "{}", name(service));
    }
    assert_eq!(of_kind(&objects, "Service").len(), 2 + 2 * (2 + 2));
}

#[test]
fn services_have_a_port_for_every_kind_of_test() {
    let ports = |line: &str| -> Vec<String> {
        let objects = objects(line);
        let service = of_kind(&objects, "Service")[0]["spec"].clone();
        let ports = service["ports"].as_array().unwrap().iter();
        let text =
            |port: &Value| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"]);
        ports.map(text).chain([service["type"].as_str().unwrap().to_owned()]).collect()
    };
    for (line, wanted) in [
        ("--scenarios clusterip --tests tcp_rr", "TCP 5210,ClusterIP"),
        ("--scenarios clusterip --tests tcp_crr", "TCP 5210,TCP 5211,ClusterIP"),
        ("--scenarios clusterip --tests udp_rr", "TCP 5210,UDP 5210,ClusterIP"),
        ("--scenarios nodeport --tests tcp_stream -P 1", "TCP 5210,NodePort"),
        ("--scenarios hairpin --tests tcp_rr,tcp_crr", "TCP 5210,TCP 5211,ClusterIP"),
        ("--scenarios pod --via a.example:443", "TCP 5210,ClusterIP"),
    ] {
        assert_eq!(ports(line).join(","), wanted, "{line}");
    }
    let (settings, layout) = laid_out("--scenarios clusterip");
    let placement = placement();
    let builder = ManifestBuilder {
        settings: &settings,
        layout: &layout,
        placement: &placement,
        token: "",
        owner_uid: None,
        lifetime_seconds: 1,
    };
    let of_family =
        |family| builder.service(layout.services[0], family)["spec"]["ipFamilies"].clone();
    assert_eq!(of_family(None), json!(null));
    assert_eq!(of_family(Some(AddressFamily::V4)), json!(["IPv4"]));
    assert_eq!(of_family(Some(AddressFamily::V6)), json!(["IPv6"]));
}

#[test]
fn servers_listen_where_clients_and_services_look() {
    let objects = full();
    let args = |pod: &str, container: &str| -> String {
        let (_, pod) = pods(&objects).into_iter().find(|(name, _)| name == pod).unwrap();
        let found = containers(&pod).iter().find(|it| it["name"] == container).unwrap();
        let words = found["args"].as_array().unwrap().iter();
        words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for (pod, container, words) in [
        ("podperf-r1-server-1", "server", "serve -p 5210 --max-time 7d --data-port 5211"),
        ("podperf-r1-server-near-0", "server", "serve -p 5210 --max-time 7d --data-port 5211"),
        ("podperf-r1-server-host-0", "server", "serve -p 5210 --max-time 7d --data-port 5211"),
        ("podperf-r1-server-host-1", "server", "serve -p 5212 --max-time 7d --data-port 5213"),
        ("podperf-r1-server-policed-0", "server", "serve -p 5210 --max-time 7d --data-port 5211"),
        ("podperf-r1-server-policed-0", "denied", "serve -p 5219 --max-time 7d"),
        ("podperf-r1-hairpin-0", "server", "serve -p 5210 --max-time 7d --data-port 5211"),
        ("podperf-r1-hairpin-0", "client", "agent 192.0.2.9:5209 --join-timeout 120s"),
        ("podperf-r1-client-host-1", "client", "agent 192.0.2.9:5209 --join-timeout 120s"),
        ("podperf-r1", "coordinator", "coordinate -p 5209"),
    ] {
        // Its own clients, which alone have the token, may choose.
        let allowing = " --allow-client-affinity --allow-client-spin";
        let allowing = if words.starts_with("serve") { allowing } else { "" };
        assert_eq!(args(pod, container), format!("{words}{allowing}"), "{pod}");
    }
}

#[test]
fn pods_go_to_their_node_by_the_scheduler() {
    for (name, pod) in pods(&full()) {
        let affinity = pod["spec"]["affinity"]["nodeAffinity"]
            .get("requiredDuringSchedulingIgnoredDuringExecution")
            .unwrap();
        let node = &affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"];
        let on_server_node = ["server-0", "server-1", "server-host", "server-policed"];
        let server = on_server_node.iter().any(|role| name.contains(role));
        assert_eq!(*node, json!([if server { "node-b" } else { "node-a" }]), "{name}");
        assert!(pod["spec"]["nodeName"].is_null(), "{name}: past the scheduler");
    }
}

#[test]
fn only_the_last_policy_admits_the_clients_and_idle_ones_select_nothing() {
    let objects = full();
    let mut policies = of_kind(&objects, "NetworkPolicy");
    let in_order: Vec<String> = policies.iter().map(|it| name(it).to_owned()).collect();
    policies.sort_by(|a, b| name(a).cmp(name(b)));
    assert_eq!(in_order, policies.iter().map(|it| name(it)).collect::<Vec<_>>());
    let servers = ["podperf-r1-server-policed-0", "podperf-r1-server-policed-1"];
    let (mut idle, mut admitting) = (0, Vec::new());
    for policy in &policies {
        let spec = &policy["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress"]));
        let found = selected(&objects, &spec["podSelector"]["matchLabels"]);
        if name(policy).contains("idle") {
            idle += 1;
            assert_eq!(found, [""; 0], "{}", name(policy));
        } else {
            assert_eq!(found, servers, "{}", name(policy));
        }
        let from = &spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
        let admitted = selected(&objects, from);
        if !admitted.is_empty() {
            assert_eq!(admitted, ["podperf-r1-client-0", "podperf-r1-client-1"]);
            admitting.push(name(policy).to_owned());
        }
        let ports: Vec<String> = spec["ingress"][0]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"]))
            .collect();
        assert_eq!(ports, ["TCP 5210", "TCP 5211", "UDP 5210"], "not the port to be denied");
    }
    assert_eq!((policies.len(), idle), (5, 2));
    assert_eq!(admitting, [name(policies.last().unwrap())]);
}
