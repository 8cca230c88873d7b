//! Runs in which nothing moves any more, and peers that say nothing: who ends them, and after how
//! long.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::process::{Client, Server, podperf_json};
use crate::support::wire::Proxy;
use crate::support::{TIMEOUT, at, codes, list, text};

/// Codes of all errors of a document.
fn errors(json: &serde_json::Value) -> Vec<&str> {
    list(json, "/errors").iter().map(|error| text(error, "/code")).collect()
}

#[test]
fn a_run_by_a_count_that_stands_still_is_ended() {
    let server = Server::start(&[]);
    for options in [
        &["stream", "-n", "1T"][..],
        &["stream", "-R", "-n", "1T"],
        &["stream", "--bidir", "-n", "1T", "-P", "2"],
        &["rr", "-n", "1000000000"],
        &["rr", "-n", "1000000000", "--rate", "1000"],
    ] {
        let proxy = Proxy::before(server.port);
        let target = format!("127.0.0.1:{}", proxy.port);
        let more = [target.as_str(), "--stall-timeout", "1", "-i", "0.2", "-J"];
        let client = Client::start(&[&options[..1], &more, &options[1..]].concat());
        server.wait_mid_run(Duration::from_millis(500));
        // The control connection comes first: the last data connection, or one of several, whose
        // others go on.
        proxy.hold(2);
        if options.contains(&"--bidir") {
            std::thread::sleep(Duration::from_secs(3));
            client.signal(Signal::SIGINT);
            let outcome = client.wait(TIMEOUT);
            // As long as one moves, the run goes on.
            outcome.assert_failed(130, &["SIGINT"]);
            assert!(!errors(&outcome.json).contains(&"stalled"), "{outcome:#?}");
            continue;
        }
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["nothing moved for 1.0 s", "--stall-timeout"]);
        assert_eq!(errors(&outcome.json), ["stalled"], "{options:?}: {:#}", outcome.json["errors"]);
        assert_eq!(at(&outcome.json, "/plan/stall_timeout_seconds"), 1.0);
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_rate_whose_payloads_are_far_apart_is_told() {
    let server = Server::start(&[]);
    let target = server.target();
    let at_rate = |rate: &str, seconds: &str| {
        // Segments are large over loopback.
        podperf_json(&["stream", &target, "-b", rate, "-t", seconds, "-M", "1448", "-O", "1", "-J"])
    };
    let outcome = at_rate("1K", "1");
    outcome.assert_failed(3, &["nothing was received", "pass between two payloads", "(-t)"]);
    assert_eq!(errors(&outcome.json), ["nothing_received"]);
    let outcome = at_rate("200K", "1");
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(codes(&outcome.json).contains(&"coarse_rate"), "{:#}", outcome.json["warnings"]);
}

#[test]
fn a_client_says_for_how_long_it_may_be_silent_and_the_server_how_long_at_most() {
    for (serve, client, told) in [
        (&[][..], &["--peer-timeout", "2"][..], "silent for 2.0 s"),
        (&["--peer-timeout", "1.5"], &["--peer-timeout", "30"], "silent for 1.5 s"),
    ] {
        let server = Server::start(serve);
        let target = server.target();
        let args = [&["stream", &target, "-t", "30", "-O", "0", "-J"], client].concat();
        let client = Client::start(&args);
        server.wait_mid_run(Duration::from_millis(500));
        client.signal(Signal::SIGSTOP);
        server.wait_for_log(told);
        client.signal(Signal::SIGCONT);
        client.wait(TIMEOUT).assert_failed(4, &["podperf: error: "]);
        server.assert_all_freed(TIMEOUT);
    }
}

#[test]
fn a_lost_server_s_part_of_the_window_is_named_as_such() {
    let server = Server::start(&[]);
    let args =
        ["stream", &server.target(), "-t", "30", "-O", "0.1", "-i", "0.5", "-o", "/dev/null"];
    let client = Client::start(&[&args[..], &["--peer-timeout", "3"]].concat());
    server.wait_mid_run(Duration::from_millis(1500));
    server.signal(Signal::SIGSTOP);
    let outcome = client.wait(TIMEOUT);
    server.signal(Signal::SIGCONT);
    outcome.assert_failed(4, &["silent for 3.0 s"]);
    assert!(outcome.stdout.contains(" received in the first "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("the server's counts end after "), "{}", outcome.stdout);
}
