//! What netperf and netserver write for programs: a document whatever happens, a log of objects,
//! and an error where nothing can be written.

use std::fs::File;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::netserver::{Netserver, netperf, transactions};
use crate::support::process::{Server, podperf};
use crate::support::{TIMEOUT, at, count, eventually, list, number, text};

fn run(args: &[&str]) -> Output {
    netperf(args).output().expect("it starts")
}

/// Standard output as one document.
fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_command_line_that_is_refused_is_a_document_too() {
    for (args, why) in [
        (&["--json", "-t", "NOPE"][..], "NOPE"),
        (&["-t", "UUID", "--json"], "UUID"),
        (&["-t", "REM_CPU", "--json"], "REM_CPU"),
        (&["--json", "--nonsense"], "--nonsense"),
        (&["--json", "-l", "0.5"], "-l 0.5"),
        (&["--json", "--", "-k", "THROUGHPUT"], "--json"),
    ] {
        let output = run(args);
        let json = document(&output);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(text(&json, "/schema"), "podperf.netperf/1");
        let reason = text(&json, "/incomplete");
        assert!(reason.contains(why) && reason.lines().count() < 5, "{reason}");
        assert!(text(&json, "/options/command_line").contains("--json"), "{json:#}");
        assert!(at(&json, "/throughput_bits_per_second").is_null());
        // For people.
        assert!(!output.stderr.is_empty(), "{output:?}");
    }
    // Without the option, nothing of it.
    let output = run(&["-t", "NOPE", "--", "--json"]);
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_err(), "{output:?}");
}

#[test]
fn interim_results_stand_in_the_document_and_nowhere_else() {
    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    let args = ["-H", "127.0.0.1", "-p", &port, "-l", "1", "-D", "0.2", "--json"];
    for test in ["TCP_STREAM", "TCP_RR"] {
        let output = run(&[&args[..], &["-t", test]].concat());
        assert!(output.status.success(), "{output:?}");
        let json = document(&output);
        let interim = list(&json, "/interim");
        assert!((2..=5).contains(&interim.len()), "{json:#}");
        for one in interim {
            assert!(number(one, "/seconds") >= 0.1, "{one}");
            assert!(number(one, "/throughput_bits_per_second") > 0.0, "{one}");
            assert!(number(one, "/end_unix_seconds") > 1.7e9, "{one}");
            let rate = at(one, "/transactions_per_second");
            assert_eq!(rate.is_null(), test == "TCP_STREAM", "{one}");
        }
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let netserver = Netserver::start(&[]);
    let port = netserver.port.to_string();
    let to = ["-H", "127.0.0.1", "-p", &port, "-t", "TCP_RR", "-l", "-50"];
    let and = |more: &[&'static str]| [&to[..], more].concat();
    let of_netperf = [
        and(&[]),
        and(&["--json"]),
        and(&["--", "-k"]),
        vec!["-V"],
        vec!["--help"],
        vec!["-t", "UUID"],
        vec!["--json", "-t", "NOPE"],
    ];
    let server = Server::start(&[]);
    let target = server.target();
    let of_podperf = [
        vec!["rr", &target, "-n", "50"],
        vec!["rr", &target, "-n", "50", "-J"],
        vec!["doctor"],
        vec!["doctor", "-J"],
        vec!["--version"],
        vec!["--help"],
    ];
    let of_netperf = of_netperf.iter().map(|args| netperf(args));
    let of_podperf = of_podperf.iter().map(|args| {
        let mut command = podperf(None);
        command.args(args);
        command
    });
    for mut command in of_netperf.chain(of_podperf) {
        let output = command.stdin(Stdio::null()).stdout(full.try_clone().unwrap()).output();
        let output = output.expect("it starts");
        assert!(output.status.code().is_some_and(|status| status > 0), "{command:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("No space left"), "{command:?}: {said}");
    }
}

#[test]
fn netserver_logs_an_object_for_each_test() {
    let server = Netserver::start(&["--log", "json"]);
    let port = server.port.to_string();
    let of = |test: &str| {
        run(&["-H", "127.0.0.1", "-p", &port, "-t", test, "-l", "-300", "--native", "off"])
    };
    assert!(of("TCP_RR").status.success());
    let stream = of("TCP_STREAM");
    assert!(stream.status.success(), "{stream:?}");
    // One that its client leaves.
    drop(server.client().begin(&transactions(1, 1)));
    let runs = || -> Vec<Value> {
        let lines = server.log.lock().unwrap().clone();
        let objects = lines.iter().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        objects.filter(|object: &Value| object["event"] == "run").collect()
    };
    assert!(eventually(TIMEOUT, || runs().len() == 3), "{:#?}", server.log.lock().unwrap());
    let runs = runs();
    let told = |run: &Value| {
        (text(run, "/workload").to_owned(), text(run, "/status").to_owned(), count(run, "/streams"))
    };
    assert_eq!(told(&runs[0]), ("rr".into(), "complete".into(), 1));
    assert_eq!(count(&runs[0], "/bytes_received"), 300);
    assert_eq!(count(&runs[0], "/bytes_sent"), 300);
    assert_eq!(told(&runs[1]), ("stream".into(), "complete".into(), 1));
    assert!(count(&runs[1], "/bytes_received") >= 300 && at(&runs[1], "/error").is_null());
    assert_eq!(told(&runs[2]), ("rr".into(), "incomplete".into(), 1));
    assert!(!text(&runs[2], "/error").is_empty(), "{:#}", runs[2]);
    for run in &runs {
        assert!(text(run, "/peer").starts_with("127.0.0.1:") && run["rule"].is_null(), "{run}");
        assert!((0.0..60.0).contains(&number(run, "/seconds")), "{run}");
    }
}
