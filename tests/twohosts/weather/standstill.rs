//! Nothing moves any more: never a success, and never without end.

use std::time::Duration;

use crate::support::namespaces::{TwoHosts, busy_connections, nft};
use crate::support::path::Path;
use crate::support::process::{Client, Outcome};
use crate::support::weather::black_hole::BlackHole;
use crate::support::{TIMEOUT, at, codes, eventually, list, root, text};

/// Marks the data and not the control connection, so that a condition can tell them apart.
const MARK: &str = "-S af11";
/// For a run of some seconds on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// All of them at once, each with its options.
fn start(path: &Path, kinds: &[&str], options: &str) -> Vec<(String, Client)> {
    let start = |kind: &&str| {
        let options = format!("{kind} {MARK} {options}");
        let client = path.start(&options);
        (options, client)
    };
    kinds.iter().map(start).collect()
}

/// It did not go well, and says why by a code.
fn assert_told(options: &str, outcome: &Outcome, status: i32, code: &str) {
    eprintln!("{options}");
    outcome.assert_failed(status, &["podperf: error: "]);
    let json = &outcome.json;
    assert_eq!(text(json, "/status"), "incomplete", "{options}");
    let codes: Vec<&str> = list(json, "/errors").iter().map(|error| text(error, "/code")).collect();
    assert!(codes.contains(&code), "{options}: {:#}", json["errors"]);
}

#[test]
fn a_path_that_swallows_full_segments_measures_nothing() {
    let test = "a_path_that_swallows_full_segments_measures_nothing";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("ss");
    let path = Path::hosts(&hosts);
    let rule = "ip dscp af11 meta length > 1300";
    let _holes = ["hostA", "hostB"].map(|host| BlackHole::of(&hosts.place(host), &[rule]));
    let timed = [
        "stream",
        "stream -P 2 --bidir",
        "stream -R",
        "rr --request 4K",
        "rr --response 4K -P 2 --workers 1",
        "crr --request 4K",
        "crr --request 4K -P 2 --workers 1",
        "udp -l 1400 -b 5M",
        "udp -R -l 1400 -b 5M",
        "udp --rr --request 1400 --timeout 0.2",
    ];
    for (options, client) in start(&path, &timed, "-t 1.5 -O 0.1") {
        assert_told(&options, &client.wait(LIMIT), 3, "nothing_received");
    }
    let counted = [
        "stream -n 1M",
        "stream -R -n 1M",
        "rr --request 4K -n 10",
        "crr --request 4K -n 10",
        "crr --request 4K -n 10 -P 2 --workers 1",
        "udp --rr --request 1400 --timeout 0.2 --transactions 10",
    ];
    for (options, client) in start(&path, &counted, "--stall-timeout 1.5") {
        let outcome = client.wait(LIMIT);
        assert_told(&options, &outcome, 3, "stalled");
        outcome.assert_says(&["nothing moved for 1.5 s", "--stall-timeout"]);
    }
    path.server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_path_that_swallows_fragments_measures_nothing() {
    let test = "a_path_that_swallows_fragments_measures_nothing";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("sf");
    let path = Path::hosts(&hosts);
    let _hole = BlackHole::of_fragments(&hosts.place("hostB"));
    let kinds = ["udp --fragment -l 4000 -b 5M", "udp --rr --fragment --request 4000"];
    for (options, client) in start(&path, &kinds, "-t 1.5 -O 0.1") {
        assert_told(&options, &client.wait(LIMIT), 3, "nothing_received");
    }
    let whole = path.start("udp --fragment -l 1400 -b 5M -t 0.5 -O 0.1").wait(LIMIT);
    assert_eq!(whole.status, 0, "{whole:#?}");
}

#[test]
fn a_path_that_breaks_off_in_mid_run_is_told_whatever_runs() {
    let test = "a_path_that_breaks_off_in_mid_run_is_told_whatever_runs";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("sb");
    let path = Path::hosts(&hosts);
    let timed = [
        "stream",
        "stream -R",
        "stream --bidir",
        "rr",
        "rr --rate 100",
        "crr",
        "crr -P 2 --workers 1",
        "udp -b 5M",
        "udp -R -b 5M",
        "udp --rr --timeout 0.2",
    ];
    let counted = ["stream -n 1T", "rr -n 1000000000", "crr -n 1000000000"];
    let mut runs = start(&path, &timed, "-t 8 -O 0.1 -i 0.5");
    let mut by_count = start(&path, &counted, "--stall-timeout 2 -i 0.5");
    for _ in 1..runs.len() + by_count.len() {
        path.server.wait_mid_run(Duration::ZERO);
    }
    path.server.wait_mid_run(Duration::from_secs(1));
    let _holes =
        ["hostA", "hostB"].map(|host| BlackHole::of(&hosts.place(host), &["ip dscp af11"]));
    for (options, client) in by_count.drain(..) {
        assert_told(&options, &client.wait(LIMIT), 4, "stalled");
    }
    for (options, client) in runs.drain(..) {
        let outcome = client.wait(LIMIT);
        assert_told(&options, &outcome, 4, "nothing_received");
        let error = &list(&outcome.json, "/errors")[0];
        assert!(at(error, "/at_seconds").as_f64() > Some(0.0), "{options}: {error:#}");
        let scheduled = options.contains("--rate") || options.contains("-b 5M");
        let warned = codes(&outcome.json).contains(&"stream_ended_early");
        assert!(warned || scheduled, "{options}: {:#}", outcome.json["warnings"]);
    }
    path.server.assert_all_freed(TIMEOUT);
}

#[test]
fn one_stream_of_three_that_stands_still_is_named() {
    let test = "one_stream_of_three_that_stands_still_is_named";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("so");
    let path = Path::hosts(&hosts);
    let client = path.start("stream -P 3 -t 5 -O 0.1 -i 0.5");
    path.server.wait_mid_run(Duration::from_millis(500));
    let mut found = Vec::new();
    let all = eventually(TIMEOUT, || {
        found = busy_connections(path.place.as_deref(), path.server.port);
        found.len() == 3
    });
    assert!(all, "{found:?}");
    let port = &found[0].1;
    let rule = format!("tcp sport {port}");
    let _hole = BlackHole::of(&hosts.place("hostB"), &[&rule]);
    let outcome = client.wait(LIMIT);
    assert_told("-P 3", &outcome, 4, "nothing_received");
    let id = list(&outcome.json, "/errors")[0]["stream"].as_u64().expect("a stream is named");
    let local = text(&outcome.json, &format!("/streams/{id}/socket/client/local"));
    assert!(local.ends_with(&format!(":{port}")), "{local} is not of port {port}");
    outcome.assert_says(&["1 stream of 3"]);
}
