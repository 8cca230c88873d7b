//! Two hosts and their pods in network namespaces: what a document says agrees with what the kernel
//! says to others, and pods reach each other over VXLAN.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::process::{Client, Outcome, Server};
use crate::support::{at, count, histogram, list, number, root, sum, text};

const HOST_B: &str = "192.0.2.2";
const POD_B: &str = "10.244.1.2";
/// For a run of a few seconds on a busy machine.
const RUN: Duration = Duration::from_secs(60);

/// Runs a client in `place` against `server` at `address`, to its end without an error.
fn run(
    hosts: &TwoHosts,
    place: &str,
    (address, server): (&str, &Server),
    args: &[&str],
) -> Outcome {
    let target = format!("{address}:{}", server.port);
    let all = [&args[..1], &[&target, "-J"], &args[1..]].concat();
    let outcome = Client::in_namespace(&hosts.place(place), &all).wait(RUN);
    assert_eq!(outcome.status, 0, "{args:?}: {outcome:#?}");
    assert_eq!(text(&outcome.json, "/status"), "complete");
    outcome
}

#[test]
fn received_bytes_agree_with_tcp_info_and_streams_with_the_total() {
    if !root("received_bytes_agree_with_tcp_info_and_streams_with_the_total") {
        return;
    }
    let hosts = TwoHosts::up("bytes");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    // Without a warm-up the window holds all that TCP counts, but for what is still queued when it
    // closes: small buffers keep that small.
    let args = ["stream", "-P", "3", "-t", "3", "-O", "0", "-w", "128K"];
    let json = run(&hosts, "hostA", (HOST_B, &server), &args).json;
    let streams = list(&json, "/streams");
    assert_eq!(streams.len(), 3);
    let received = count(&json, "/throughput/bytes_received");
    assert_eq!(sum(&json, "/bytes_received"), received);
    let rates: f64 = streams.iter().map(|stream| number(stream, "/bits_per_second")).sum();
    assert!((rates / number(&json, "/throughput/bits_per_second") - 1.0).abs() < 1e-9);
    for stream in streams {
        let (got, kernel) =
            (count(stream, "/bytes_received"), count(stream, "/tcp/server/bytes_received"));
        // The application's count is read first and cannot be ahead of its kernel.
        assert!(got <= kernel, "{got} received, the kernel had {kernel}");
        // The preamble of a data connection is counted by the kernel alone.
        assert!(kernel <= count(stream, "/lifetime/bytes_received") + 32);
    }
    for (end, what) in [("server", "bytes_received"), ("client", "bytes_acked")] {
        let kernel = sum(&json, &format!("/tcp/{end}/{what}"));
        let ratio = received as f64 / kernel as f64;
        assert!((ratio - 1.0).abs() < 0.01, "{received} received, {end} {what} {kernel}");
    }
}

/// Readings of /proc/stat every 50 ms: when, and system and softirq ticks of the whole machine.
#[derive(Debug, Default)]
struct Readings(Vec<(Instant, f64)>);

impl Readings {
    fn take(&mut self) {
        let stat = std::fs::read_to_string("/proc/stat").expect("/proc/stat is readable");
        let line = stat.lines().next().expect("the line of all CPUs");
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).map(|field| field.parse().expect("a count")).collect();
        // user nice system idle iowait irq softirq (proc_stat(5)).
        self.0.push((Instant::now(), ticks[2] + ticks[6]));
    }

    /// Ticks counted up to `at`, on a straight line between the readings around it.
    fn at(&self, at: Instant) -> f64 {
        let after = self.0.partition_point(|(time, _)| *time <= at).clamp(1, self.0.len() - 1);
        let ((from, low), (to, high)) = (self.0[after - 1], self.0[after]);
        let share = at.saturating_duration_since(from).as_secs_f64() / (to - from).as_secs_f64();
        low + (high - low) * share
    }
}

#[test]
fn cpu_agrees_with_an_independent_reading_over_the_same_window() {
    if !root("cpu_agrees_with_an_independent_reading_over_the_same_window") {
        return;
    }
    let hosts = TwoHosts::up("cpu");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let (ended, mut readings) = (AtomicBool::new(false), Readings::default());
    let json = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                readings.take();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let args = ["stream", "-P", "3", "-t", "5", "-O", "1"];
        let json = run(&hosts, "hostA", (HOST_B, &server), &args).json;
        ended.store(true, Ordering::Relaxed);
        reader.join().expect("it reads");
        json
    });
    // The server says when it starts its end; the warm-up follows. The load is the same before and
    // after both edges, so that a window shifted by some tens of milliseconds counts the same.
    let started = server.wait_for_log("run of ").0;
    let opened = started + Duration::from_secs_f64(number(&json, "/window/warm_up_seconds"));
    let seconds = number(&json, "/window/seconds");
    let closed = opened + Duration::from_secs_f64(seconds);
    // USER_HZ is 100 on every architecture that Linux still supports.
    let independent = (readings.at(closed) - readings.at(opened)) / 100.0 / seconds;
    for end in ["client", "server"] {
        let cpu = at(&json, &format!("/cpu/{end}"));
        let said = number(cpu, "/system_cores") + number(cpu, "/softirq_cores");
        // Either reading is a tick off at each edge and CPU at the most.
        let allowed = independent * 0.05 + 2.0 * number(cpu, "/resolution_cores");
        assert!(
            (said - independent).abs() <= allowed,
            "{end}: {said} cores in system and softirq, {independent} by an own reading"
        );
    }
}

/// What the document says of the route's device on both ends.
fn assert_device(json: &Value, name: &str, mtu: u64) {
    for end in ["client", "server"] {
        let device = at(json, &format!("/host/{end}/device"));
        assert_eq!(text(device, "/name"), name, "{end}");
        assert_eq!(text(device, "/driver"), "veth", "{end}");
        assert_eq!(count(device, "/mtu_bytes"), mtu, "{end}");
        assert_eq!(at(device, "/offloads/tso"), true, "{end}");
    }
}

#[test]
fn hosts_and_pods_reach_each_other_and_name_their_devices() {
    if !root("hosts_and_pods_reach_each_other_and_name_their_devices") {
        return;
    }
    let hosts = TwoHosts::up("pods");
    let host = Server::in_namespace(&hosts.place("hostB"), &[]);
    let json = run(&hosts, "hostA", (HOST_B, &host), &["rr", "-t", "0.5", "-O", "0.1"]).json;
    assert_device(&json, "wire", 1500);
    assert!(text(&json, "/streams/0/socket/server/peer").starts_with("192.0.2.1:"));

    let pod = Server::in_namespace(&hosts.place("podB"), &[]);
    for direction in [&[][..], &["-R"], &["--bidir"]] {
        let args = [&["stream", "-P", "3", "-t", "0.5", "-O", "0.2"], direction].concat();
        let json = run(&hosts, "podA", (POD_B, &pod), &args).json;
        assert_device(&json, "eth0", 1450);
        for stream in list(&json, "/streams") {
            assert_eq!(
                count(stream, "/lifetime/bytes_sent"),
                count(stream, "/lifetime/bytes_received")
            );
            // 1450 bytes less 20 of IPv4, 20 of TCP and 12 of its timestamps.
            assert!(count(stream, "/tcp/client/mss_bytes") <= 1410, "{stream:#}");
        }
    }
    let json =
        run(&hosts, "podA", (POD_B, &pod), &["rr", "-P", "2", "-t", "0.5", "-O", "0.1"]).json;
    assert_eq!(histogram(&json).len(), count(&json, "/transactions/count"));
    assert!(count(&json, "/streams/0/rtt_us") > 0);
}

#[test]
fn zero_copy_over_veth_is_told_to_be_copied_and_auto_does_not_choose_it() {
    if !root("zero_copy_over_veth_is_told_to_be_copied_and_auto_does_not_choose_it") {
        return;
    }
    let hosts = TwoHosts::up("zc");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    for (direction, end) in [(&[][..], "client"), (&["-R"], "server")] {
        let sent = |args: &[&str]| {
            let args = [&["stream", "-P", "2", "-t", "0.5", "-O", "1"], args, direction].concat();
            let json = run(&hosts, "hostA", (HOST_B, &server), &args).json;
            for stream in list(&json, "/streams") {
                assert_eq!(
                    count(stream, "/lifetime/bytes_sent"),
                    count(stream, "/lifetime/bytes_received")
                );
            }
            let warnings = list(&json, "/warnings").iter();
            let codes = warnings.map(|warning| text(warning, "/code").to_owned()).collect();
            (at(&json, &format!("/transport/{end}/send")).clone(), codes)
        };
        let (facts, codes): (_, Vec<String>) = sent(&["--send", "zerocopy"]);
        assert_eq!(number(&facts, "/zerocopy/copied_share"), 1.0, "{facts:#}");
        assert!(codes.iter().any(|code| code == "zerocopy_copied"), "{codes:?}");

        let (facts, codes) = sent(&[]);
        assert_eq!(text(&facts, "/asked"), "auto");
        assert_ne!(text(&facts, "/used"), "zerocopy", "{facts:#}");
        assert!(text(&facts, "/reason").contains("the kernel copied"), "{facts:#}");
        assert!(!codes.iter().any(|code| code == "zerocopy_copied"), "{codes:?}");
    }
}

#[test]
fn ports_that_run_out_are_named_and_whoever_closes_first_holds_them() {
    if !root("ports_that_run_out_are_named_and_whoever_closes_first_holds_them") {
        return;
    }
    let hosts = TwoHosts::up("ports");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let crr = |options: &[&str]| {
        let target = format!("{HOST_B}:{}", server.port);
        let args = [&["crr", &target, "-J", "-n", "300"], options].concat();
        Client::in_namespace(&hosts.place("hostA"), &args).wait(RUN)
    };
    // Each end sees what it holds itself, in a namespace of its own.
    let held = |close: &str| {
        let json = crr(&["--close", close]).json;
        assert_eq!(text(&json, "/status"), "complete", "{json:#}");
        ["client", "server"].map(|end| {
            let end = at(&json, &format!("/connections/{end}"));
            count(end, "/time_wait_after").saturating_sub(count(end, "/time_wait_before"))
        })
    };
    let ([client, _], [_, server_end]) = (held("client"), held("server"));
    assert!(client >= 250 && server_end >= 250, "{client} at the client, {server_end} there");
    assert!(held("rst").into_iter().all(|count| count < 50));

    // Few ports, fewer than there are transactions, and none of those that TIME-WAIT holds by now.
    let range = std::process::Command::new("ip")
        .args(["netns", "exec", &hosts.place("hostA"), "sh", "-c"])
        .arg("echo 20000 20039 > /proc/sys/net/ipv4/ip_local_port_range")
        .status();
    assert!(range.is_ok_and(|status| status.success()));
    for layout in [&["-P", "1"][..], &["-P", "4", "--workers", "1", "--server-workers", "1"]] {
        for close in ["server", "rst"] {
            let outcome = crr(&[&["--close", close], layout].concat());
            assert_eq!(outcome.status, 0, "{close}: {outcome:#?}");
            assert_eq!(count(&outcome.json, "/connections/client/no_port"), 0, "{close}");
        }
        let outcome = crr(&[&["--close", "client"], layout].concat());
        let remedies = ["ip_local_port_range", "tcp_tw_reuse", "--close"];
        outcome.assert_failed(4, &[&["connect to"], &remedies[..]].concat());
        let client = at(&outcome.json, "/connections/client");
        assert!(count(client, "/no_port") > 0 && count(client, "/local_ports") == 40, "{client:#}");
        let warned = list(&outcome.json, "/warnings").iter();
        let codes: Vec<_> = warned.map(|warning| text(warning, "/code")).collect();
        assert!(codes.contains(&"ports_exhausted"), "{codes:?}");
    }
}

#[test]
fn a_path_that_swallows_everything_meets_the_deadlines() {
    if !root("a_path_that_swallows_everything_meets_the_deadlines") {
        return;
    }
    let hosts = TwoHosts::up("cut");
    let server = Server::in_namespace(&hosts.place("hostB"), &["--peer-timeout", "2"]);
    let target = format!("{HOST_B}:{}", server.port);
    let link = |state: &str| {
        let done = std::process::Command::new("ip")
            .args(["-n", &hosts.place("hostB"), "link", "set", "wire", state])
            .status();
        assert!(done.is_ok_and(|status| status.success()), "link set wire {state}");
    };
    let long = ["stream", &target, "-P", "2", "-t", "30", "-O", "0.1", "-i", "0.1", "-J"];
    let args = [&long[..], &["--peer-timeout", "2"]].concat();
    let client = Client::in_namespace(&hosts.place("hostA"), &args);
    server.wait_mid_run(Duration::from_millis(1500));
    link("down");
    let outcome = client.wait(Duration::from_secs(15));
    outcome.assert_failed(4, &[&target]);
    assert!(!list(&outcome.json, "/intervals").is_empty());
    server.assert_all_freed(Duration::from_secs(15));

    let args = ["rr", &target, "--connect-timeout", "1", "-J"];
    let outcome = Client::in_namespace(&hosts.place("hostA"), &args).wait(Duration::from_secs(15));
    outcome.assert_failed(3, &[&target]);
    link("up");
    let again = ["rr", "-n", "10"];
    run(&hosts, "hostA", (HOST_B, &server), &again);
}

#[test]
fn hand_made_loss_of_datagrams_is_reported_as_it_was_made() {
    let test = "hand_made_loss_of_datagrams_is_reported_as_it_was_made";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("loss");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    for (direction, place) in [(&[][..], "hostB"), (&["-R"][..], "hostA")] {
        hosts.nft(place, "add table inet lossy");
        hosts.nft(place, "add chain inet lossy in { type filter hook prerouting priority 0; }");
        let port = if direction.is_empty() { "dport" } else { "sport" };
        let rule = |length: &str| {
            let rule = format!("udp {port} {} udp length {length}", server.port);
            let drop = "numgen random mod 100 < 2 counter drop";
            hosts.nft(place, &format!("add rule inet lossy in {rule} {drop}"));
        };
        // Streams; then what sets flows up and ends them.
        rule("> 1000");
        rule("<= 1000");
        let args = ["udp", "-t", "5", "-O", "0.5", "-b", "20M", "-P", "2", "-w", "1M"];
        let json = run(&hosts, "hostA", (HOST_B, &server), &[&args, direction].concat()).json;
        let all = |what: &str| count(&json, &format!("/udp/datagrams/{what}"));
        let (sent, lost) = (all("sent"), all("lost"));
        assert_eq!((all("socket_drops"), all("reordered"), all("duplicates")), (0, 0, 0));
        assert!(sent > 10_000, "{sent} datagrams");
        // Five standard deviations of the binomial distribution.
        let (expected, deviation) = (sent as f64 * 0.02, (sent as f64 * 0.02 * 0.98).sqrt());
        assert!(
            (lost as f64 - expected).abs() < 5.0 * deviation,
            "{lost} of {sent} lost, expected {expected:.0} ± {deviation:.0}"
        );
        // Over the whole life, exactly what the kernel says it dropped.
        let size = count(&json, "/plan/workload/datagram_bytes");
        let missing = sum(&json, "/lifetime/bytes_sent") - sum(&json, "/lifetime/bytes_received");
        let table = hosts.nft(place, "list table inet lossy");
        let counted = table.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        let dropped: u64 = counted.and_then(|count| count.parse().ok()).expect("a counter");
        assert_eq!(missing, dropped * size, "{table}");
        let warned = list(&json, "/warnings")
            .iter()
            .any(|warning| text(warning, "/code") == "datagrams_lost");
        assert!(warned, "{:#}", json["warnings"]);
        hosts.nft(place, "delete table inet lossy");
    }
}

#[test]
fn lost_requests_are_counted_and_the_next_go_on() {
    let test = "lost_requests_are_counted_and_the_next_go_on";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("lostrr");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    hosts.nft("hostB", "add table inet lossy");
    hosts.nft("hostB", "add chain inet lossy in { type filter hook prerouting priority 0; }");
    let rule = format!("udp dport {} udp length 108 numgen random mod 100 < 5", server.port);
    hosts.nft("hostB", &format!("add rule inet lossy in {rule} counter drop"));
    let args = [
        "udp",
        "--rr",
        "--request",
        "100",
        "--timeout",
        "20ms",
        "--transactions",
        "2000",
        "-P",
        "4",
    ];
    let json = run(&hosts, "hostA", (HOST_B, &server), &args).json;
    let (done, lost) =
        (count(&json, "/transactions/count"), count(&json, "/udp/lost_transactions"));
    assert_eq!(done + lost, 2000);
    // Five standard deviations around 100. A busy machine may take its 20 ms for an answer, too.
    assert!((51..400).contains(&lost), "{lost} of 2000 requests lost");
    let max = count(&json, "/latency/max_ns");
    assert!(max < 10_000_000_000, "{max} ns");
}
