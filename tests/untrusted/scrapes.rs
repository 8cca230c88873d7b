//! `serve --metrics`: what a scraper reads adds up, and whoever else comes to that port disturbs
//! neither scrapes nor runs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::process::{Server, podperf_json};
use crate::support::wire::connect;
use crate::support::{TIMEOUT, eventually};

/// The scraped port of a server that was told `--metrics 0`.
fn scraped(server: &Server) -> SocketAddr {
    let log = server.log();
    let line = log.iter().find_map(|line| line.split_once("counts at http://"));
    let (_, url) = line.unwrap_or_else(|| panic!("the log does not say where: {log:#?}"));
    url.strip_suffix("/metrics").and_then(|address| address.parse().ok()).expect("an address")
}

/// Sends `request` from the address `from`; all that comes back.
fn exchange(from: Ipv4Addr, to: SocketAddr, request: &str) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), TIMEOUT).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What a scraper reads, held to the format.
fn scrape(from: Ipv4Addr, to: SocketAddr) -> String {
    let answer = exchange(from, to, "GET /metrics HTTP/1.1\r\nHost: podperf\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    let mut family = ("", "");
    for line in body.lines().filter(|line| *line != "# EOF") {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            family = named.split_once(' ').expect("a name and a type");
        } else if !line.starts_with("# ") {
            let (sample, value) = line.rsplit_once(' ').expect("a name and a value");
            let suffix = match family.1 {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let name = sample.split('{').next().unwrap_or_default();
            assert_eq!(name, format!("{}{suffix}", family.0), "{line}");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        }
    }
    body.to_owned()
}

/// The value of the sample with this name and these labels; 0 where there is none.
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn a_scraper_reads_what_the_server_has_done_and_refused() {
    let server = Server::start(&["--metrics", "0", "--max-streams", "3", "--max-memory", "1G"]);
    let (to, target) = (scraped(&server), server.target());
    assert!(to.ip().is_loopback());
    let read = || scrape(Ipv4Addr::LOCALHOST, to);
    let before = read();
    assert_eq!(value(&before, "podperf_memory_budget_bytes"), f64::from(1 << 30));
    assert_eq!(value(&before, "podperf_memory_reserved_bytes"), 0.0);
    assert_eq!(value(&before, "podperf_sessions"), 0.0);
    assert_eq!(value(&before, "podperf_build_info{version=\"0.1.0\"}"), 1.0);
    assert!(!before.contains("podperf_runs_total{"), "{before}");

    for _ in 0..2 {
        assert_eq!(podperf_json(&["stream", &target, "-t", "0.3", "-O", "0"]).status, 0);
    }
    assert_eq!(podperf_json(&["rr", &target, "-n", "50"]).status, 0);
    podperf_json(&["stream", &target, "-P", "4", "-t", "1"]).assert_failed(3, &["3"]);
    podperf_json(&["stream", &target, "-t", "2h"]).assert_failed(3, &["--max-time"]);
    let mut nonsense = connect(server.port);
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let silent = connect(server.port);
    let after = || {
        let text = read();
        let streams = |status| {
            value(&text, &format!("podperf_runs_total{{workload=\"stream\",status=\"{status}\"}}"))
        };
        let transactions = "podperf_runs_total{workload=\"rr\",status=\"complete\"}";
        let limited = |limit| {
            value(
                &text,
                &format!("podperf_limited_runs_total{{limit=\"{limit}\",status=\"refused\"}}"),
            )
        };
        let dropped = value(&text, "podperf_dropped_connections_total{reason=\"protocol\"}");
        let pending = value(&text, "podperf_pending_connections{stage=\"silent\"}");
        streams("complete") == 2.0
            && streams("refused") == 2.0
            && value(&text, transactions) == 1.0
            && [limited("plan"), limited("run.time")] == [1.0, 1.0]
            && [dropped, pending] == [1.0, 1.0]
            && value(&text, "podperf_received_bytes_total") > 1e6
            && value(&text, "podperf_sessions") == 0.0
            && value(&text, "podperf_memory_reserved_bytes") == 0.0
    };
    assert!(eventually(TIMEOUT, after), "{}", read());
    drop(silent);
}

#[test]
fn a_run_under_way_is_seen() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let (to, target) = (scraped(&server), server.target());
    std::thread::scope(|scope| {
        let run = scope.spawn(|| podperf_json(&["rr", &target, "-t", "2", "-O", "0"]));
        let seen = eventually(TIMEOUT, || {
            let text = scrape(Ipv4Addr::LOCALHOST, to);
            value(&text, "podperf_sessions") == 1.0
                && value(&text, "podperf_memory_reserved_bytes") > 0.0
        });
        assert!(seen, "no scrape saw the run");
        assert_eq!(run.join().expect("it ends").status, 0);
    });
    let others = Server::start(&["--metrics", "0"]);
    // A port that is taken is said before anything is served.
    let taken = scraped(&others).to_string();
    podperf_json(&["serve", "-p", "0", "--metrics", &taken]).assert_failed(3, &[&taken]);
}

#[test]
fn who_else_comes_to_the_scraped_port_disturbs_nobody() {
    let server = Server::start(&["--metrics", "0"]);
    let to = scraped(&server);
    let here = Ipv4Addr::LOCALHOST;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        ("\0\u{1}\u{2}\r\n\r\n", "400"),
        ("podperf\n\n", "400"),
    ] {
        let answer = exchange(here, to, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
    let head = exchange(here, to, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    // What is longer than any request, and what never becomes whole, is dropped.
    let long = format!("GET /metrics HTTP/1.1\r\na: {}", "b".repeat(100_000));
    assert_eq!(exchange(here, to, &long), "");
    let begun = Instant::now();
    assert_eq!(exchange(here, to, "GET /metrics HTTP/1.1\r\n"), "");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it had no time");

    // Many that are silent, from one address: a scraper at another, and a run, do not notice.
    let silent: Vec<_> = (0..1000).filter_map(|_| TcpStream::connect(to).ok()).collect();
    assert!(silent.len() > 100, "the test made no connections");
    let text = scrape(Ipv4Addr::new(127, 0, 0, 2), to);
    assert_eq!(value(&text, "podperf_sessions"), 0.0);
    server.assert_serves();
    drop(silent);
    server.assert_all_freed(TIMEOUT);
}
