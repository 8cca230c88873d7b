//! Errors that pass: a link, a route or an address that is gone for a moment, a firewall, ICMP, a
//! reset. Datagrams and connections that do not last go on and tell of them.

use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::path::Path;
use crate::support::process::{Client, Outcome};
use crate::support::weather::outage::{Gone, Outage};
use crate::support::weather::reject::Reject;
use crate::support::{at, codes, count, list, number, root, text};

/// Within so long a run has to end, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);
/// Runs that are long beside what befalls them, and take no short silence for an end.
const LONG: &str = "-t 14 -O 0.1 -i 0.5 --peer-timeout 20 --connect-timeout 20";

/// Runs of each kind under way, each of which has moved something.
fn start<'a>(path: &Path, kinds: &[&'a str], shared: &str) -> Vec<(&'a str, Client)> {
    let start = |kind: &&'a str| (*kind, path.start(&format!("{kind} {shared}")));
    let runs: Vec<(&str, Client)> = kinds.iter().map(start).collect();
    runs.iter().for_each(|(_, client)| client.wait_for_interval());
    runs
}

/// The run went on to its end, and tells of errors of `end` with one of these numbers.
fn assert_outlived(kind: &str, outcome: &Outcome, end: &str, errnos: &[i32]) {
    let json = &outcome.json;
    assert_eq!(outcome.status, 0, "{kind}: {outcome:#?}");
    assert_eq!(text(json, "/status"), "complete", "{kind}");
    let all = list(json, "/transient_errors");
    let own: Vec<&Value> = all.iter().filter(|error| text(error, "/end") == end).collect();
    assert!(!own.is_empty(), "{kind}: nothing is told: {all:#?}");
    for error in own {
        assert!(errnos.iter().any(|errno| at(error, "/errno") == *errno), "{kind}: {error:#}");
        assert!(count(error, "/count") > 0 && error["stream"].is_u64(), "{kind}: {error:#}");
        let (first, last) = (number(error, "/first_seconds"), number(error, "/last_seconds"));
        assert!(first <= last, "{kind}: {error:#}");
    }
    assert!(codes(json).contains(&"transient_errors"), "{kind}: {:?}", codes(json));
}

#[test]
fn datagrams_and_connections_outlive_a_path_that_is_gone_for_a_moment() {
    let test = "datagrams_and_connections_outlive_a_path_that_is_gone_for_a_moment";
    if !root(test) {
        return;
    }
    let hosts = TwoHosts::up("wt");
    let path = Path::hosts(&hosts);
    let kinds = [
        "udp -b 5M",
        "udp -b 200M -P 2 --gso on --workers 1",
        "udp --rr",
        "udp --rr -P 3 --workers 1 --server-workers 1",
        "crr --rate 1000",
        "crr -P 3 --rate 1000 --workers 1 --server-workers 1",
    ];
    let runs = start(&path, &kinds, LONG);
    let all = [Gone::Link, Gone::Route, Gone::Address];
    Outage::of(&hosts.place("hostA"), &all, Duration::from_millis(700)).wait();
    for (kind, client) in runs {
        let gone = [libc::ENETUNREACH, libc::EINVAL, libc::ENETDOWN, libc::EHOSTUNREACH];
        let outcome = client.wait(LIMIT);
        // Connections that stand wait for the path to come back: nothing has to fail on them.
        if kind.starts_with("udp") || !list(&outcome.json, "/transient_errors").is_empty() {
            assert_outlived(kind, &outcome, "client", &gone);
        } else {
            assert_eq!(outcome.status, 0, "{kind}: {outcome:#?}");
        }
    }
}

#[test]
fn refusals_by_firewalls_are_outlived_on_either_end() {
    let test = "refusals_by_firewalls_are_outlived_on_either_end";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("wr");
    let path = Path::hosts(&hosts);
    let [here, there] = ["hostA", "hostB"].map(|host| hosts.place(host));
    // At a rate, so that what sets the firewalls up has a CPU too.
    let kinds = [
        "udp -b 5M",
        "udp --rr --timeout 20ms",
        "udp -R -b 5M",
        "crr --rate 1000",
        "crr -P 3 --rate 1000",
    ];
    let runs = start(&path, &kinds, "-t 14 -O 0.1 -i 0.5 --connect-timeout 20");
    {
        // So many that some are refused of even a hundred sends.
        let own = Reject::leaving(&here, "meta l4proto udp", 8);
        let other = Reject::leaving(&there, "meta l4proto udp", 8);
        let port = path.server.port;
        let reset = Reject::resetting(&there, &format!("tcp dport != {port}"), 50);
        std::thread::sleep(Duration::from_secs(2));
        drop((own, other, reset));
    }
    for (kind, client) in runs {
        let end = if kind.contains("-R") { "server" } else { "client" };
        let errnos: &[i32] = if kind.starts_with("crr") {
            &[libc::ECONNRESET, libc::ECONNREFUSED, libc::EPIPE, libc::ECONNABORTED]
        } else {
            &[libc::EPERM]
        };
        assert_outlived(kind, &client.wait(LIMIT), end, errnos);
    }
    // Nobody listens, says ICMP for a while.
    let runs = start(&path, &["udp --rr --timeout 20ms"], "-t 4 -O 0.1 -i 0.5");
    let refused = Reject::coming(&there, "meta l4proto udp", 1);
    std::thread::sleep(Duration::from_secs(1));
    drop(refused);
    for (kind, client) in runs {
        assert_outlived(kind, &client.wait(LIMIT), "client", &[libc::ECONNREFUSED]);
    }
}

#[test]
fn the_first_error_ends_a_strict_run() {
    let test = "the_first_error_ends_a_strict_run";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("ws");
    let path = Path::hosts(&hosts);
    let [here, there] = ["hostA", "hostB"].map(|host| hosts.place(host));
    let kinds = ["udp -b 5M", "udp --rr", "udp -R -b 5M", "crr", "crr -P 3"];
    let runs = start(&path, &kinds, "--strict -t 30 -O 0.1 -i 0.5 --connect-timeout 20");
    let own = Reject::leaving(&here, "meta l4proto udp", 1);
    let other = Reject::leaving(&there, "meta l4proto udp", 1);
    let reset = Reject::resetting(&there, &format!("tcp dport != {}", path.server.port), 1);
    for (kind, client) in runs {
        let outcome = client.wait(LIMIT);
        outcome.assert_failed(4, &["podperf: error: "]);
        let json = &outcome.json;
        assert_eq!(text(json, "/status"), "incomplete", "{kind}");
        let errno = |error: &Value| error["errno"].as_i64();
        let first = list(json, "/errors").iter().find_map(errno);
        assert!(first.is_some(), "{kind}: {:#}", at(json, "/errors"));
        assert!(list(json, "/transient_errors").is_empty(), "{kind}");
    }
    drop((own, other, reset));
}

#[test]
fn an_error_before_the_first_payload_fails_at_once() {
    let test = "an_error_before_the_first_payload_fails_at_once";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("wb");
    let path = Path::hosts(&hosts);
    let there = hosts.place("hostB");
    let _refused = Reject::coming(&there, &format!("tcp dport != {}", path.server.port), 1);
    for kind in ["crr -t 60", "crr -P 3 -n 100"] {
        let outcome = path.start(kind).wait(Duration::from_secs(25));
        assert!([3, 4].contains(&outcome.status), "{kind}: {outcome:#?}");
        outcome.assert_says(&["refused"]);
    }
}
