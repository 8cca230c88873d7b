//! What is deleted, in which order, and what is said of it.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::cluster::namespace;
use crate::plan::labels;
use crate::testing::{Server, node_json, refusal, strings};

#[test]
fn what_was_deleted_becomes_a_sentence() {
    let of = |objects: &[(&'static str, usize)], force_deleted: &[&str], namespace: bool| Deleted {
        objects: objects.iter().copied().collect(),
        force_deleted: strings(force_deleted),
        namespace,
    };
    for (deleted, sentence) in [
        (of(&[], &[], false), "nothing to delete"),
        (of(&[], &[], true), "deleted namespace net"),
        (of(&[("pod", 4), ("Job", 1)], &[], false), "deleted 1 Job, 4 pods"),
        (
            of(&[("pod", 4), ("Job", 1), ("Service", 2)], &["a", "b"], true),
            "deleted 1 Job, 2 Services, 4 pods, namespace net; the nodes of a, b do not answer, so \
             their containers may run on until their kubelets are back",
        ),
    ] {
        assert_eq!(deleted.sentence("net"), sentence);
    }
}

fn list(items: Vec<Value>) -> (u16, Value) {
    (200, json!({"metadata": {}, "items": items}))
}

fn object(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// The kind of object and its name, of a path below the namespace.
fn place(path: &str) -> (String, Option<String>) {
    let unframed = path.split('?').next().unwrap_or_default();
    let rest = unframed.split("/podperf/").nth(1).unwrap_or(unframed);
    let (kind, name) = rest.split_once('/').map_or((rest, None), |(kind, name)| (kind, Some(name)));
    (kind.to_owned(), name.map(str::to_owned))
}

/// A namespace with these objects, from which what is deleted goes at once.
fn filled(objects: &[(&str, &str)]) -> Server {
    let find: Vec<(String, String)> =
        objects.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect();
    let find = Mutex::new(find);
    Server::new(move |(method, path, _), _| {
        let mut find = find.lock().unwrap();
        let (kind, name) = place(path);
        if method == "DELETE" {
            find.retain(|(own, called)| {
                *own != kind || name.as_ref().is_some_and(|name| name != called)
            });
            return (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        list(find.iter().filter(|(own, _)| *own == kind).map(|(_, it)| object(it)).collect())
    })
}

#[tokio::test(start_paused = true)]
async fn everything_goes_the_job_first_and_policies_in_one_request() {
    let server = filled(&[
        ("jobs", "j"),
        ("pods", "p1"),
        ("pods", "p2"),
        ("services", "s"),
        ("networkpolicies", "n1"),
        ("networkpolicies", "n2"),
    ]);
    let progress = ProgressLine::new(true);
    let deleted = delete(&server.cluster, "run=r1", &progress).await.unwrap();
    let sentence = deleted.sentence("podperf");
    assert_eq!(sentence, "deleted 1 Job, 2 NetworkPolicies, 1 Service, 2 pods");
    let asked = server.asked();
    let deletions: Vec<&String> = asked.iter().filter(|it| it.starts_with("DELETE")).collect();
    assert!(deletions[0].contains("/jobs/j"), "{deletions:?}");
    assert_eq!(deletions.len(), 5, "{deletions:?}");
    assert!(deletions[4].contains("networkpolicies?") && deletions[4].contains("run%3Dr1"));
    assert!(asked.iter().filter(|it| it.starts_with("GET")).all(|it| it.contains("run%3Dr1")));
}

/// A namespace with the pod of a Job, with the Job or without it. The pod goes some looks after the
/// Job, or when it is deleted itself.
fn with_job(mut job: bool) -> Server {
    let mut looks = 9_usize;
    let mut pod = object("j-x");
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": true}]);
    let state = Mutex::new(move |method: &str, kind: &str| {
        match (method, kind) {
            ("DELETE", "jobs") => job = false,
            ("DELETE", _) => looks = 0,
            (_, "pods") if !job => looks = looks.saturating_sub(1),
            _ => (),
        }
        match kind {
            "jobs" if job => list(vec![object("j")]),
            "pods" if looks > 0 => list(vec![pod.clone()]),
            _ => list(Vec::new()),
        }
    });
    Server::new(move |(method, path, _), _| (state.lock().unwrap())(method, &place(path).0))
}

#[tokio::test(start_paused = true)]
async fn the_pod_of_a_job_goes_with_it_and_by_itself_where_the_job_is_gone() {
    for (job, deletion, sentence) in
        [(true, "/jobs/j", "deleted 1 Job, 1 pod"), (false, "/pods/j-x", "deleted 1 pod")]
    {
        let server = with_job(job);
        let deleted = delete(&server.cluster, "run=r1", &ProgressLine::new(true)).await.unwrap();
        assert_eq!(deleted.sentence("podperf"), sentence);
        let asked = server.asked();
        let gone: Vec<&String> = asked.iter().filter(|it| it.starts_with("DELETE")).collect();
        assert!(gone.len() == 1 && gone[0].contains(deletion), "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_there_is_nothing_to_delete_and_what_may_not_be_seen_was_not_made() {
    let progress = ProgressLine::new(true);
    let empty = filled(&[]);
    let deleted = delete(&empty.cluster, "run=r1", &progress).await.unwrap();
    assert_eq!(deleted.sentence("podperf"), "nothing to delete");
    let closed = Server::new(|(_, path, _), _| match path {
        path if path.contains("networkpolicies") => refusal(403, "Forbidden", "no"),
        _ => list(Vec::new()),
    });
    assert!(delete(&closed.cluster, "run=r1", &progress).await.is_ok());
    let lost = Server::new(|_, _| refusal(401, "Unauthorized", "who?"));
    let error = delete(&lost.cluster, "run=r1", &progress).await.unwrap_err().to_string();
    assert!(error.contains("run=r1") && error.contains("log in again"), "{error}");
}

/// A pod on a node that is ready or not, gone once it is deleted without grace.
fn stuck(ready: &'static str) -> Server {
    stuck_pod(ready, "containerd://1", json!({"running": {}}))
}

/// The same; a container that never started has no id.
fn stuck_pod(ready: &'static str, container_id: &'static str, state: Value) -> Server {
    let gone = Mutex::new(false);
    Server::new(move |(method, path, body), _| {
        let mut gone = gone.lock().unwrap();
        if method == "DELETE" {
            *gone |= body["gracePeriodSeconds"] == 0;
            return (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        let pod = json!({
            "metadata": {"name": "p", "deletionTimestamp": "2026-01-02T03:04:05Z"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"containerStatuses": [{
                "name": "server", "containerID": container_id, "image": "i", "imageID": "",
                "ready": false, "restartCount": 0, "state": state}]}});
        let mut node = node_json("n1");
        node["status"]["conditions"] = json!([{"type": "Ready", "status": ready}]);
        match &*place(path).0 {
            "pods" if !*gone => list(vec![pod]),
            _ if path.starts_with("/api/v1/nodes") => list(vec![node]),
            _ => list(Vec::new()),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_node_does_not_answer_is_deleted_by_force() {
    let progress = ProgressLine::new(true);
    let started = Instant::now();
    let server = stuck("Unknown");
    let deleted = delete(&server.cluster, "run=r1", &progress).await.unwrap();
    assert!(started.elapsed() >= FORCE_DELETE_AFTER, "{:?}", started.elapsed());
    assert!(
        started.elapsed() < FORCE_DELETE_AFTER + Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(deleted.force_deleted, ["p"]);
    assert!(deleted.sentence("n").contains("deleted 1 pod; the nodes of p do not answer"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_began_or_has_ended_is_not_waited_for() {
    let ended = json!({"terminated": {"exitCode": 137}});
    for (id, state) in [("", json!({"waiting": {}})), ("containerd://1", ended)] {
        let server = stuck_pod("True", id, state);
        let started = Instant::now();
        let deleted = delete(&server.cluster, "run=r1", &ProgressLine::new(true)).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert_eq!(deleted.unwrap().sentence("n"), "deleted 1 pod");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_go_is_named_when_the_time_is_over() {
    let progress = ProgressLine::new(true);
    let started = Instant::now();
    let error = delete(&stuck("True").cluster, "run=r1", &progress).await.unwrap_err();
    assert!(
        started.elapsed() < CLEANUP_TIMEOUT + Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(error.kind, Kind::Incomplete);
    let text = error.to_string();
    assert!(text.contains("still there after 150 s: p") && text.contains("destroy"), "{text}");
}

/// A namespace with these annotations and pods.
fn with_namespace(annotations: Value, pods: Vec<Value>) -> Server {
    Server::new(move |(method, path, _), _| {
        if path.split('?').next() == Some("/api/v1/namespaces/podperf") {
            let meta = json!({"name": "podperf", "annotations": annotations});
            assert!(["GET", "DELETE"].contains(&&**method));
            return (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}));
        }
        let pods = if place(path).0 == "pods" { pods.clone() } else { Vec::new() };
        list(pods)
    })
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_only_if_a_run_made_it_and_nobody_is_in_it() {
    let made = json!({labels::MADE_BY_RUN: "r1"});
    for (annotations, pods, goes) in [
        (made.clone(), vec![], true),
        (made, vec![object("somebody's")], false),
        (json!({}), vec![], false),
        (json!(null), vec![], false),
    ] {
        let server = with_namespace(annotations, pods);
        let mut deleted = Deleted::default();
        namespace::delete(&server.cluster, &mut deleted).await.unwrap();
        assert_eq!(deleted.namespace, goes);
        let asked = server.asked();
        assert_eq!(asked.iter().any(|it| it.starts_with("DELETE")), goes, "{asked:?}");
    }
    for (code, reason) in [(403, "Forbidden"), (404, "NotFound")] {
        let server = Server::new(move |_, _| refusal(code, reason, "no"));
        let mut deleted = Deleted::default();
        namespace::delete(&server.cluster, &mut deleted).await.unwrap();
        assert!(!deleted.namespace);
    }
}
