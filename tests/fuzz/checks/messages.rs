//! Messages of the control connection, and those of a coordinator and its agents: what is read and
//! written again is the same.

use std::sync::LazyLock;

use podperf_engine::control::message::{Edge, FromClient, FromServer, Hello, features};
use podperf_engine::coordination::testing::{from_agent_again, from_coordinator_again};
use podperf_model::error::{Code, Error, Kind};
use podperf_model::result::testing::{
    crr_input, open_loop_input, rr_input, stream_input, stream_plan, stream_run, udp_input,
};
use podperf_model::run_log::EncodedRun;
use podperf_model::units::BitRate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::edited;
use super::text::assert_one_line;

/// A message of each kind.
static MESSAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let hello = Hello {
        podperf: "0.1.0".into(),
        features: features(),
        nonce: "00".repeat(16),
        token: true,
        boot_id: Some("boot".into()),
    };
    let error = Error::new(Kind::Incomplete, "read from", "reset")
        .with_code(Code::ConnectionLost)
        .with_peer("192.0.2.1:5210")
        .with_remedy("try again");
    let mut messages = vec![
        json!(FromClient::Hello(hello.clone())),
        json!(FromClient::Prove { proof: "ab".repeat(32) }),
        json!(FromClient::Prepare {
            plan: Box::new(stream_plan()),
            peer_timeout_seconds: Some(5.0)
        }),
        json!("start"),
        json!(FromServer::Hello(hello)),
        json!(FromServer::Welcome { proof: None, view: None }),
        json!(FromServer::Connect {
            session: "01".repeat(16),
            port: Some(40_000),
            rate_bits_per_second: Some(BitRate(80_000_000)),
        }),
        json!(FromServer::FlowEnded { flow: 3, error: Some(error.clone()) }),
        json!(FromServer::Refused(error.clone())),
    ];
    for input in [stream_input(), rr_input(), crr_input(), open_loop_input(1e3), udp_input()] {
        let end = input.server.expect("it has a server");
        let reading = Box::new(end.readings[0].clone());
        messages.push(json!(FromServer::Ready(Box::new(end.facts))));
        messages.push(json!(FromServer::Reading { edge: Edge::Interval, reading }));
        for report in [end.report, input.client.and_then(|end| end.report)].into_iter().flatten() {
            messages.push(json!(FromServer::Report(Box::new(report))));
        }
    }
    let run = EncodedRun::of(&stream_run()).expect("a run can be packed");
    messages.extend([
        json!({"join": {"agent": "a"}}),
        json!({"probed": {"path": "pod", "address": "192.0.2.2:5210", "expect": "answer",
            "met": true, "seconds": 0.5, "cause": "it answered", "tests": ["t"]}}),
        json!({"interval": {"step": 1, "bits_per_second": 1e9, "transactions_per_second": null}}),
        json!({"result": {"step": 1, "run": run}}),
        json!({"failed": {"step": 1, "cause": "no route"}}),
        json!({"prepare": {"step": 1, "test": "t", "sample": 2}}),
        json!({"stop": {"step": 1, "kind": "interrupted"}}),
        json!({"refused": error}),
    ]);
    messages
});

/// Checks one message as one of each kind.
pub fn check(data: &[u8]) {
    let Some(json) = edited::json(data, &MESSAGES) else { return };
    assert_survives::<FromClient>(&json);
    if let Some(FromServer::Refused(error)) = assert_survives::<FromServer>(&json) {
        // It is shown to whoever runs the client.
        assert_one_line(&error.to_string(), "a server's refusal");
    }
    if let Some(hello) = assert_survives::<Hello>(&json) {
        assert!(hello.features.len() <= 64, "{} features", hello.features.len());
    }
    for again in [from_agent_again, from_coordinator_again] {
        if let Some(written) = again(json.as_bytes()) {
            assert_eq!(again(&written).as_ref(), Some(&written), "a coordinator's message");
        }
    }
}

/// Reads a message; where it is one, it is the same once it was written and read again.
fn assert_survives<T>(json: &str) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let message: T = serde_json::from_str(json).ok()?;
    let written = serde_json::to_string(&message).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).ok(), Some(written), "written twice");
    Some(message)
}
