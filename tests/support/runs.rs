//! Runs that go well, and what holds for every one of them.

use serde_json::Value;

use super::process::{Outcome, Server, podperf_json};
use super::{at, count, histogram, list, number, sum, text};

/// A short window after a shorter warm-up.
pub(crate) const TIMED: &[&str] = &["-t", "0.5", "-O", "0.1", "-i", "0.2"];
/// Runs one row of a table over loopback, to its end without an error.
pub(crate) fn run(server: &Server, workload: &str, options: &[&[&str]]) -> Outcome {
    let target = server.target();
    let args = [&[workload, target.as_str(), "-J"], options.concat().as_slice()].concat();
    let outcome = podperf_json(&args);
    complete(&args, &outcome);
    outcome
}

/// It ended without an error.
pub(crate) fn ended_well(args: &[&str], outcome: &Outcome) {
    let json = &outcome.json;
    assert_eq!(outcome.status, 0, "{args:?}: {outcome:#?}");
    assert_eq!(text(json, "/schema"), "podperf.run/v1", "{args:?}");
    assert_eq!(text(json, "/status"), "complete", "{args:?}");
    assert!(list(json, "/errors").is_empty(), "{args:?}: {json:#}");
}

/// What holds for every run over lasting connections that went well.
pub(crate) fn complete(args: &[&str], outcome: &Outcome) {
    ended_well(args, outcome);
    let json = &outcome.json;
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

/// A connection a transaction: what was sent has arrived, and both ends counted the same
/// connections.
pub(crate) fn connections_conserved(json: &Value, bytes: u64) {
    let life = |what: &str| count(json, &format!("/connections/lifetime/{what}"));
    let opened = count(json, "/connections/client/connections");
    assert_eq!(opened, count(json, "/connections/server/connections"), "{json:#}");
    assert_eq!(life("bytes_sent"), life("bytes_received"), "{json:#}");
    assert_eq!(life("bytes_sent"), opened * bytes, "{json:#}");
    assert_eq!(at(json, "/connections/lifetime/drained"), true);
}

/// Every datagram of the window was received or lost, on each flow and in total, and every byte of
/// a flow's life was received in a whole datagram.
pub(crate) fn datagrams_conserved(json: &Value) {
    let size = count(json, "/plan/workload/datagram_bytes");
    let (mut sent, mut lost) = (0, 0);
    for stream in list(json, "/streams") {
        let own = |what: &str| count(stream, &format!("/datagrams/{what}"));
        assert_eq!(own("sent"), own("received") + own("lost"), "{stream:#}");
        assert!(own("received") > 0, "nothing came on {stream:#}");
        assert_eq!(own("duplicates"), 0, "{stream:#}");
        let life = |what: &str| count(stream, &format!("/lifetime/{what}"));
        assert_eq!((life("bytes_sent") % size, life("bytes_received") % size), (0, 0));
        let missing = (life("bytes_sent") - life("bytes_received")) / size;
        assert!(own("lost") <= missing, "{missing} missing of {stream:#}");
        assert_eq!(at(stream, "/lifetime/drained"), true, "{stream:#}");
        (sent, lost) = (sent + own("sent"), lost + own("lost"));
    }
    let total = |what: &str| count(json, &format!("/udp/datagrams/{what}"));
    assert_eq!((total("sent"), total("lost")), (sent, lost));
    assert_eq!(total("received"), sent - lost);
    let share = number(json, "/udp/datagrams/loss_share");
    assert!((share - lost as f64 / sent as f64).abs() < 1e-9);
}

/// Bytes of one method, sent or received (`part`), at the ends where it was in use.
pub(crate) fn bytes_by(json: &Value, part: &str, method: &str) -> u64 {
    let ends = ["client", "server"].into_iter();
    let parts = ends.filter_map(|end| {
        json.pointer(&format!("/transport/{end}/{part}/bytes_by_method"))?.as_array()
    });
    parts.flatten().filter(|part| part["method"] == method).map(|part| count(part, "/bytes")).sum()
}

/// How the workers of an end wait for their flows.
pub(crate) fn multiplexing<'a>(json: &'a Value, end: &str) -> &'a str {
    list(json, &format!("/placement/{end}/multiplexing")).last().and_then(Value::as_str).unwrap()
}

/// A request/response run over loopback.
pub(crate) fn exchange(server: &Server, options: &[&[&str]]) -> Outcome {
    let outcome = run(server, "rr", options);
    exchanged(&outcome.json);
    outcome
}

/// What the histogram of transactions holds is what the document counts.
pub(crate) fn exchanged(json: &Value) {
    let options = at(json, "/command");
    let transactions = count(json, "/transactions/count");
    assert!(transactions > 0, "{options}");
    assert_eq!(count(json, "/latency/count"), transactions, "{options}");
    let histogram = histogram(json);
    assert_eq!(histogram.len(), transactions, "{options}");
    let (min, max) = (count(json, "/latency/min_ns"), count(json, "/latency/max_ns"));
    let mean = number(json, "/latency/mean_ns");
    assert!(min as f64 <= mean && mean <= max as f64, "{options}: {min} {mean} {max}");
    // Three significant digits.
    assert!((histogram.mean() - mean).abs() <= mean / 500.0, "{options}: {mean}");
}
