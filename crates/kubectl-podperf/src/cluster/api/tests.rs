//! Requests against an API server that answers as a test says.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::*;
use crate::testing::{Server, refusal};

fn wanted() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
           "metadata": {"name": "s", "namespace": "podperf", "labels": {"run": "r1"}},
           "spec": {"selector": {"a": "b"}}})
}

/// A Service of that name with these labels.
fn there(labels: &Value) -> (u16, Value) {
    let mut object = wanted();
    object["metadata"]["labels"] = labels.clone();
    object["metadata"]["uid"] = json!("u1");
    (200, object)
}

fn taken() -> (u16, Value) {
    refusal(409, "AlreadyExists", "services \"s\" already exists")
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_answer_was_lost_is_taken_for_created() {
    for labels in [json!({"run": "r1"}), json!({"run": "r1", "kubernetes.io/metadata.name": "s"})] {
        let server = Server::new(move |(method, ..), _| match &**method {
            "POST" => taken(),
            _ => there(&labels),
        });
        let created: Service = server.cluster.create(&wanted(), false).await.unwrap();
        assert_eq!(created.metadata.uid.as_deref(), Some("u1"));
        let path = "/api/v1/namespaces/podperf/services";
        assert_eq!(server.asked(), [format!("POST {path}?"), format!("GET {path}/s")]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_stays_a_refusal() {
    for labels in [json!({"run": "r2"}), json!({}), json!(null)] {
        let server = Server::new(move |(method, ..), _| match &**method {
            "POST" => taken(),
            _ => there(&labels),
        });
        let failure = server.cluster.create::<Service>(&wanted(), false).await.unwrap_err();
        assert!(failure.has_status(409));
        let text = failure.during("create Service s").to_string();
        assert!(text.contains("create Service s") && text.contains("already exists"), "{text}");
    }
    // Asked without making, it is no answer that was lost.
    let server = Server::new(|_, _| taken());
    assert!(server.cluster.create::<Service>(&wanted(), true).await.unwrap_err().has_status(409));
    assert_eq!(server.asked().len(), 1);
    assert!(server.asked()[0].contains("dryRun=All"), "{:?}", server.asked());
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_not_of_its_kind_is_not_sent() {
    let server = Server::new(|_, _| there(&json!({})));
    let mut wrong = wanted();
    wrong["spec"]["selector"] = json!("everything");
    let failure = server.cluster.create::<Service>(&wrong, false).await.unwrap_err();
    assert!(failure.during("create").to_string().contains("not of its kind"));
    assert!(server.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_while_is_asked_again() {
    for code in [429, 500, 502, 503, 504] {
        let server = Server::new(move |_, before| match before {
            0..3 => refusal(code, "Overloaded", "later"),
            _ => there(&json!({"run": "r1"})),
        });
        let found: Option<Service> = server.cluster.get("s").await.unwrap();
        assert!(found.is_some(), "{code}");
        assert_eq!(server.asked().len(), 4, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_end_and_say_so() {
    let started = Instant::now();
    let server = Server::new(|_, _| refusal(503, "ServiceUnavailable", "apiserver is starting"));
    let failure = server.cluster.get::<Service>("s").await.unwrap_err();
    // The test retries for 3 s, half a second between two tries.
    assert!(started.elapsed() <= Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(server.asked().len(), 6);
    let text = failure.during("look up Service s").to_string();
    for part in
        ["look up Service s", "not answered for 3s", "apiserver is starting", "--api-timeout"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stands_and_is_not_repeated() {
    for code in [400, 401, 403, 404, 405, 409, 422] {
        let server = Server::new(move |_, _| refusal(code, "Refused", "no"));
        let failure = server.cluster.list::<Service>("a=b").await.unwrap_err();
        assert!(failure.has_status(code), "{failure:?}");
        assert_eq!(server.asked().len(), 1, "{code}");
    }
    let server = Server::new(|_, _| refusal(404, "NotFound", "no"));
    assert!(server.cluster.get::<Service>("s").await.unwrap().is_none());
    assert!(server.cluster.namespace().await.unwrap().is_none());
    // What is gone need not be deleted.
    assert!(server.cluster.delete::<Service>("s", None).await.is_ok());
    assert!(server.cluster.delete_all::<Service>("a=b").await.is_ok());
    let closed = Server::new(|_, _| refusal(403, "Forbidden", "no"));
    assert!(closed.cluster.delete::<Service>("s", None).await.unwrap_err().has_status(403));
}

#[test]
fn a_refusal_brings_what_helps_against_it() {
    for (code, message, remedy) in [
        (
            403,
            "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=4, limited: \
             pods=4",
            "ResourceQuota",
        ),
        (
            403,
            "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": host namespaces \
             (hostNetwork=true)",
            "pod-security.kubernetes.io/enforce=privileged",
        ),
        (
            403,
            "pods \"p\" is forbidden: PodSecurityPolicy: unable to admit pod: \
             [spec.securityContext.hostNetwork: Invalid value: true]",
            "the nodes' own network",
        ),
        (
            403,
            "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\"",
            "kubectl podperf plan",
        ),
        (401, "Unauthorized", "log in again"),
    ] {
        let failure = ApiFailure::Refused {
            code,
            reason: "Forbidden".to_owned(),
            message: message.to_owned(),
        };
        let error = failure.during("create pod p");
        assert_eq!((error.kind, &*error.cause), (Kind::Unmeasured, message));
        assert!(error.remedy.as_deref().unwrap_or_default().contains(remedy), "{error}");
    }
    let reason = String::new();
    let other = ApiFailure::Refused { code: 422, reason, message: "spec: invalid".to_owned() };
    assert_eq!(other.during("create").remedy, None);
}
