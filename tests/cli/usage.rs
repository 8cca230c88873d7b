//! The program from outside, as far as no measurement is needed: usage errors, help, generated
//! texts, and standard output that is closed or full.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::contains;

fn podperf(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podperf"));
    command.args(line.split_whitespace()).env_remove("PODPERF_TOKEN").stdin(Stdio::null());
    command
}

/// A server that notes whether anybody came.
struct Untouched(TcpListener);

impl Untouched {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// Runs `line` with this server's address in place of `HOST`; nobody may come.
    fn run(&self, line: &str) -> Output {
        let address = self.0.local_addr().unwrap().to_string();
        let output = podperf(&line.replace("HOST", &address)).output().unwrap();
        let nobody = self.0.accept().expect_err("usage errors come before any network traffic");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        output
    }
}

#[test]
fn under_j_a_usage_error_is_a_document_too() {
    let server = Untouched::new();
    for (line, words) in [
        ("stream HOST -J -P 4x", "invalid value '4x' for '--streams <N>'"),
        ("rr HOST --json --nonsense", "unexpected argument '--nonsense' found"),
        ("stream HOST -qJ -l 0", "1 B to 64 MiB"),
        ("udp HOST -J -o /nonexistent/run.json", "a file that can be written"),
        ("stream HOST -RJ --pin 5000", "0 to 1023"),
    ] {
        let output = server.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect(line);
        assert_eq!(document["schema"], "podperf.usage-error/v1", "{line}");
        assert_eq!(document["command"][1], line.split_whitespace().next().unwrap());
        let error = &document["errors"][0];
        assert_eq!((&error["kind"], &error["code"]), (&"usage".into(), &"usage".into()), "{line}");
        let told = format!("{} {}", error["operation"], error["cause"]);
        assert!(told.contains(words), "{line}: {told}");
        let sentence = String::from_utf8_lossy(&output.stderr);
        assert!(sentence.starts_with("podperf: error: "), "{line}: {sentence}");
    }
    // Who asks for text gets no document, and help under -J is help.
    for line in ["stream HOST -P 0", "stream HOST -l 0 -- -J", "stream -J --help"] {
        let output = server.run(line);
        assert!(!output.stdout.starts_with(b"{"), "{line}");
    }
}

#[test]
fn usage_errors_name_option_value_and_what_is_allowed_before_any_traffic() {
    let server = Untouched::new();
    for (line, option, value, allowed) in [
        ("stream HOST -P 4x", "--streams", "4x", "whole number"),
        ("stream HOST -P 0", "--streams", "0", "1 to 16384"),
        ("stream HOST -P -3", "--streams", "-3", "whole number"),
        ("stream HOST -t 0", "--time", "0s", "more than 0s"),
        ("stream HOST -t -4", "--time", "-4", "a time such as"),
        ("stream HOST -l 0", "--length", "0 B", "1 B to 64 MiB"),
        ("stream HOST -l -5", "--length", "-5", "whole number of bytes"),
        ("stream HOST -l 18446744073709551616", "--length", "18446744073709551616", "below 2^64"),
        ("stream HOST -l 99999999999T", "--length", "99999999999T", "below 2^64"),
        ("stream HOST -w 16777216T", "--window", "16777216T", "below 2^64"),
        ("stream HOST -n 0", "--bytes", "0 B", "at least 1 B"),
        ("stream HOST -P 99999999999", "--streams", "99999999999", "below 2^32"),
        ("stream HOST -M 10", "--mss", "10", "88 to 32767"),
        ("stream HOST -S 64", "--dscp", "64", "0 to 63"),
        ("stream HOST -C nosuch", "--congestion", "nosuch", "allowed: "),
        ("stream HOST --pin 999", "--pin", "999", "may not use CPU 999; allowed: "),
        ("stream HOST --pin 5000", "--pin", "5000", "0 to 1023"),
        ("stream HOST -o /nonexistent/run.json", "--output", "/nonexistent/run.json", "allowed: "),
        ("stream HOST --stall-timeout 0", "--stall-timeout", "0s", "at most"),
        ("rr HOST -i 0 --stall-timeout 0", "--stall-timeout", "0s", "at most"),
        ("udp HOST --stall-timeout 200h", "--stall-timeout", "8days 8h", "at most"),
        ("stream HOST --token-file /nonexistent", "--token-file", "/nonexistent", "No such file"),
        ("stream HOST --send carrier-pigeon", "--send", "carrier-pigeon", "write"),
        ("rr HOST --request 0", "--request", "0 B", "1 B to 64 MiB"),
        ("rr HOST --rate 0", "--rate", "0", "more than 0"),
        ("rr HOST --rate 10 --burst 4", "--burst", "4", "1 together with --rate"),
        ("rr HOST -p 70000", "--port", "70000", "1 to 65535"),
        ("saturate HOST --max-streams 2", "--max-streams", "2", "3 to 16383"),
        ("saturate HOST --max-streams 16384", "--max-streams", "16384", "3 to 16383"),
        ("saturate HOST --tolerance 0", "--tolerance", "0", "more than 0"),
        ("saturate HOST --tolerance -5%", "--tolerance", "-5%", "0 to below 100"),
        ("saturate HOST --samples 1", "--samples", "1", "2 to 1000"),
        ("saturate HOST --link 0", "--link", "0", "more than 0"),
        ("saturate HOST --link fast", "--link", "fast", "bits per second"),
        ("saturate HOST --time-limit 2", "--time-limit", "2s", "5s 900ms or more"),
        ("saturate HOST -t 0", "--time", "0s", "more than 0s"),
        ("saturate HOST -l 0", "--length", "0 B", "1 B to 64 MiB"),
        ("saturate HOST -o /nonexistent/x", "--output", "/nonexistent/x", "allowed: "),
        ("calibrate -t 1", "--time", "1s", "2s to 10m"),
        ("calibrate -t 1h", "--time", "1h", "2s to 10m"),
        ("serve --max-streams 0", "--max-streams", "0", "1 to 16384"),
        ("serve --max-memory 1K", "--max-memory", "1 KiB", "at least 4 MiB"),
        ("coordinate --schedule /nonexistent", "--schedule", "/nonexistent", "No such file"),
        ("coordinate -p x", "--port", "x", "or 0 for any"),
        ("agent HOST --config /nonexistent", "--config", "/nonexistent", "No such file"),
        ("agent HOST --config f --join-timeout 0", "--join-timeout", "0", "more than 0"),
        ("completions tcsh", "SHELL", "tcsh", "bash"),
        ("man --dir /nonexistent", "--dir", "/nonexistent", "No such file"),
    ] {
        server
            .run(line)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::starts_with("podperf: error: invalid value"))
            .stderr(contains(format!("'{value}' for")).and(contains(option)))
            .stderr(contains(allowed));
    }
}

#[test]
fn unknown_and_conflicting_options_are_usage_errors() {
    let server = Untouched::new();
    for (line, named) in [
        ("stream HOST --nosuch", vec!["--nosuch"]),
        ("stream HOST -Z", vec!["-Z"]),
        ("stream HOST -R --bidir", vec!["--reverse", "--bidir"]),
        ("stream HOST -t 1 -n 1M", vec!["--time", "--bytes"]),
        ("rr HOST -t 1 -n 1", vec!["--time", "--transactions"]),
        ("rr HOST -4 -6", vec!["--ipv4", "--ipv6"]),
        ("stream HOST --token secret", vec!["--token"]),
        ("calibrate -o f --no-store", vec!["--output", "--no-store"]),
        ("stream HOST second", vec!["second"]),
        ("nosuch", vec!["nosuch"]),
    ] {
        let assert = server.run(line).assert().code(2).stdout("");
        named.iter().fold(assert, |assert, name| assert.stderr(contains(*name)));
    }
    podperf("").assert().code(2).stderr(contains("Usage: podperf"));
}

#[test]
fn a_bad_token_in_the_environment_is_named_but_not_shown() {
    podperf("stream 127.0.0.1 -p 9")
        .env("PODPERF_TOKEN", "hush")
        .assert()
        .code(2)
        .stderr(contains("PODPERF_TOKEN").and(contains("hush").not()));
}

#[test]
fn what_a_coordinator_and_a_agent_are_told_is_checked_before_any_traffic() {
    let server = Untouched::new();
    let address = server.0.local_addr().unwrap().to_string();
    let part = |words: &str| {
        format!(r#"{{"agent":"a","tests":{{"t":[{words}]}},"probes":[],"probe_seconds":1}}"#)
    };
    let schedule = r#"{"agents":[],"join_seconds":1,"steps":[]}"#;
    for (line, variable, text, cause) in [
        ("agent HOST", "PODPERF_AGENT_CONFIG", "", "read the agent's configuration: "),
        (
            "agent HOST",
            "PODPERF_AGENT_CONFIG",
            &part(r#""rr","HOST","-P","0""#),
            "'0' for '--flows'",
        ),
        (
            "agent HOST",
            "PODPERF_AGENT_CONFIG",
            &part(r#""serve""#),
            "words of test 't': parse: not a meas",
        ),
        ("coordinate", "PODPERF_SCHEDULE", "{", "read the schedule: "),
        ("coordinate", "PODPERF_SCHEDULE", schedule, "it has no agents"),
        ("coordinate", "OTHER", "", "environment variable PODPERF_SCHEDULE: it is not set"),
        ("agent HOST", "OTHER", "", "environment variable PODPERF_AGENT_CONFIG: it is not set"),
    ] {
        let mut command = podperf(&line.replace("HOST", &address));
        command.env_remove("PODPERF_AGENT_CONFIG").env_remove("PODPERF_SCHEDULE");
        command.env(variable, text.replace("HOST", &address));
        command.assert().code(2).stdout("").stderr(contains(cause));
    }
    let nobody = server.0.accept().expect_err("usage errors come before any network traffic");
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn help_and_version_are_results() {
    podperf("--version").assert().code(0).stdout(contains(env!("CARGO_PKG_VERSION"))).stderr("");
    for command in [
        "stream",
        "rr",
        "serve",
        "doctor",
        "saturate",
        "calibrate",
        "compare",
        "merge",
        "report",
        "coordinate",
        "agent",
        "completions",
        "man",
    ] {
        let short_lines =
            predicate::function(|text: &str| text.lines().all(|line| line.chars().count() <= 100));
        podperf(&format!("{command} --help"))
            .assert()
            .code(0)
            .stdout(contains("Usage: podperf").and(contains("Examples:")).and(short_lines))
            .stderr("");
    }
    for option in ["--streams <N>", "--congestion <NAME>", "[default: 128K]", "Connection:"] {
        podperf("stream --help").assert().stdout(contains(option));
    }
}

#[test]
fn completions_and_pages_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        podperf(&format!("completions {shell}"))
            .assert()
            .code(0)
            .stdout(contains("server-workers").or(contains("server_workers")));
    }
    podperf("man").assert().code(0).stdout(contains(".TH podperf 1"));
    let dir = tempfile::tempdir().unwrap();
    podperf("man --dir").arg(dir.path()).assert().code(0).stdout("");
    let page = fs::read_to_string(dir.path().join("podperf-stream.1")).unwrap();
    assert!(page.contains("congestion") && page.contains("podperf stream hostB"), "{page}");
}

#[test]
fn generated_documents_are_json() {
    for line in ["schema", "doctor -J"] {
        let output = podperf(line).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect(line);
    }
    let narrow = predicate::function(|text: &str| {
        text.lines().all(|line| line.chars().count() <= 120 && !line.ends_with(' '))
    });
    podperf("doctor").assert().code(0).stdout(contains("CPU").and(narrow));
}

#[test]
fn a_closed_standard_output_ends_quietly_and_not_well() {
    for line in ["schema", "man", "completions bash", "doctor", "doctor -J"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = podperf(line);
        let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        output.wait_with_output().unwrap().assert().code(141).stderr("");
    }
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = podperf("--help").stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    output.wait_with_output().unwrap().assert().failure().stderr("");
}

#[test]
fn a_full_standard_output_is_an_error_that_names_it() {
    for line in ["schema", "man", "completions bash", "doctor -J"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = podperf(line).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let error = "podperf: error: write to standard output: No space left on device";
        output.wait_with_output().unwrap().assert().code(4).stderr(contains(error));
    }
    let schedule = r#"{"agents":["a"],"join_seconds":1,"steps":[]}"#;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = podperf("coordinate -p 0 --bind 127.0.0.1");
    command.env("PODPERF_SCHEDULE", schedule).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    output.assert().code(4).stderr(contains("write to standard output: No space left"));
}
