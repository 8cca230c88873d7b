//! What the launcher's tests are made of: settings out of command lines, nodes, and an API server
//! that answers as a test says; for tests alone.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser as _;
use http::{Request, Response};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use crate::cluster::api::Cluster;
use crate::plan::layout::{Replica, RunLayout};
use crate::plan::options::{LauncherCli, LauncherCommand, RunArgs};
use crate::plan::path::ClientRole;
use crate::plan::placement::NodePlacement;
use crate::plan::settings::Settings;
use podperf_model::result::cluster::NodeFacts;
use podperf_model::schedule::AgentConfig;

/// The options of `run` with these words, or the sentence of its refusal.
pub(crate) fn typed(line: &str) -> Result<RunArgs, String> {
    let words = ["kubectl-podperf", "run"].into_iter().chain(line.split_whitespace());
    match LauncherCli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        LauncherCommand::Run(args) => Ok(args),
        other => Err(format!("{other:?}")),
    }
}

/// The settings of run `r1` (unless named), with seed 7, by these words; or the sentence of their
/// refusal.
pub(crate) fn settled(line: &str) -> Result<Settings, String> {
    let name = if line.contains("--run-id") { "" } else { "--run-id r1" };
    let args = typed(&format!("{name} --seed 7 {line}"))?;
    args.work.settle(args.ttl, args.output.quiet).map_err(|error| error.to_string())
}

pub(crate) fn settings(line: &str) -> Settings {
    settled(line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"))
}

pub(crate) fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A node as kubeadm makes them: ready, Linux, amd64, in zone a, without taints.
pub(crate) fn node_json(name: &str) -> Value {
    let last = name.bytes().last().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a"}},
        "spec": {"podCIDR": "10.244.1.0/24"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": format!("192.0.2.{last}")},
                          {"type": "InternalIP", "address": format!("2001:db8::{last}")},
                          {"type": "Hostname", "address": name}],
            "capacity": {"cpu": "8", "memory": "32Gi"},
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletIsFine"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {"architecture": "amd64", "bootID": "b", "machineID": "m",
                         "systemUUID": "s", "containerRuntimeVersion": "containerd://2.1.4",
                         "kernelVersion": "6.12.0", "kubeProxyVersion": "",
                         "kubeletVersion": "v1.34.0", "operatingSystem": "linux",
                         "osImage": "Debian GNU/Linux 13"},
        },
    })
}

/// The same with `value` at each JSON pointer; null takes away what is there.
pub(crate) fn changed(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        // In a pointer, `~1` is a slash within a key.
        let key = key.replace("~1", "/");
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[key] = value.clone(),
        }
    }
    object
}

pub(crate) fn node(name: &str, changes: &[(&str, Value)]) -> Node {
    serde_json::from_value(changed(node_json(name), changes)).unwrap()
}

pub(crate) fn pod(object: &Value) -> Pod {
    serde_json::from_value(object.clone()).unwrap()
}

/// Clients on node-a, servers on node-b, and a node-c beside them.
pub(crate) fn placement() -> NodePlacement {
    let facts = |name: &str, four: &str, six: &str| NodeFacts {
        name: name.to_owned(),
        addresses: strings(&[four, six]),
        ..NodeFacts::default()
    };
    NodePlacement {
        client: facts("node-a", "192.0.2.1", "2001:db8::1"),
        server: facts("node-b", "192.0.2.2", "2001:db8::2"),
        other: facts("node-c", "192.0.2.3", "2001:db8::3"),
        tolerations: Vec::new(),
    }
}

/// The configuration of a client with nothing to do.
pub(crate) fn idle_config(replica: Replica<ClientRole>) -> AgentConfig {
    AgentConfig { agent: replica.agent(), tests: [].into(), probes: Vec::new(), probe_seconds: 9 }
}

/// A command line that asks for every path that needs no address from outside.
pub(crate) const EVERY_PATH: &str = "--scenarios host,pod,same-node,clusterip,nodeport,\
    nodeport-other,pod-host,host-pod,hairpin,policies --via 203.0.113.9:443";

/// Settings and layout of such words.
pub(crate) fn laid_out(line: &str) -> (Settings, RunLayout) {
    let settings = settings(line);
    let layout = RunLayout::new(&settings);
    (settings, layout)
}

/// What the API server was asked: method, path with query, and body.
pub(crate) type Asked = (String, String, Value);

/// An API server that answers by `answer`: status and object.
pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Takes the question, and how many there were before it.
    pub(crate) fn new<F>(answer: F) -> Self
    where
        F: Fn(&Asked, usize) -> (u16, Value) + Send + Sync + 'static,
    {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let service = service_fn(move |request: Request<Body>| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (method, uri) = (request.method().to_string(), request.uri().to_string());
                let bytes = request.into_body().collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                let question = (method, uri, body);
                let before = log.lock().unwrap().len();
                let (status, object) = answer(&question, before);
                log.lock().unwrap().push(question);
                let body = Body::from(object.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        let client = Client::new(service, "podperf");
        Self { cluster: Cluster::of(client, "podperf", Duration::from_secs(3)), asked }
    }

    /// Method and path of everything that was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

/// What an API server answers when it refuses.
pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                        "status": "Failure", "message": message, "reason": reason, "code": code});
    (code, status)
}
