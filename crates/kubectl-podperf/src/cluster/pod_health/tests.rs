//! Pods and events as API servers give them.

use serde_json::{Value, json};

use super::*;
use crate::testing::pod;

/// A pod's status, with one container in `state`.
fn status(phase: &str, state: &Value, more: &Value) -> Pod {
    let mut status = json!({
        "phase": phase,
        "conditions": [{"type": "PodScheduled", "status": "True"},
                       {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        "containerStatuses": [{"name": "server", "image": "podperf:dev", "imageID": "",
                               "ready": false, "restartCount": 0, "state": state}],
    });
    for (key, value) in more.as_object().unwrap() {
        status[key] = value.clone();
    }
    pod(&json!({"metadata": {"name": "p"}, "status": status}))
}

fn none() -> Value {
    json!({})
}

fn unschedulable() -> Value {
    json!({
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 3 Insufficient cpu."}],
        "containerStatuses": []})
}

fn ready() -> Value {
    json!({"conditions": [{"type": "Ready", "status": "True"}]})
}

fn evicted() -> Value {
    json!({"reason": "Evicted", "message": "The node was low on resource: memory."})
}

#[test]
fn pods_that_are_ready_ended_or_on_their_way() {
    let running = json!({"running": {"startedAt": "2026-01-02T03:04:05Z"}});
    let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let creating = json!({"waiting": {"reason": "ContainerCreating"}});
    let pull = json!({"waiting": {"reason": "ErrImagePull", "message": "rpc error: not found"}});
    let waiting = |text: &str| PodHealth::Waiting(text.to_owned());
    for (pod, health) in [
        (status("Running", &running, &ready()), PodHealth::Ready),
        (status("Running", &running, &none()), waiting("Running, not ready")),
        (status("Succeeded", &done, &none()), PodHealth::Ended),
        (
            status("Pending", &creating, &none()),
            waiting("container server: ContainerCreating (image podperf:dev)"),
        ),
        (
            // It is tried again.
            status("Pending", &pull, &none()),
            waiting("container server: ErrImagePull (image podperf:dev) rpc error: not found"),
        ),
        (
            status("Pending", &none(), &unschedulable()),
            waiting("Unschedulable: 0/3 nodes are available: 3 Insufficient cpu."),
        ),
        (pod(&json!({"metadata": {"name": "p"}})), waiting("not looked at yet")),
        (pod(&json!({"metadata": {"name": "p"}, "status": {}})), waiting("Pending, not ready")),
    ] {
        assert_eq!(super::health(&pod), health);
    }
}

#[test]
fn pods_that_time_does_not_mend() {
    let waiting =
        |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let crashed = json!({"terminated": {"exitCode": 2, "reason": "Error",
        "message": "a\n\nb\nc\nd\npodperf: error: bind: Address already in use\n"}});
    for (pod, parts) in [
        (
            status("Pending", &waiting("ImagePullBackOff", "Back-off pulling image"), &none()),
            vec!["ImagePullBackOff", "podperf:dev", "Back-off pulling image"],
        ),
        (
            status("Pending", &waiting("ErrImageNeverPull", "is not present"), &none()),
            vec!["ErrImageNeverPull", "is not present"],
        ),
        (
            status("Pending", &waiting("InvalidImageName", "bad reference"), &none()),
            vec!["InvalidImageName", "bad reference"],
        ),
        (
            status("Pending", &waiting("CreateContainerConfigError", "no secret"), &none()),
            vec!["CreateContainerConfigError", "no secret"],
        ),
        (
            status("Failed", &killed, &none()),
            vec!["container server ended with exit code 137 (OOMKilled)"],
        ),
        (
            status("Failed", &crashed, &none()),
            vec![
                "exit code 2 (Error); its last lines: b | c | d | podperf: error: bind: Address \
                 already in use",
            ],
        ),
        // Before the phase follows.
        (status("Running", &crashed, &ready()), vec!["exit code 2"]),
        (
            status("Failed", &none(), &evicted()),
            vec!["Evicted: The node was low on resource: memory."],
        ),
        // Why it was killed, and not merely that it was.
        (
            status("Failed", &json!({"terminated": {"exitCode": 137}}), &evicted()),
            vec!["Evicted: The node was low on resource: memory."],
        ),
        (
            status(
                "Failed",
                &json!({"terminated": {"exitCode": 143}}),
                &json!({"reason": "DeadlineExceeded", "message": "Pod was active too long"}),
            ),
            vec!["DeadlineExceeded: Pod was active too long"],
        ),
        (status("Failed", &none(), &none()), vec!["Failed: no message"]),
    ] {
        let PodHealth::Failed(why) = health(&pod) else { panic!("{:?}", health(&pod)) };
        parts.iter().for_each(|part| assert!(why.contains(part), "no {part:?} in {why}"));
    }
}

#[test]
fn what_a_mesh_put_before_podperfs_containers_is_told_too() {
    let initial = |state: Value| {
        json!({"initContainerStatuses": [{"name": "mesh-init", "image": "mesh:1", "imageID": "",
                                          "ready": false, "restartCount": 0, "state": state}]})
    };
    let waits = json!({"waiting": {"reason": "PodInitializing"}});
    let broken = initial(json!({"terminated": {"exitCode": 1, "reason": "Error",
                                               "message": "iptables: Permission denied"}}));
    let PodHealth::Failed(why) = health(&status("Failed", &waits, &broken)) else { panic!() };
    assert!(why.contains("mesh-init") && why.contains("iptables: Permission denied"), "{why}");
    let pulled = initial(json!({"waiting": {"reason": "ImagePullBackOff"}}));
    let PodHealth::Failed(why) = health(&status("Pending", &waits, &pulled)) else { panic!() };
    assert!(why.contains("mesh-init: ImagePullBackOff (image mesh:1)"), "{why}");
    // Done, it says nothing.
    let done = initial(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    let running = json!({"running": {}});
    let mut up = done.clone();
    up["conditions"] = ready()["conditions"].clone();
    assert_eq!(health(&status("Running", &running, &up)), PodHealth::Ready);
}

fn event(kind: &str, reason: &str, message: &str, at: &Value) -> Event {
    let mut event = json!({
        "metadata": {"name": "e"}, "involvedObject": {},
        "type": kind, "reason": reason, "message": message,
    });
    for (key, value) in at.as_object().unwrap() {
        event[key] = value.clone();
    }
    serde_json::from_value(event).unwrap()
}

#[test]
fn the_latest_warning_is_told() {
    let last = |at: &str| json!({"lastTimestamp": at});
    let events = [
        event("Warning", "FailedScheduling", "no room", &last("2026-01-02T03:00:00Z")),
        event(
            "Warning",
            "FailedMount",
            "no volume",
            &json!({"eventTime": "2026-01-02T03:02:00.000000Z"}),
        ),
        event("Warning", "Unhealthy", "old", &last("2026-01-02T03:01:00Z")),
        event("Normal", "Pulled", "image is there", &last("2026-01-02T03:09:00Z")),
    ];
    assert_eq!(warning(&events).as_deref(), Some("FailedMount: no volume"));
    assert_eq!(warning(&events[3..]), None);
    let unframed = event("Warning", "Odd", "no time", &none());
    assert_eq!(warning(&[unframed]).as_deref(), Some("Odd: no time"));
}

#[test]
fn a_jobs_events_tell_that_its_pod_is_refused() {
    let text = "Error creating: pods \"podperf-r1-x\" is forbidden: exceeded quota: q";
    let events = [
        event("Normal", "Suspended", "", &none()),
        event("Warning", "FailedCreate", text, &none()),
    ];
    assert_eq!(refused(&events).as_deref(), Some(text));
    assert_eq!(refused(&events[..1]), None);
}
