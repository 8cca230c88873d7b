//! `podperf saturate` over loopback, with streams that are held to a rate, so that their goodput is
//! the same on any machine: the document, and what breaks a search off.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::{Client, Outcome, Server};
use crate::support::{list, number, text};

/// For a search of some seconds on a busy machine.
const SEARCH: Duration = Duration::from_secs(120);
/// Short samples of slow streams, which never fill loopback.
const QUICK: [&str; 9] = ["-J", "-b", "20M", "-t", "0.2", "-O", "0.05", "--max-streams", "3"];

fn start(server: &Server, samples: &str, options: &[&str]) -> Client {
    let target = server.target();
    let words = [&["saturate", &target, "--samples", samples], &QUICK[..], options];
    Client::start(&words.concat())
}

fn samples(outcome: &Outcome) -> &[Value] {
    assert_eq!(text(&outcome.json, "/schema"), "podperf.saturation/v1", "{outcome:#?}");
    list(&outcome.json, "/samples")
}

#[test]
fn streams_that_each_add_their_own_have_no_plateau() {
    let server = Server::start(&[]);
    let outcome = start(&server, "2", &["--link", "1G"]).wait(SEARCH);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let json = &outcome.json;
    assert_eq!(samples(&outcome).len(), 6, "two of each number");
    assert_eq!((text(json, "/status"), text(json, "/outcome")), ("complete", "no_plateau"));
    assert!(text(json, "/reason").contains("up to 3 streams (--max-streams)"));
    for unknown in ["/plateau_bits_per_second", "/n90", "/n95", "/n99"] {
        assert_eq!(json.pointer(unknown), Some(&Value::Null), "never guessed: {unknown}");
    }
    let curve = list(json, "/curve");
    let streams: Vec<f64> = curve.iter().map(|point| number(point, "/streams")).collect();
    assert_eq!(streams, [1.0, 2.0, 3.0]);
    for point in curve {
        let goodput = number(point, "/goodput_bits_per_second/mean");
        assert!(goodput > 0.0 && number(point, "/cpu/client/busy_cores") > 0.0, "{point:#}");
        assert_eq!(number(point, "/goodput_bits_per_second/samples"), 2.0);
    }
    assert_eq!(json["bound"]["streams"], serde_json::json!([3]), "the most");
    assert_eq!(text(json, "/target"), server.target());
    assert_eq!(text(json, "/link/source"), "given");
    assert!(number(json, "/latency/idle/latency/p50_ns") > 0.0);
    assert_eq!(json.pointer("/latency/at_n95"), Some(&Value::Null));
    assert!(json["host"]["client"].is_object() && json["host"]["server"].is_object());
    outcome.assert_says(&["1 stream", "3 streams", "Mbit/s"]);
    server.assert_all_freed(SEARCH);
}

/// A rate that all streams share is full with one, on any machine.
#[test]
fn the_answer_comes_with_its_bound_and_latency_beside_so_many_streams() {
    const POLICY: &str = "[[rule]]\nname = \"all\"\naddresses = [\"any\"]\nanonymous = true\n\
                          run = { rate = \"400M\" }\n";
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, POLICY).unwrap();
    let server = Server::start(&["--policy", policy.to_str().unwrap()]);
    let target = server.target();
    let options = ["-t", "0.3", "-O", "0.1", "--tolerance", "20%", "--link", "1G"];
    let words = [&["saturate", &target, "-J", "-q"], &options[..]].concat();
    let outcome = Client::start(&words).wait(SEARCH);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:#?}");
    let json = &outcome.json;
    assert_eq!(text(json, "/outcome"), "saturates", "{:#}", json["curve"]);
    for needed in ["/n90", "/n95"] {
        assert_eq!(number(json, &format!("{needed}/streams")), 1.0, "{:#}", json["curve"]);
    }
    assert_eq!(text(json, "/bound/bound_by"), "pacing", "{:#}", json["bound"]);
    assert!(text(json, "/bound/evidence/0").contains("that the server's policy allows"));
    let share = number(json, "/link/goodput_share");
    assert!((0.35..0.41).contains(&share), "{share}");
    let plateau = |key: &str| number(json, &format!("/plateau_bits_per_second/{key}"));
    assert!(plateau("low") <= plateau("mean") && plateau("mean") <= plateau("high"));
    assert_eq!(number(json, "/latency/at_n95/load_streams"), 1.0);
    assert!(number(json, "/latency/at_n95/load_bits_per_second") > 1e8);
    let repeated = number(json, "/curve/0/goodput_bits_per_second/samples");
    assert_eq!(repeated, 7.0, "a neighbour of the answer");
}

#[test]
fn a_link_below_what_was_measured_is_an_error_and_keeps_the_samples() {
    let server = Server::start(&[]);
    let outcome = start(&server, "2", &["--link", "1M"]).wait(SEARCH);
    outcome.assert_failed(2, &["invalid value '1 Mbit/s' for '--link': it is below what was"]);
    assert_eq!(text(&outcome.json, "/status"), "incomplete");
    assert_eq!(text(&outcome.json, "/outcome"), "not_shown");
    assert_eq!(samples(&outcome).len(), 1);
    assert!(number(&outcome.json, "/samples/0/goodput_bits_per_second") > 1e6);
}

#[test]
fn a_signal_ends_it_with_what_was_measured() {
    let server = Server::start(&[]);
    let client = start(&server, "100", &[]);
    client.wait_until_told("Mbit/s\n");
    client.signal(Signal::SIGINT);
    let outcome = client.wait(SEARCH);
    outcome.assert_failed(130, &["error: "]);
    assert!(!samples(&outcome).is_empty());
    assert!(!list(&outcome.json, "/curve").is_empty());
    server.assert_serves();
}

#[test]
fn a_server_that_goes_ends_it_with_what_was_measured() {
    let mut server = Server::start(&[]);
    let client = start(&server, "100", &["--peer-timeout", "1s"]);
    client.wait_until_told("Mbit/s\n");
    server.kill();
    let outcome = client.wait(SEARCH);
    outcome.assert_failed(4, &["error: "]);
    let samples = samples(&outcome);
    let failed = samples.iter().filter(|sample| sample["status"] == "incomplete").count();
    assert!(samples.len() > failed && failed <= 2, "{:#}", outcome.json["samples"]);
}

#[test]
fn without_a_server_it_fails_as_a_run_does() {
    let port = Server::start(&[]).port;
    let outcome = Client::start(&["saturate", &format!("127.0.0.1:{port}")]).wait(SEARCH);
    outcome.assert_failed(3, &["Connection refused"]);
    assert!(outcome.stdout.contains("INCOMPLETE: nothing was measured"), "{}", outcome.stdout);
}

#[test]
fn the_time_limit_ends_it_and_says_so() {
    let server = Server::start(&[]);
    let outcome = start(&server, "100", &["--time-limit", "2s"]).wait(SEARCH);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert_eq!(text(&outcome.json, "/outcome"), "not_shown");
    assert!(text(&outcome.json, "/reason").contains("--time-limit"), "{:#}", outcome.json);
}
