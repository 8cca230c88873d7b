//! Runs over loopback that go well, and what holds for every one of them.

use serde_json::Value;

use super::process::{Outcome, Server, podperf_json};
use super::{at, count, histogram, list, number, sum, text};

/// A short window after a shorter warm-up.
pub(crate) const TIMED: &[&str] = &["-t", "0.5", "-O", "0.1", "-i", "0.2"];
/// Runs one row of a table, to its end without an error.
pub(crate) fn run(server: &Server, workload: &str, options: &[&[&str]]) -> Outcome {
    let target = server.target();
    let args = [&[workload, target.as_str(), "-J"], options.concat().as_slice()].concat();
    let outcome = podperf_json(&args);
    complete(&args, &outcome);
    outcome
}

/// What holds for every run that went well.
pub(crate) fn complete(args: &[&str], outcome: &Outcome) {
    let json = &outcome.json;
    assert_eq!(outcome.status, 0, "{args:?}: {outcome:#?}");
    assert_eq!(text(json, "/schema"), "podperf.run/v1", "{args:?}");
    assert_eq!(text(json, "/status"), "complete", "{args:?}");
    assert!(list(json, "/errors").is_empty(), "{args:?}: {json:#}");
    for stream in list(json, "/streams") {
        let life = |what: &str| count(stream, &format!("/lifetime/{what}"));
        assert_eq!(life("bytes_sent"), life("bytes_received"), "{args:?}: {stream:#}");
        assert!(life("bytes_sent") > 0, "{args:?}: nothing moved on {stream:#}");
        assert_eq!(at(stream, "/lifetime/drained"), true, "{args:?}: {stream:#}");
    }
    let total = count(json, "/throughput/bytes_received");
    assert_eq!(sum(json, "/bytes_received"), total, "{args:?}: streams do not add up to the total");
    assert_eq!(sum(json, "/bytes_sent"), count(json, "/throughput/bytes_sent"), "{args:?}");
}

/// How the workers of an end wait for their flows.
pub(crate) fn multiplexing<'a>(json: &'a Value, end: &str) -> &'a str {
    list(json, &format!("/placement/{end}/multiplexing")).last().and_then(Value::as_str).unwrap()
}

/// A request/response run: what the histogram holds is what the document counts.
pub(crate) fn exchange(server: &Server, options: &[&[&str]]) -> Outcome {
    let outcome = run(server, "rr", options);
    let json = &outcome.json;
    let transactions = count(json, "/transactions/count");
    assert!(transactions > 0, "{options:?}");
    assert_eq!(count(json, "/latency/count"), transactions, "{options:?}");
    let histogram = histogram(json);
    assert_eq!(histogram.len(), transactions, "{options:?}");
    let (min, max) = (count(json, "/latency/min"), count(json, "/latency/max"));
    let mean = number(json, "/latency/mean");
    assert!(min as f64 <= mean && mean <= max as f64, "{options:?}: {min} {mean} {max}");
    // Three significant digits.
    assert!((histogram.mean() - mean).abs() <= mean / 500.0, "{options:?}: {mean}");
    outcome
}
