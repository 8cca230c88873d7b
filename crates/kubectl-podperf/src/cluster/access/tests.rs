//! What is asked of an API server, and what is said where something is denied.

use serde_json::{Value, json};

use super::*;
use crate::testing::{Server, laid_out};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Answers every access review: yes, but for what is `denied`.
fn reviewer(denied: &'static [(&'static str, &'static str)]) -> Server {
    Server::new(move |(_, _, body), _| {
        let asked = &body["spec"]["resourceAttributes"];
        let resource = match asked["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text(&asked["resource"])),
            None => text(&asked["resource"]).to_owned(),
        };
        let denied = denied.contains(&(text(&asked["verb"]), &*resource));
        let mut answer = body.clone();
        answer["status"] = json!({"allowed": !denied});
        (201, answer)
    })
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_denied_is_named_at_once() {
    let (_, layout) = laid_out("--scenarios clusterip,policies");
    assert!(check(&reviewer(&[]).cluster, &layout).await.is_ok());
    let server = reviewer(&[("create", "pods"), ("get", "pods/log"), ("delete", "services")]);
    let error = check(&server.cluster, &layout).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unmeasured);
    let text = error.to_string();
    for part in
        ["may not: create pods, get pods/log, delete services", "podperf", "kubectl podperf plan"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // What a run does without, and what this one has no use for, is not asked.
    let (_, layout) = laid_out("--scenarios pod");
    let without = reviewer(&[("list", "events"), ("create", "services"), ("list", "nodes")]);
    assert!(check(&without.cluster, &layout).await.is_ok());
    let path = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews?";
    assert!(without.asked().iter().all(|asked| asked == path), "{:?}", without.asked());
}
