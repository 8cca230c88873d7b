//! Where figures go while a run goes on: a sink that takes points, is away, or refuses; the spool;
//! the file for scrapers. Whatever happens to them, the run's result is given.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::support::process::{Client, Outcome, podperf};
use crate::support::recording_sink::{Points, RecordingSink, TAKEN};
use crate::support::{TIMEOUT, eventually, list, number, text};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A short run of `workload` within this process, with `options` behind.
fn run(workload: &str, options: &[&str]) -> Outcome {
    let words = [&[workload, "-t", "0.5", "-O", "0.1", "-i", "0.1", "-qJ"], options].concat();
    let outcome = Client::start(&words).wait(TIMEOUT * 3);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert_eq!(text(&outcome.json, "/status"), "complete");
    assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("secret"), "{}", outcome.stdout);
    outcome
}

/// Sends a spool; returns the exit status and what was said.
fn report(spool: &Path, sink: &RecordingSink) -> (Option<i32>, String) {
    let mut command = podperf(None);
    command.arg("report").arg("--spool").arg(spool).args(["--sink", &sink.url()]);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Every number below `value`, by its path with `_` between the keys; lists aside.
fn numbers(path: &str, value: &Value, found: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => _ = found.insert(path.to_owned(), number.as_f64().unwrap()),
        Value::Object(entries) => {
            for (key, value) in entries {
                let below = if path.is_empty() { key.clone() } else { format!("{path}_{key}") };
                numbers(&below, value, found);
            }
        }
        _ => {}
    }
}

/// A sink has a point for each interval of the document and one for the run, with its figures, and
/// nothing else.
fn assert_points(points: &Points, document: &Value) {
    let intervals = list(document, "/intervals");
    assert!(intervals.len() >= 4, "{intervals:#?}");
    assert_eq!(points.len(), intervals.len() + 1, "{points:#?}");
    let mut found: Vec<_> =
        points.iter().filter(|((series, _), _)| series.starts_with("podperf_interval,")).collect();
    found.sort_by_key(|((_, time), _)| time.parse::<i64>().unwrap());
    let opened: jiff::Timestamp = text(document, "/window/opened_at").parse().unwrap();
    for (((_, time), fields), interval) in found.iter().zip(intervals) {
        let mut expected = BTreeMap::new();
        numbers("", interval, &mut expected);
        for (name, value) in &expected {
            assert_eq!(fields[name].parse::<f64>().unwrap(), *value, "{name}");
        }
        assert_eq!(fields["run"], format!("\"{}\"", text(document, "/started_at")));
        let since = time.parse::<i128>().unwrap() - opened.as_nanosecond();
        let end_ns = number(interval, "/end_seconds") * 1e9;
        assert!((since as f64 - end_ns).abs() < 1.0, "{since} {end_ns}");
    }
    let ((_, time), whole) =
        points.iter().find(|((series, _), _)| series.starts_with("podperf_run,")).unwrap();
    let started: jiff::Timestamp = text(document, "/started_at").parse().unwrap();
    assert_eq!(time.parse::<i128>().unwrap(), started.as_nanosecond());
    for part in ["throughput", "window", "cpu"] {
        let mut expected = BTreeMap::new();
        numbers(part, &document[part], &mut expected);
        for (name, value) in &expected {
            assert_eq!(whole[name].parse::<f64>().unwrap(), *value, "{name}");
        }
    }
    assert_eq!(whole["status"], "\"complete\"");
}

#[test]
fn a_sink_gets_each_point_once_and_while_the_run_goes_on() {
    let sink = RecordingSink::start(&[TAKEN]);
    for workload in ["stream", "rr", "crr", "udp"] {
        let before = sink.lines().len();
        let outcome = run(workload, &["--sink", &sink.url()]);
        assert_eq!(outcome.stderr, "");
        let lines = sink.lines().split_off(before);
        let intervals = list(&outcome.json, "/intervals").len();
        assert_eq!(lines.len(), intervals + 1, "{lines:#?}");
        let kind = format!("workload={},", text(&outcome.json, "/plan/workload/kind"));
        assert!(lines.iter().all(|line| line.contains(kind.trim_end_matches(','))), "{lines:#?}");
        let command = list(&outcome.json, "/command");
        let shown = format!("http://***@{}/write?db=podperf", sink.address);
        assert!(command.contains(&shown.into()), "{command:?}");
    }
    // "user:secret" (RFC 7617).
    let heads = sink.heads();
    assert!(heads.iter().all(|head| head.contains("Authorization: Basic dXNlcjpzZWNyZXQ=\r\n")));
    assert!(heads.iter().all(|head| head.starts_with("POST /write?db=podperf HTTP/1.1\r\n")));
    let sink = RecordingSink::start(&[TAKEN]);
    let words = ["stream", "-t", "60", "-i", "0.1", "-qJ", "--sink", &sink.url()];
    let client = Client::start(&words);
    assert!(eventually(TIMEOUT, || !sink.lines().is_empty()), "nothing while the run goes on");
    client.signal(nix::sys::signal::Signal::SIGTERM);
    let outcome = client.wait(TIMEOUT);
    let intervals = list(&outcome.json, "/intervals").len();
    assert_eq!(sink.points().len(), intervals + 1, "{outcome:#?}");
}

#[test]
fn the_points_are_the_documents_figures() {
    let sink = RecordingSink::start(&[TAKEN]);
    let outcome = run("stream", &["--sink", &sink.url(), "-P", "2"]);
    assert_points(&sink.points(), &outcome.json);
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "my-secret\n").unwrap();
    let sink = RecordingSink::start(&[TAKEN]);
    let url = format!("http://{}/api/v2/write?org=o&bucket=b", sink.address);
    run("rr", &["--sink", &url, "--sink-token-file", file.to_str().unwrap()]);
    let mut command = podperf(None);
    command.env("PODPERF_SINK_TOKEN", "my-secret");
    let words = ["rr", "-t", "0.1", "-O", "0", "-qJ", "--sink", &url];
    let outcome = Client::launch(command, &words).wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!outcome.stdout.contains("secret"), "{}", outcome.stdout);
    let heads = sink.heads();
    assert!(heads.len() >= 2);
    assert!(heads.iter().all(|head| head.contains("Authorization: Token my-secret\r\n")));
}

#[test]
fn what_a_sink_does_not_take_is_told_and_spooled_and_the_result_is_given() {
    for (answer, words) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
            "it answers 401: no; give a token",
        ),
        (
            "HTTP/1.1 429 Slow\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
            "it answers 429; try again",
        ),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\ndisk", "it answers 500: disk; try again"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Welcome</html>",
            "it answers 200 with a page (HTML); check the address",
        ),
        ("SSH-2.0-OpenSSH_9\r\n", "what answers is no HTTP server"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("spool");
        let sink = RecordingSink::start(&[answer]);
        let outcome =
            run("stream", &["--sink", &sink.url(), "--sink-spool", spool.to_str().unwrap()]);
        let place = format!("error: send points to http://***@{}/write?db=podperf", sink.address);
        outcome.assert_says(&[&place, words, "points wait in ", "podperf report --spool "]);
        if answer.contains("401") {
            let (status, said) = report(&spool, &sink);
            assert_eq!(status, Some(4), "{said}");
            assert!(said.contains("it answers 401: no") && !said.contains("secret"), "{said}");
        }
        let mended = RecordingSink::start(&[TAKEN]);
        let (status, said) = report(&spool, &mended);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("points of 1 files delivered"), "{said}");
        assert_points(&mended.points(), &outcome.json);
        assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    }
}

#[test]
fn a_sink_that_is_away_for_the_whole_run_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().to_str().unwrap();
    // Nobody listens there once the listener is gone.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/write?db=podperf");
    let outcome = run("stream", &["--sink", &url, "--sink-spool", spool]);
    outcome.assert_says(&["Connection refused", "check that the sink can be reached"]);
    let sink = RecordingSink::start(&[BUSY, TAKEN]);
    let (status, said) = report(folder.path(), &sink);
    assert_eq!(status, Some(0), "{said}");
    assert_points(&sink.points(), &outcome.json);
    assert_eq!(report(folder.path(), &sink).1, "0 points of 0 files delivered\n");
}

#[test]
fn a_sink_that_comes_back_during_the_run_has_every_point_once() {
    let folder = tempfile::tempdir().unwrap();
    let sink = RecordingSink::start(&[TAKEN, BUSY, BUSY, TAKEN]);
    let words = ["stream", "-t", "4", "-O", "0.1", "-i", "0.1", "-qJ", "--sink", &sink.url()];
    let spool = ["--sink-spool", folder.path().to_str().unwrap()];
    let outcome = Client::start(&[&words[..], &spool].concat()).wait(TIMEOUT * 2);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:#?}");
    assert_points(&sink.points(), &outcome.json);
    assert_eq!(sink.lines().len(), sink.points().len(), "some came twice");
    assert!(sink.heads().len() >= 4, "{:?}", sink.heads());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the spool is delivered");
}

#[test]
fn without_a_folder_what_is_not_delivered_is_an_error_and_the_result_is_given() {
    let sink = RecordingSink::start(&["HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]);
    let mut command = podperf(None);
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    let words = ["stream", "-t", "0.3", "-O", "0.1", "-i", "0.1", "-qJ", "--sink", &sink.url()];
    let outcome = Client::launch(command, &words).wait(TIMEOUT * 2);
    outcome.assert_failed(4, &["it answers 403", "there is no folder for them", "--sink-spool"]);
    assert_eq!(text(&outcome.json, "/status"), "complete");
}

#[test]
fn the_file_for_scrapers_is_renewed_and_holds_the_result_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("podperf.prom");
    let name = path.to_str().unwrap();
    let client = Client::start(&["stream", "-t", "60", "-i", "0.1", "-qJ", "--openmetrics", name]);
    let reading = || fs::read_to_string(&path).unwrap_or_default();
    let wait = |part: &str| {
        let there = eventually(TIMEOUT, || reading().contains(part));
        assert!(there, "no '{part}' in: {}", reading());
    };
    wait("podperf_interval_bytes_per_second{");
    let first = reading();
    assert!(!first.contains("podperf_run_") && first.ends_with("# EOF\n"), "{first}");
    assert!(eventually(TIMEOUT, || reading() != first), "it is not renewed");
    client.signal(nix::sys::signal::Signal::SIGTERM);
    let outcome = client.wait(TIMEOUT);
    let last = reading();
    let value = |name: &str| {
        let line = last.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let goodput = number(&outcome.json, "/throughput/bits_per_second");
    assert!(
        (value("podperf_run_throughput_bytes_per_second") * 8.0 - goodput).abs() <= 1e-6 * goodput
    );
    assert_eq!(value("podperf_run_complete"), 0.0);
    let interval = list(&outcome.json, "/intervals").last().unwrap();
    assert_eq!(value("podperf_interval_end_seconds"), number(interval, "/end_seconds"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left");
}
