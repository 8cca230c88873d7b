//! What bound a run, on paths where one thing does. They take little CPU, so that they are the same
//! on a busy machine.

use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft, within};
use crate::support::process::{Client, Server, podperf};
use crate::support::weather::cgroups::CpuQuota;
use crate::support::weather::loss::{Loss, SmallPackets};
use crate::support::weather::shaper::Shaper;
use crate::support::{codes, count, list, number, root, text};

const HOST_B: &str = "192.0.2.2";
/// For a run of a few seconds on a busy machine.
const RUN: Duration = Duration::from_secs(60);
/// What waits before a shaper.
const QUEUE: Duration = Duration::from_millis(50);

/// Runs `options` (the workload first) from host A to the server in host B.
fn run(hosts: &TwoHosts, server: &Server, options: &str) -> Value {
    let client = podperf(Some(&hosts.place("hostA")));
    end(Client::launch(client, &args(&format!("{HOST_B}:{}", server.port), options)), options)
}

/// `WORKLOAD OPTIONS...`, the target put between them, with a document.
fn args<'a>(target: &'a str, options: &'a str) -> Vec<&'a str> {
    let mut args: Vec<&str> = options.split_whitespace().collect();
    args.insert(1, target);
    args.push("-J");
    args
}

fn end(client: Client, options: &str) -> Value {
    let outcome = client.wait(RUN);
    assert!(outcome.json["verdict"].is_object(), "{options}: {outcome:#?}");
    outcome.json
}

/// The verdict is `bound`, and its evidence has all of `parts`.
fn assert_bound(json: &Value, bound: &str, parts: &[&str]) {
    let verdict = &json["verdict"];
    let seen = |stream: &Value| {
        ["limited", "retransmits", "bits_per_second", "rtt_us"].map(|key| stream[key].to_string())
    };
    let seen: Vec<_> = list(json, "/streams").iter().map(seen).collect();
    assert_eq!(text(verdict, "/bound_by"), bound, "{verdict:#}, {seen:?}, {:?}", codes(json));
    let evidence: Vec<&str> = list(verdict, "/evidence").iter().filter_map(Value::as_str).collect();
    let evidence = evidence.join("; ");
    for part in parts {
        assert!(evidence.contains(part), "no '{part}' in: {evidence}");
    }
}

/// Writes a setting of IPv4 in a namespace.
fn set(place: &str, setting: &str, value: &str) {
    let write = format!("echo '{value}' > /proc/sys/net/ipv4/{setting}");
    let status = within(Some(place), "sh").args(["-c", &write]).status().expect("sh runs");
    assert!(status.success(), "{setting} of {place}");
}

#[test]
fn loss_on_the_path_is_told_with_what_it_allows() {
    let test = "loss_on_the_path_is_told_with_what_it_allows";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("vl");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let _cut = SmallPackets::on(&hosts.place("hostA"), "wire");
    // Acknowledgements take their time: without a round trip even a small window keeps a CPU busy.
    let _back = Shaper::here(&hosts, "hostB", 5_000_000, Duration::from_secs(1));
    for (per_thousand, streams) in [(10, 1), (50, 1), (300, 4)] {
        let _loss = Loss::of(
            &hosts.place("hostB"),
            // What carries payload, and not on the control connection.
            &format!("tcp dport {} meta length > 1000", server.port),
            per_thousand,
        );
        // Not BBR, which sends on at the rate that it knows of.
        let json = run(&hosts, &server, &format!("stream -C reno -t 2 -i 0.25 -P {streams}"));
        assert_bound(&json, "loss", &["were retransmitted", "Mathis formula gives", "round trip"]);
    }
}

#[test]
fn a_queue_on_the_path_and_the_shaper_before_it_are_told() {
    if !root("a_queue_on_the_path_and_the_shaper_before_it_are_told") {
        return;
    }
    let hosts = TwoHosts::up("vp");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let here = Shaper::here(&hosts, "hostA", 50_000_000, QUEUE);
    let json = run(&hosts, &server, "stream -t 2 -P 3");
    assert_bound(&json, "path", &["client: wire is shaped to 50.000 Mbit/s by its qdisc tbf"]);
    drop(here);
    let _there = Shaper::here(&hosts, "hostB", 50_000_000, QUEUE);
    let json = run(&hosts, &server, "stream -R -t 2");
    assert_bound(&json, "path", &["server: wire is shaped to 50.000 Mbit/s by its qdisc tbf"]);
}

#[test]
fn a_queue_that_no_end_can_see_is_told_by_the_round_trip() {
    if !root("a_queue_that_no_end_can_see_is_told_by_the_round_trip") {
        return;
    }
    let hosts = TwoHosts::up("vq");
    let _beyond = Shaper::beyond(&hosts, 50_000_000, QUEUE);
    let server = Server::in_namespace(&hosts.place("podB"), &[]);
    let target = format!("10.244.1.2:{}", server.port);
    for options in ["-P 3", "-R"].map(|more| format!("stream -C reno -t 2 {more}")) {
        let client = Client::launch(podperf(Some(&hosts.place("podA"))), &args(&target, &options));
        let json = end(client, &options);
        assert_bound(&json, "path", &["at the least: data waits in a queue on the path"]);
    }
}

#[test]
fn datagrams_lost_on_the_way_are_not_blamed_on_the_socket() {
    let test = "datagrams_lost_on_the_way_are_not_blamed_on_the_socket";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("vu");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let fits = format!("udp dport {} meta length > 1000", server.port);
    let _loss = Loss::of(&hosts.place("hostB"), &fits, 900);
    let json = run(&hosts, &server, "udp -b 20M -l 1200 --gso off -t 2");
    assert_bound(&json, "path", &["datagrams (", "%) were lost", "on the path"]);
    let codes = codes(&json);
    assert!(codes.contains(&"datagrams_lost"), "{codes:?}");
    assert!(!codes.contains(&"receive_buffer_full"), "{:#}", json["warnings"]);
}

#[test]
fn small_buffers_hold_a_stream_and_are_told_apart() {
    if !root("small_buffers_hold_a_stream_and_are_told_apart") {
        return;
    }
    for (bound, place, setting, options) in [
        ("receive_window", "hostB", "tcp_rmem", "stream -t 2 -i 2 -C reno"),
        // Segments leave by a pace of their own and not as the program writes: only then does the
        // kernel notice that it has nothing left to send (tcp_cwnd_validate()).
        ("send_buffer", "hostA", "tcp_wmem", "stream -t 2 -i 2 -C reno -b 500M"),
    ] {
        let hosts = TwoHosts::up(if place == "hostA" { "vs" } else { "vr" });
        // A way back on which each acknowledgement takes more than a millisecond: with it a buffer
        // has a rate that takes little CPU.
        let _back = Shaper::here(&hosts, "hostB", 500_000, Duration::from_secs(1));
        set(&hosts.place(place), setting, "4096 16384 16384");
        let server = Server::in_namespace(&hosts.place("hostB"), &[]);
        let _cut = SmallPackets::on(&hosts.place("hostA"), "wire");
        let json = run(&hosts, &server, options);
        assert_bound(&json, bound, &["% of its busy time"]);
    }
}

#[test]
fn a_cpu_quota_of_either_end_is_told() {
    let test = "a_cpu_quota_of_either_end_is_told";
    if !root(test) {
        return;
    }
    let Some(quota) = CpuQuota::make(test, 5) else { return };
    let hosts = TwoHosts::up("vc");
    let [host_a, host_b] = ["hostA", "hostB"].map(|name| hosts.place(name));
    let options = "stream -P 2 -t 2";
    for limited in ["client", "server"] {
        let [client, server] =
            ["client", "server"].map(|end| if end == limited { Some(&quota) } else { None });
        let server = match server {
            Some(quota) => Server::launch(quota.podperf(&host_b), &["--bind", "0.0.0.0"]),
            None => Server::in_namespace(&host_b, &[]),
        };
        let target = format!("{HOST_B}:{}", server.port);
        let command = client.map_or_else(|| podperf(Some(&host_a)), |quota| quota.podperf(&host_a));
        let json = end(Client::launch(command, &args(&target, options)), options);
        assert_bound(&json, "cpu_quota", &[&format!("{limited}: CPU quota used up in ")]);
    }
}

#[test]
fn syns_that_were_sent_again_are_counted() {
    let test = "syns_that_were_sent_again_are_counted";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("vy");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    // Not the control connection's.
    let fits = format!("tcp dport != {} tcp flags & (syn|ack) == syn", server.port);
    let _loss = Loss::of(&hosts.place("hostB"), &fits, 300);
    let json = run(&hosts, &server, "crr -n 60 -P 20");
    let again = count(&json, "/connections/client/syn_retransmits");
    assert!(again > 0, "none of 60 connections, of which 3 in 10 SYNs were dropped");
    assert!(codes(&json).contains(&"syn_retransmits"), "{:#}", json["warnings"]);
}

#[test]
fn what_nothing_explains_is_unclear() {
    if !root("what_nothing_explains_is_unclear") {
        return;
    }
    let hosts = TwoHosts::up("vn");
    // More responses are asked for than the way back carries: not the CPU, not the rate, and a
    // schedule is no closed loop.
    let _back = Shaper::here(&hosts, "hostB", 1_000_000, Duration::from_secs(1));
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let json = run(&hosts, &server, "rr --rate 60 --response 4K -t 2");
    assert!(number(&json, "/transactions/per_second") < 55.0, "{:#}", json["transactions"]);
    assert_bound(&json, "unclear", &[]);
}
