//! Datagrams over loopback, with real client and server processes: every datagram is received or
//! counted as lost, rates are kept, and the end of a peer ends a run.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Client, Outcome, Server, podperf_json};
use crate::support::runs::{datagrams_conserved, ended_well};
use crate::support::wire::Proxy;
use crate::support::{TIMEOUT, at, count, histogram, list, number, text};

/// A short window after a shorter warm-up.
const TIMED: &[&str] = &["-t", "0.5", "-O", "0.1", "-i", "0.2"];

/// Runs to its end without an error.
fn run(server: &Server, options: &[&[&str]]) -> Outcome {
    let target = server.target();
    let args = [&["udp", target.as_str(), "-J"], options.concat().as_slice()].concat();
    let outcome = podperf_json(&args);
    ended_well(&args, &outcome);
    outcome
}

/// What was sent was received, in order, or lost.
fn conserved(json: &Value) {
    datagrams_conserved(json);
    for stream in list(json, "/streams") {
        assert_eq!(count(stream, "/datagrams/reordered"), 0, "{stream:#}");
    }
}

#[test]
fn streams_of_every_direction_and_layout_account_for_each_datagram() {
    let server = Server::start(&[]);
    let layouts: [(&[&str], u64); 4] = [
        (&["-P", "1"], 1),
        (&["-P", "3"], 3),
        (&["-P", "3", "--workers", "1", "--server-workers", "1"], 3),
        (&["-P", "20", "-l", "64"], 20),
    ];
    for (direction, ways) in [(&[][..], 1), (&["-R"][..], 1), (&["--bidir"][..], 2)] {
        for (layout, flows) in layouts {
            let layout = if ways == 2 && layout.len() == 6 {
                &["-P", "3", "--workers", "2"]
            } else {
                layout
            };
            let options = ["-b", "5M", "-l", "1448"];
            let options = if layout.contains(&"-l") { &options[..2] } else { &options[..] };
            let outcome = run(&server, &[TIMED, direction, layout, options]);
            assert_eq!(list(&outcome.json, "/streams").len() as u64, flows * ways, "{direction:?}");
            conserved(&outcome.json);
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn unlimited_streams_lose_at_the_socket_and_say_so() {
    let server = Server::start(&[]);
    for offloads in [&[][..], &["--gso", "off", "--gro", "off"], &["--gso", "on", "--gro", "off"]] {
        for direction in [&[][..], &["-R"]] {
            let options: &[&[&str]] = &[TIMED, &["-b", "0", "-l", "1400"], direction, offloads];
            let json = run(&server, options).json;
            conserved(&json);
            let sender = if direction.is_empty() { "client" } else { "server" };
            let receiver = if direction.is_empty() { "server" } else { "client" };
            let gso = at(&json, &format!("/udp/calls/{sender}/gso_used")) == true;
            assert_eq!(gso, offloads.get(1) != Some(&"off"), "{offloads:?}");
            let gro = at(&json, &format!("/udp/calls/{receiver}/gro_used")) == true;
            assert_eq!(gro, offloads.is_empty(), "{offloads:?}");
            let mean = number(&json, &format!("/udp/calls/{sender}/mean_datagrams_per_send"));
            assert!(mean > 10.0, "{mean} datagrams a send: {offloads:?}");
            let drops = count(&json, "/udp/datagrams/socket_drops");
            let lost = count(&json, "/udp/datagrams/lost");
            // Nothing else loses datagrams here. Drops are counted between readings, losses by
            // stamps, so that they differ by what was under way at the edges.
            assert_eq!(drops > 100, lost > 100, "{drops} drops, {lost} lost");
            let warned = list(&json, "/warnings")
                .iter()
                .any(|warning| text(warning, "/code") == "receive_buffer_full");
            assert_eq!(warned, drops > 0);
        }
    }
}

#[test]
fn a_rate_is_kept_by_count_and_its_pacing_is_told() {
    let server = Server::start(&[]);
    for (direction, flows) in [(&[][..], 1), (&["-R"][..], 2)] {
        let many = flows.to_string();
        let options = ["-t", "2", "-b", "4M", "-l", "1000", "-P", &many];
        let json = run(&server, &[&options, direction]).json;
        // Due times are absolute, so a sender that woke late has caught up by its next send.
        let sent = count(&json, "/udp/datagrams/sent") as f64;
        let seconds = number(&json, "/window/seconds");
        let asked = seconds * 500.0 * f64::from(flows);
        assert!((sent - asked).abs() < asked * 0.05, "{sent} datagrams, asked for {asked}");
        let due = count(&json, "/schedule/due") as f64;
        assert!((due - asked).abs() < asked * 0.05, "{due} due, asked for {asked}");
        assert_eq!(count(&json, "/schedule/datagrams_per_send"), 1);
        assert_eq!(count(&json, "/schedule/lateness/count") as f64, sent);
        // Mean, not median: a late send makes one gap longer and the next shorter.
        let gap = number(&json, "/schedule/inter_send/mean_ns");
        assert!((gap - 2e6).abs() < 1e5, "{gap} ns between sends, asked for 2 ms");
        assert!(number(&json, "/udp/datagrams/jitter_us") >= 0.0);
    }
}

#[test]
fn an_open_loop_of_requests_tells_its_pacing() {
    let server = Server::start(&[]);
    let args = ["rr", &server.target(), "-t", "1", "-O", "0.1", "--rate", "500", "-P", "2", "-J"];
    for workers in ["1", "2"] {
        let outcome = podperf_json(&[&args[..], &["--workers", workers]].concat());
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let json = &outcome.json;
        let (late, gaps) =
            (count(json, "/schedule/lateness/count"), count(json, "/schedule/inter_send/count"));
        assert!(late > 400 && gaps.abs_diff(late) <= 2, "{late} sends, {gaps} gaps");
        let max = count(json, "/schedule/max_lateness_ns");
        assert_eq!(count(json, "/schedule/lateness/max_ns"), max);
        let gap = number(json, "/schedule/inter_send/mean_ns");
        assert!((gap - 4e6).abs() < 4e5, "{gap} ns between sends of a flow, asked for 4 ms");
    }
}

#[test]
fn runs_by_bytes_send_exactly_what_was_asked() {
    let server = Server::start(&[]);
    for (direction, ways) in [(&[][..], 1), (&["-R"][..], 1), (&["--bidir"][..], 2)] {
        // 1,001 datagrams, the last of them begun by the last byte asked for.
        let options = ["-n", "1000001", "-l", "1000", "-b", "40M"];
        let json = run(&server, &[&options, direction]).json;
        conserved(&json);
        assert_eq!(count(&json, "/udp/datagrams/sent"), 1001 * ways, "{direction:?}");
    }
}

#[test]
fn requests_are_answered_and_counted_once_whatever_their_size() {
    let server = Server::start(&[]);
    let rows: [&[&str]; 5] = [
        &["-P", "1"],
        &["-P", "3"],
        &["-P", "20", "--workers", "1", "--server-workers", "1"],
        // As long as what sets a flow up.
        &["--request", "32", "--response", "48"],
        &["--request", "1000", "--response", "5"],
    ];
    for row in rows {
        let json = run(&server, &[TIMED, row, &["--rr"]]).json;
        let done = count(&json, "/transactions/count");
        assert!(done > 0, "{row:?}");
        assert_eq!(histogram(&json).len(), done, "{row:?}");
        assert_eq!(count(&json, "/udp/lost_transactions"), 0, "{row:?}");
    }
    for row in [&["-P", "1"][..], &["-P", "7", "--workers", "2"]] {
        let json = run(&server, &[&["--rr", "--transactions", "1001"], row]).json;
        let lost = count(&json, "/udp/lost_transactions");
        assert_eq!(count(&json, "/transactions/count") + lost, 1001, "{row:?}");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn datagrams_that_do_not_fit_the_path_are_refused_or_fragmented() {
    let server = Server::start(&["--bind", "::1"]);
    let target = format!("[::1]:{}", server.port);
    // IPv6 has no room for 65,507 bytes in the 64 KiB of loopback.
    for direction in [&[][..], &["-R"]] {
        let args = ["udp", &target, "-l", "65507", "-t", "0.5", "-O", "0", "-J"];
        let outcome = podperf_json(&[&args, direction].concat());
        outcome.assert_failed(3, &["send datagrams of 65507 B", "-l 65488", "--fragment"]);
        let outcome = podperf_json(&[&args, direction, &["--fragment", "-b", "50M"]].concat());
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let warned = list(&outcome.json, "/warnings")
            .iter()
            .any(|warning| text(warning, "/code") == "fragmented");
        assert!(warned, "{:#}", outcome.json["warnings"]);
    }
    let args = ["udp", &target, "--rr", "--response", "65507", "-t", "0.5", "-J"];
    podperf_json(&args).assert_failed(3, &["65507 B", "--response 65488"]);
}

#[test]
fn a_dual_stack_server_answers_from_the_address_that_was_asked() {
    let server = Server::start(&["--bind", "::"]);
    for host in ["127.0.0.1", "127.0.0.2", "[::1]"] {
        let target = format!("{host}:{}", server.port);
        for direction in [&[][..], &["-R"]] {
            let args = ["udp", &target, "-J", "-P", "2", "-b", "5M", "-l", "1000"];
            let outcome = podperf_json(&[&args, TIMED, direction].concat());
            assert_eq!(outcome.status, 0, "{outcome:#?}");
            conserved(&outcome.json);
            let local = text(&outcome.json, "/streams/0/socket/server/local").to_owned();
            assert_eq!(local, target);
        }
    }
}

#[test]
fn a_killed_server_ends_the_run_with_what_was_measured() {
    for options in [&["-b", "5M"][..], &["-R"], &["--rr"]] {
        let mut server = Server::start(&[]);
        let target = server.target();
        let args = ["udp", &target, "-t", "30", "-O", "0.1", "-i", "0.1", "-J"];
        let client = Client::start(&[&args, options].concat());
        server.wait_mid_run(Duration::from_secs(1));
        server.kill();
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["podperf: error: ", &target]);
        assert!(!list(&outcome.json, "/intervals").is_empty());
    }
}

#[test]
fn a_killed_client_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let target = server.target();
    for options in [&["-P", "3"][..], &["-R", "-b", "0"], &["--rr"]] {
        let args = ["udp", &target, "-t", "30", "-O", "0.1", "-J"];
        let client = Client::start(&[&args, options].concat());
        server.wait_mid_run(Duration::from_millis(300));
        drop(client);
        server.assert_all_freed(TIMEOUT);
    }
    server.assert_serves();
}

#[test]
fn unheard_flows_end_with_what_helps() {
    // A server whose datagrams nobody lets through.
    let server = Server::start(&[]);
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    drop(taken);
    let proxy = Proxy::before(server.port);
    let target = format!("127.0.0.1:{}", proxy.port);
    let outcome = podperf_json(&["udp", &target, "-t", "0.5", "--connect-timeout", "1", "-J"]);
    outcome.assert_failed(3, &[&target, "set up a flow of datagrams", "UDP"]);
    server.assert_all_freed(TIMEOUT);
}

/// What a run of one datagram, or one exchange, takes is some microseconds; what ends its flows may
/// take tens of milliseconds. The best of many, because the machine may be busy.
#[test]
fn a_window_that_ends_by_a_count_has_no_idle_tail() {
    let server = Server::start(&[]);
    let one = ["-n", "1448", "-l", "1448"];
    let both = ["--bidir", "-n", "1448", "-l", "1448"];
    let down = ["-R", "-n", "1448", "-l", "1448"];
    for options in [&one[..], &both, &down, &["--rr", "--transactions", "1"]] {
        let window = |json: &Value| {
            let end = |what: &str| number(json, &format!("/window/{what}"));
            end("seconds").max(end("server_seconds"))
        };
        let windows: Vec<f64> = (0..20).map(|_| window(&run(&server, &[options]).json)).collect();
        let least = windows.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least < 0.01, "{options:?}: {windows:?}");
    }
}

#[test]
fn the_way_of_pacing_that_was_taken_stands_in_the_result() {
    let server = Server::start(&[]);
    let rates = [&["udp", "-b", "20M"][..], &["rr", "--rate", "500"], &["crr", "--rate", "200"]];
    for rate in rates {
        for asked in ["sleep", "precise", "burst", ""] {
            let target = server.target();
            let pacing = ["--pacing", asked];
            let pacing = if asked.is_empty() { &[][..] } else { &pacing[..] };
            let args = [&rate[..1], &[target.as_str(), "-J"], &rate[1..], pacing, TIMED].concat();
            let outcome = podperf_json(&args);
            ended_well(&args, &outcome);
            let taken = text(&outcome.json, "/schedule/pacing");
            let fits = if asked.is_empty() { taken != "burst" } else { taken == asked };
            assert!(fits, "{args:?}: {taken}");
            let spun = number(&outcome.json, "/cpu/client/process/spun_cores");
            assert!((asked != "burst" || spun == 0.0) && spun >= 0.0, "{args:?}: {spun}");
        }
    }
    for args in [&["udp", "--rr"][..], &["rr"], &["crr"], &["udp", "-b", "0"]] {
        let refused = podperf_json(&[args, &["--pacing", "sleep"]].concat());
        refused.assert_failed(2, &["--pacing", "with a rate"]);
    }
}
