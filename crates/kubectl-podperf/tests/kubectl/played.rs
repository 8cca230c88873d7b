//! The launcher against an API server that a test plays.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use super::{config, launcher};

/// An API server that answers method, path and body by `answer`, and notes what it was asked.
struct Played {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    fn new(answer: fn(&str, &str, &Value) -> (u16, Value)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let log = Arc::clone(&log);
                thread::spawn(move || serve(stream.unwrap(), answer, &log));
            }
        });
        Self { address, asked }
    }

    fn run(&self, line: &str, folder: &Path) -> Output {
        let named = config(folder, &self.address);
        let line = format!("{line} --kubeconfig {}", named.display());
        launcher(&line, folder).output().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection, each after the other.
fn serve(
    stream: TcpStream,
    answer: fn(&str, &str, &Value) -> (u16, Value),
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut to = stream.try_clone().ok()?;
    let mut from = BufReader::new(stream);
    loop {
        let mut first = String::new();
        from.read_line(&mut first).ok().filter(|length| *length > 0)?;
        let mut length = 0;
        loop {
            let mut header = String::new();
            from.read_line(&mut header).ok()?;
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        let mut words = first.split_whitespace();
        let (method, path) = (words.next()?, words.next()?);
        log.lock().unwrap().push(format!("{method} {path}"));
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, object) = answer(method, path, &body);
        let text = object.to_string();
        let head = "Content-Type: application/json\r\nContent-Length";
        write!(to, "HTTP/1.1 {status} Answer\r\n{head}: {}\r\n\r\n{text}", text.len()).ok()?;
    }
}

fn node(name: &str, more: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}}, "spec": more,
           "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                      "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn refused(code: u16) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                  "message": "as the test says", "reason": "Forbidden", "code": code}),
    )
}

/// A cluster of two nodes, of which this account may see nothing else.
fn two_nodes(_: &str, path: &str, _: &Value) -> (u16, Value) {
    match path.split('?').next().unwrap() {
        "/version" => (
            200,
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0",
            "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
            "compiler": "", "platform": ""}),
        ),
        "/api/v1/nodes" => {
            let nodes = [node("n1", &json!({})), node("n2", &json!({}))];
            (200, json!({"metadata": {}, "items": nodes}))
        }
        _ => refused(403),
    }
}

/// The same, with one of them cordoned.
fn one_node(method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (status, mut answer) = two_nodes(method, path, body);
    if path.starts_with("/api/v1/nodes") {
        answer["items"][1]["spec"] = json!({"unschedulable": true});
    }
    (status, answer)
}

fn no_nodes(method: &str, path: &str, body: &Value) -> (u16, Value) {
    if path.starts_with("/api/v1/nodes") { refused(403) } else { two_nodes(method, path, body) }
}

/// The same cluster, whose lists are empty, and where everything is denied.
fn denied(method: &str, path: &str, body: &Value) -> (u16, Value) {
    if path.contains("selfsubjectaccessreviews") {
        let mut answer = body.clone();
        answer["status"] = json!({"allowed": false});
        return (201, answer);
    }
    let own = path.contains("/namespaces/podperf/");
    if method == "GET" && own {
        return (200, json!({"metadata": {}, "items": []}));
    }
    two_nodes(method, path, body)
}

#[test]
fn a_plan_is_a_stream_of_manifests_and_creates_nothing() {
    for line in ["plan", "run --dry-run"] {
        let (cluster, folder) = (Played::new(two_nodes), tempfile::tempdir().unwrap());
        let more = "--preset services --policies 2 --run-id r1 --seed 7";
        let output = cluster.run(&format!("{line} {more}"), folder.path());
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        output.assert().code(0).stderr("");
        for part in [
            "# run          r1",
            "# client node  n1 (zone none",
            "# server node  n2",
            "Kubernetes v1.34.0",
            "tcp_crr on nodeport",
            "(seed 7)",
        ] {
            assert!(text.contains(part), "{line}: no {part:?} in {text}");
        }
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let count = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
        let kinds = ["Role", "ClusterRole", "Namespace", "Job", "Service", "NetworkPolicy", "Pod"];
        assert_eq!(kinds.map(count), [2, 1, 1, 1, 2, 2, 6], "{line}");
        assert_eq!(objects.len(), 15);
        let asked = cluster.asked();
        assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no file but the kubeconfig");
    }
}

#[test]
fn nodes_that_do_not_fit_are_told_before_anything_is_created() {
    for (answer, line, parts) in [
        (
            one_node as fn(&str, &str, &Value) -> (u16, Value),
            "run",
            ["choose two nodes", "n2: it is cordoned", "usable for clients: n1"],
        ),
        (no_nodes, "deploy", ["choose two nodes", "may not list nodes", "--server-node"]),
    ] {
        let (cluster, folder) = (Played::new(answer), tempfile::tempdir().unwrap());
        let output = cluster.run(line, folder.path());
        let assert = output.assert().code(3).stdout("");
        parts.iter().fold(assert, |assert, part| assert.stderr(contains(*part)));
        let asked = cluster.asked();
        assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
    }
    // Named, they need not be listed.
    let (cluster, folder) = (Played::new(no_nodes), tempfile::tempdir().unwrap());
    let output = cluster.run("plan --client-node a --server-node b", folder.path());
    output.assert().code(0).stdout(contains("# client node  a"));
}

#[test]
fn a_run_that_is_denied_still_leaves_a_document_and_cleans_up() {
    let (cluster, folder) = (Played::new(denied), tempfile::tempdir().unwrap());
    let line = "run --preset quick --run-id r1 -o json --out-dir out -q";
    let output = cluster.run(line, folder.path());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    output.assert().code(3);
    assert_eq!((&document["status"], &document["run_id"]), (&json!("incomplete"), &json!("r1")));
    let errors = document["errors"].to_string();
    assert!(errors.contains("may not: create jobs, get jobs"), "{errors}");
    let samples = document["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 18);
    assert!(samples.iter().all(|sample| sample["missing"].is_string()));
    let file = fs::read_to_string(folder.path().join("out/result.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), document);
    let asked = cluster.asked();
    let made = |it: &String| it.starts_with("POST") && !it.contains("selfsubjectaccessreviews");
    assert!(!asked.iter().any(made), "{asked:?}");
    let last = asked.iter().rev().find(|it| it.contains("/pods?")).unwrap();
    assert!(last.starts_with("GET") && last.contains("instance%3Dr1"), "{last}");
}
