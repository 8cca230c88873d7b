//! The manifests below k8s/, held against the API's own types, against the published rules of the
//! restricted Pod Security Standard, and against each other and podperf's command line.
//!
//! Enters: every YAML file there. Leaves: a complaint for each thing that is not as it should be.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::restricted::broken_rules;

const NAME: &str = "app.kubernetes.io/name";
const IMAGE: &str = "localhost/podperf:dev";
const PORTS: [(u64, &str); 3] = [(5210, "TCP"), (5210, "UDP"), (5211, "TCP")];
const NETSERVER: &str = "examples/netserver.yaml";
const NETSERVER_PORTS: [(u64, &str); 3] = [(8000, "TCP"), (8000, "UDP"), (12865, "TCP")];

/// An object as the types of the API understand it.
type Understand = fn(&Value) -> serde_json::Result<Value>;

/// Kinds that Kubernetes has in these versions from 1.20 to now, and whether each has a namespace.
const KINDS: [(&str, &str, bool, Understand); 11] = [
    ("v1", "Namespace", false, through::<Namespace>),
    ("v1", "ConfigMap", true, through::<ConfigMap>),
    ("v1", "Service", true, through::<Service>),
    ("v1", "ServiceAccount", true, through::<ServiceAccount>),
    ("apps/v1", "Deployment", true, through::<Deployment>),
    ("batch/v1", "Job", true, through::<Job>),
    ("networking.k8s.io/v1", "NetworkPolicy", true, through::<NetworkPolicy>),
    ("rbac.authorization.k8s.io/v1", "Role", true, through::<Role>),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", true, through::<RoleBinding>),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", false, through::<ClusterRole>),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", false, through::<ClusterRoleBinding>),
];

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(serde_json::from_value::<T>(object.clone())?)
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            assert_eq!(path.extension().unwrap(), "yaml", "{}", path.display());
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_kustomization(path: &Path) -> bool {
    path.file_name().unwrap() == "kustomization.yaml"
}

fn read(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("# "), "{}: no comment that says what it is for", path.display());
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every object below k8s/, with the file that it stands in.
fn objects() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for path in files(&folder("")).iter().filter(|path| !is_kustomization(path)) {
        found.extend(read(path).into_iter().map(|object| (path.display().to_string(), object)));
    }
    assert!(found.len() > 15, "only {} objects below k8s/", found.len());
    found
}

/// The only object of a kind in a file.
fn one_of(file: &str, kind: &str) -> Value {
    let mut all = read(&folder(file)).into_iter().filter(|object| object["kind"] == kind);
    let object = all.next().expect(kind);
    assert!(all.next().is_none(), "more than one {kind} in {file}");
    object
}

/// The only object of a kind that `kubectl apply -k` makes of podperf's two ends.
fn one(kind: &str) -> Value {
    one_of(if kind == "Job" { "client.yaml" } else { "server.yaml" }, kind)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|key| list(pod, key))
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn words(container: &Value) -> Vec<String> {
    strings(container, "args")
}

/// What an object of several ports lists under `key`, with the protocol of each.
fn ports(all: &[Value], key: &str) -> Vec<(u64, String)> {
    let port =
        |port: &Value| (port[key].as_u64().unwrap(), port["protocol"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = all.iter().map(port).collect();
    all.sort();
    all
}

fn as_owned(all: &[(u64, &str)]) -> Vec<(u64, String)> {
    all.iter().map(|(port, protocol)| (*port, (*protocol).to_owned())).collect()
}

/// That the Deployment, its Service and the Job that goes there mean each other.
fn mean_each_other(file: &str, client: &Value, wanted: &[(u64, String)]) {
    let server = one_of(file, "Deployment");
    let template = &server["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    assert_eq!(&server["spec"]["selector"]["matchLabels"], labels, "{file}");
    let service = one_of(file, "Service");
    assert_eq!(&service["spec"]["selector"], labels, "{file}");
    let pod = &client["spec"]["template"]["spec"];
    let apart = pod["affinity"]["podAntiAffinity"]
        .get("requiredDuringSchedulingIgnoredDuringExecution")
        .unwrap();
    assert_eq!(apart[0]["topologyKey"], "kubernetes.io/hostname", "{file}");
    assert_eq!(&apart[0]["labelSelector"]["matchLabels"], labels, "{file}");
    assert_ne!(&client["spec"]["template"]["metadata"]["labels"], labels, "{file}");
    assert_eq!(ports(list(&service["spec"], "ports"), "port"), wanted, "{file}");
    assert_eq!(ports(list(&service["spec"], "ports"), "targetPort"), wanted, "{file}");
    let container = &template["spec"]["containers"][0];
    assert_eq!(ports(list(container, "ports"), "containerPort"), wanted, "{file}");
}

#[test]
fn objects_are_what_the_api_knows_and_carry_namespace_and_label() {
    for (file, object) in objects() {
        let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let known = KINDS.iter().find(|(version, name, ..)| (*version, *name) == kind);
        let (.., namespaced, understand) = known.unwrap_or_else(|| panic!("{file}: {kind:?}"));
        // A field that the API does not know, or not there, is lost on the way.
        let understood = understand(&object).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(understood, object, "{file}");
        assert_eq!(object["metadata"]["labels"][NAME], "podperf", "{file}: {kind:?}");
        assert_eq!(object["metadata"]["namespace"].is_string(), *namespaced, "{file}: {kind:?}");
    }
    let misspelt = json!({"apiVersion": "v1", "kind": "Service", "spec": {"selectors": {}}});
    assert_ne!(through::<Service>(&misspelt).unwrap(), misspelt);
}

#[test]
fn pods_are_restricted_and_take_nothing_they_do_not_need() {
    let mut pods = 0;
    for (file, object) in objects() {
        let template = &object["spec"]["template"];
        let pod = &template["spec"];
        if pod.is_null() {
            continue;
        }
        pods += 1;
        assert_eq!(broken_rules(pod), [""; 0], "{file}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{file}");
        // The drain's 3 s, and time to say that it is over.
        assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(8), "{file}");
        assert_eq!(template["metadata"]["labels"][NAME], "podperf", "{file}");
        assert!(pod["tolerations"].is_null() && pod["volumes"].is_null(), "{file}");
        for container in containers(pod) {
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{file}");
            assert_eq!(container["image"], IMAGE, "{file}");
            assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{file}");
            let limits = &container["resources"]["limits"];
            assert!(limits["cpu"].is_null(), "{file}: a limit throttles");
            assert!(limits["memory"].is_string(), "{file}: whoever it is left to may take it all");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{file}");
        }
    }
    assert_eq!(pods, 4);
}

#[test]
fn service_policies_and_placement_mean_the_server() {
    let wanted = as_owned(&PORTS);
    mean_each_other("server.yaml", &one("Job"), &wanted);
    // One file would take the other's pods, if a label were the same.
    let netserver = one_of(NETSERVER, "Service");
    assert_ne!(netserver["spec"]["selector"], one("Service")["spec"]["selector"]);
    mean_each_other(NETSERVER, &one_of(NETSERVER, "Job"), &as_owned(&NETSERVER_PORTS));
    let (_, policy) = objects()
        .into_iter()
        .find(|(_, object)| {
            object["kind"] == "NetworkPolicy" && !object["spec"]["ingress"].is_null()
        })
        .unwrap();
    for way in ["ingress", "egress"] {
        assert_eq!(ports(list(&policy["spec"][way][0], "ports"), "port"), wanted, "{way}");
    }
}

#[test]
fn the_client_waits_and_ends() {
    // podperf waits for its server by itself; netperf has to be started again.
    for (file, client, policy, more) in [
        ("server.yaml", one("Job"), "Never", 0),
        (NETSERVER, one_of(NETSERVER, "Job"), "OnFailure", 4),
    ] {
        let spec = &client["spec"];
        assert_eq!(spec["backoffLimit"], more, "{file}");
        assert_eq!(spec["template"]["spec"]["restartPolicy"], policy, "{file}");
        assert!(spec["activeDeadlineSeconds"].as_u64().unwrap() <= 600, "{file}");
        assert!(spec["ttlSecondsAfterFinished"].is_u64(), "{file}");
        // The variable is that of the Service.
        let service = one_of(file, "Service")["metadata"]["name"].as_str().unwrap().to_uppercase();
        let host = format!("$({}_SERVICE_HOST)", service.replace('-', "_"));
        assert_eq!(spec["template"]["spec"]["enableServiceLinks"], true, "{file}");
        for container in containers(&spec["template"]["spec"]) {
            let words = [strings(container, "command"), words(container)].concat();
            assert!(words[1..3].contains(&host), "{words:?}");
        }
    }
}

fn podperf(words: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podperf"));
    command.args(words).timeout(Duration::from_secs(20)).output().unwrap()
}

#[test]
fn podperf_takes_the_arguments() {
    let mut runs = 0;
    for container in containers(&one("Job")["spec"]["template"]["spec"]) {
        // Nobody listens on port 1, and that is as far as it comes.
        let change = |word: String| match &*word {
            word if word.starts_with("$(") => "127.0.0.1:1".to_owned(),
            word if word.starts_with("--wait-for-server=") => "--wait-for-server=10ms".to_owned(),
            _ => word,
        };
        let words: Vec<String> = words(container).into_iter().map(change).collect();
        let output = podperf(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
        assert!(said.contains("Connection refused"), "{words:?}: {said}");
        runs += 1;
    }
    assert_eq!(runs, 2);
    // A port that is taken: all options are accepted before it is tried.
    let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut words = words(&one("Deployment")["spec"]["template"]["spec"]["containers"][0]);
    words.extend(["--bind".to_owned(), "0.0.0.0".to_owned(), "--port".to_owned(), port]);
    let output = podperf(&words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
    assert!(said.contains("Address already in use"), "{said}");
}

/// What podperf, called by the first of these words, says of the others.
fn by_its_name(words: &[String]) -> Output {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join(&words[0]);
    symlink(env!("CARGO_BIN_EXE_podperf"), &program).unwrap();
    Command::new(program).args(&words[1..]).timeout(Duration::from_secs(20)).output().unwrap()
}

#[test]
fn netperf_and_netserver_take_their_command_lines() {
    let job = one_of(NETSERVER, "Job");
    let mut words = strings(&job["spec"]["template"]["spec"]["containers"][0], "command");
    assert_eq!(words[3..].join(" "), "-l 10 -- -P ,8000");
    words[2] = "127.0.0.1".to_owned();
    // Nobody listens on port 1.
    words.splice(3..3, ["-p".to_owned(), "1".to_owned()]);
    let output = by_its_name(&words);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(255), "{words:?}: {said}");
    assert!(said.contains("are you sure there is a netserver listening on 127.0.0.1"), "{said}");
    let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let server = one_of(NETSERVER, "Deployment");
    let mut words = strings(&server["spec"]["template"]["spec"]["containers"][0], "command");
    words.extend(["-4".to_owned(), "-p".to_owned(), port]);
    let output = by_its_name(&words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
    assert!(said.contains("Unable to start netserver"), "{said}");
}

#[test]
fn rights_are_few_and_their_bindings_lead_somewhere() {
    let mut roles = BTreeMap::new();
    let mut bindings = Vec::new();
    let mut accounts = Vec::new();
    for (_, object) in objects() {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let kind = object["kind"].as_str().unwrap().to_owned();
        match &*kind {
            "Role" | "ClusterRole" => _ = roles.insert((kind, name), object["rules"].clone()),
            "RoleBinding" | "ClusterRoleBinding" => bindings.push(object),
            "ServiceAccount" => accounts.push((object["metadata"]["namespace"].clone(), name)),
            _ => {}
        }
    }
    assert_eq!(roles.len(), bindings.len());
    for ((kind, name), rules) in &roles {
        let text = rules.to_string();
        for word in ["*", "secrets", "pods/exec", "escalate", "impersonate", "update", "patch"] {
            assert!(!text.contains(&format!("\"{word}\"")), "{kind} {name} grants {word}");
        }
    }
    for binding in bindings {
        let role = &binding["roleRef"];
        let key = [&role["kind"], &role["name"]].map(|part| part.as_str().unwrap().to_owned());
        assert!(roles.contains_key(&key.into()), "{binding}");
        for subject in list(&binding, "subjects") {
            let name = subject["name"].as_str().unwrap().to_owned();
            assert!(accounts.contains(&(subject["namespace"].clone(), name)), "{binding}");
        }
    }
}

#[test]
fn kustomizations_name_every_file_beside_them() {
    for name in ["", "rbac"] {
        let folder = folder(name);
        let kustomization = &read(&folder.join("kustomization.yaml"))[0];
        let mut named: Vec<&str> =
            list(kustomization, "resources").iter().map(|file| file.as_str().unwrap()).collect();
        named.sort_unstable();
        let mut there: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file() && !is_kustomization(path))
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        there.sort();
        assert_eq!(named, there, "{name}");
    }
    let image = &read(&folder("kustomization.yaml"))[0]["images"][0];
    let whole =
        format!("{}:{}", image["name"].as_str().unwrap(), image["newTag"].as_str().unwrap());
    assert_eq!(whole, IMAGE);
}
