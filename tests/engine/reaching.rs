//! Reaching a server: by which names, addresses and ports, and what is said where it cannot be
//! reached. podperf and netserver are held to the same.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::SockRef;

use crate::support::netserver::{Netserver, netperf, netserver};
use crate::support::process::{Client, Server, podperf, podperf_json};
use crate::support::wire::{Proxy, connect};
use crate::support::{TIMEOUT, root, text};

/// What a command leaves, which ends by itself.
fn output(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    child.expect("it starts").wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn two_servers_do_not_share_a_port() {
    let server = Server::start(&[]);
    let port = server.port.to_string();
    let second = Client::start(&["serve", "--bind", "127.0.0.1", "-p", &port]).wait(TIMEOUT);
    second.assert_failed(3, &[&port, "in use"]);
    server.assert_serves();

    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    let second = output(netserver().args(["-D", "-L", "127.0.0.1", "-p", &port]));
    assert!(!second.status.success(), "{second:?}");
    assert!(said(&second).contains(&port), "{second:?}");
    server.assert_serves();
}

#[test]
fn a_name_that_does_not_resolve_is_named() {
    let outcome = podperf_json(&["rr", "no.such.host.invalid", "-J"]);
    outcome.assert_failed(3, &["no.such.host.invalid"]);
    let outcome = podperf_json(&["rr", "127.0.0.1", "-6", "-J"]);
    outcome.assert_failed(2, &["127.0.0.1"]);
    let outcome = output(&mut netperf(&["-H", "no.such.host.invalid"]));
    assert_eq!(outcome.status.code(), Some(255), "{outcome:?}");
    assert!(said(&outcome).contains("no.such.host.invalid"), "{outcome:?}");
}

/// `program` where the name two-families is ::1 first, and 127.0.0.1.
fn with_two_families(hosts: &str, program: &Command) -> Command {
    let mut command = Command::new("unshare");
    let inside = format!("mount --bind {hosts} /etc/hosts && exec \"$0\" \"$@\"");
    command.args(["--mount", "sh", "-c", &inside]).arg(program.get_program());
    command.args(program.get_args()).env_remove("PODPERF_TOKEN");
    command
}

#[test]
fn every_address_of_a_name_is_tried() {
    if !root("every_address_of_a_name_is_tried") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "::1 two-families\n127.0.0.1 two-families\n").expect("there is room");
    let hosts = hosts.to_str().expect("a plain name");
    let server = Server::start(&[]);
    let mut client = podperf(None);
    client.args(["rr", "two-families", "-p", &server.port.to_string(), "-n", "50"]);
    let outcome = output(&mut with_two_families(hosts, &client));
    assert!(outcome.status.success(), "{}", said(&outcome));

    // It goes by the name that it is called by, which a link gives it.
    let link = folder.path().join("netperf");
    std::os::unix::fs::symlink(podperf(None).get_program(), &link).expect("there is room");
    let server = Netserver::start(&[]);
    let mut client = Command::new(link);
    client.args([
        "-H",
        "two-families",
        "-p",
        &server.port.to_string(),
        "-t",
        "TCP_RR",
        "-l",
        "-50",
    ]);
    let outcome = output(&mut with_two_families(hosts, &client));
    assert!(outcome.status.success(), "{}", said(&outcome));
}

#[test]
fn nothing_but_the_servers_port_is_needed() {
    // The proxy passes what comes to its port to the server's port, and nothing else.
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port);
    let target = format!("127.0.0.1:{}", proxy.port);
    for options in [&["stream"][..], &["stream", "-R"], &["stream", "--bidir"], &["rr", "-P", "3"]]
    {
        let args = [options, &[&target, "-t", "0.3", "-O", "0.1", "-J"]].concat();
        let outcome = podperf_json(&args);
        assert_eq!(outcome.status, 0, "{options:?}: {outcome:#?}");
    }
    let server = Netserver::start(&[]);
    let port = Proxy::before(server.port).port.to_string();
    for test in ["TCP_STREAM", "TCP_MAERTS", "TCP_RR"] {
        let args = ["-H", "127.0.0.1", "-p", &port, "-t", test, "-l", "1"];
        let outcome = output(&mut netperf(&args));
        assert!(outcome.status.success(), "{test}: {}", said(&outcome));
    }
}

#[test]
fn the_next_address_is_tried_where_another_program_answers_and_all_are_named() {
    let test = "the_next_address_is_tried_where_another_program_answers_and_all_are_named";
    if !root(test) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "::1 two-families\n127.0.0.1 two-families\n").expect("there is room");
    let hosts = hosts.to_str().expect("a plain name");
    let mut server = Server::start(&[]);
    // It speaks first, on the same port of the other address.
    let other = TcpListener::bind(("::1", server.port)).expect("it is free for IPv6");
    thread::spawn(move || {
        for mut stream in other.incoming().map_while(Result::ok) {
            let _ = std::io::Write::write_all(&mut stream, b"220 ready\r\n");
        }
    });
    let port = server.port.to_string();
    let mut client = podperf(None);
    client.args(["rr", "two-families", "-p", &port, "-n", "50"]);
    let outcome = output(&mut with_two_families(hosts, &client));
    assert!(outcome.status.success(), "{}", said(&outcome));
    server.kill();
    let outcome = output(&mut with_two_families(hosts, &client));
    assert_eq!(outcome.status.code(), Some(3), "{}", said(&outcome));
    for part in ["[::1]:", "220 ready", "127.0.0.1:", "refused"] {
        assert!(said(&outcome).contains(part), "no '{part}' in {}", said(&outcome));
    }
}

/// Passes the first `passed` connections on to a server and resets those that come later. Its port.
fn few_connections(server: u16, passed: usize) -> u16 {
    let proxy = Proxy::before(server);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            if count.fetch_add(1, Ordering::Relaxed) >= passed {
                let _ = SockRef::from(&near).set_linger(Some(std::time::Duration::ZERO));
                continue;
            }
            let far = connect(proxy.port);
            let _ = far.set_read_timeout(None);
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    port
}

#[test]
fn streams_that_cannot_all_connect_measure_nothing() {
    let server = Server::start(&[]);
    let target = format!("127.0.0.1:{}", few_connections(server.port, 3));
    let outcome = Client::start(&["stream", &target, "-P", "5", "-J"]).wait(TIMEOUT);
    outcome.assert_failed(3, &[&target]);
    assert_eq!(text(&outcome.json, "/status"), "incomplete");
    assert!(outcome.json["throughput"].is_null(), "{:#}", outcome.json);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}
