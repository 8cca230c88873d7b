//! Command lines that name a sink, as far as no measurement is needed.

use std::net::TcpListener;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::contains;

fn podperf(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podperf"));
    command.args(line.split_whitespace()).env_remove("PODPERF_SINK_TOKEN");
    command
}

#[test]
fn what_is_no_sink_is_refused_before_any_traffic_and_without_its_secrets() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let host = server.local_addr().unwrap();
    for (options, words) in [
        ("--sink https://u:secret@h/write?db=d", "podperf links no TLS: name an http:// address"),
        ("--sink u:secret@h", "for '--sink': allowed: the whole address"),
        ("--sink http://u:secret@h/w?precision=ms", "leave out precision=ms"),
        (
            "--sink http://h/ --sink-token-file /nonexistent",
            "'/nonexistent' for '--sink-token-file'",
        ),
        ("--sink http://u:secret@h/ --sink-token-file /etc/hostname", "allowed: one of both"),
        ("--sink http://h/ --sink-spool /dev/null/x", "'/dev/null/x' for '--sink-spool'"),
        ("--sink-spool /tmp", "required arguments were not provided"),
        ("--openmetrics /nonexistent/f.prom", "'/nonexistent/f.prom' for '--openmetrics'"),
    ] {
        for workload in ["stream", "rr", "crr", "udp"] {
            podperf(&format!("{workload} {host} {options}"))
                .assert()
                .code(2)
                .stdout("")
                .stderr(contains(words).and(contains("secret").not()));
        }
        let document = podperf(&format!("rr {host} -J {options}")).output().unwrap().stdout;
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["errors"][0]["code"], "usage", "{options}");
        assert!(!document.to_string().contains("secret"), "{document}");
    }
    server.accept().expect_err("usage errors come before any network traffic");
}

#[test]
fn an_empty_spool_is_sent_at_once_and_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("report --spool {} --sink http://h/", folder.path().display());
    podperf(&line).assert().code(0).stdout("0 points of 0 files delivered\n").stderr("");
    podperf("report --spool /nonexistent --sink http://h/")
        .assert()
        .code(3)
        .stderr(contains("read the spool '/nonexistent': No such file"));
    podperf("report").assert().code(2).stderr(contains("<RESULT>"));
    podperf("report --sink http://h/").assert().code(2).stderr(contains("--spool <DIR>"));
    let both = "report run.json --spool /tmp --sink http://h/";
    podperf(both).assert().code(2).stderr(contains("cannot be used with"));
    podperf("report --spool /tmp --sink https://t:secret@h/")
        .assert()
        .code(2)
        .stderr(contains("links no TLS").and(contains("secret").not()));
}
