//! Faults between two hosts and between their pods: a server that is killed, connections that its
//! host breaks off, and a stop while nothing gets through any more. Each meets a run of every kind.

use crate::support::mixed_runs::{self, MixedRuns};
use crate::support::namespaces::{TwoHosts, cut, nft};
use crate::support::path::Path;
use crate::support::{TIMEOUT, at, list, root, sum};
use nix::sys::signal::Signal;

/// Both paths, and where their clients and server are.
fn paths(hosts: &TwoHosts) -> [(Path, [&'static str; 2]); 2] {
    [(Path::hosts(hosts), ["hostA", "hostB"]), (Path::pods(hosts), ["podA", "podB"])]
}

/// The server has nothing left, and serves the next.
fn assert_goes_on(path: &Path) {
    path.server.assert_all_freed(TIMEOUT);
    assert_eq!(path.start("rr -n 10").wait(TIMEOUT).status, 0, "{:#?}", path.server.log());
}

#[test]
fn a_killed_server_ends_runs_of_every_kind() {
    if !root("a_killed_server_ends_runs_of_every_kind") {
        return;
    }
    let hosts = TwoHosts::up("fk");
    for (mut path, _) in paths(&hosts) {
        let mixed_runs = MixedRuns::start(&path, mixed_runs::all());
        path.server.signal(Signal::SIGKILL);
        let host = mixed_runs.target().split(':').next().expect("a first part").to_owned();
        mixed_runs.assert_ended(4, &["podperf: error: ", &host], |_, _| {});
        path.server.kill();
    }
}

#[test]
fn connections_that_the_peer_breaks_off_end_their_runs_and_are_named() {
    let test = "connections_that_the_peer_breaks_off_end_their_runs_and_are_named";
    if !root(test) {
        return;
    }
    let hosts = TwoHosts::up("fc");
    for (path, _) in paths(&hosts) {
        let mixed_runs = MixedRuns::start(&path, mixed_runs::lasting());
        let connections = mixed_runs.connections();
        if !cut(path.server_place.as_deref(), path.server.port, &connections) {
            eprintln!("{test}: skipped: this kernel destroys no sockets");
            return;
        }
        mixed_runs.assert_ended(4, &["podperf: error: ", &path.target], |options, json| {
            let named = list(json, "/errors").iter().any(|error| error["stream"].is_u64());
            assert!(named, "{options}: no stream is named: {:#}", json["errors"]);
        });
        assert_goes_on(&path);
    }
}

#[test]
fn a_stop_while_nothing_gets_through_ends_runs_of_every_kind() {
    let test = "a_stop_while_nothing_gets_through_ends_runs_of_every_kind";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("fs");
    for (path, [from, to]) in paths(&hosts) {
        let lasting = MixedRuns::start(&path, mixed_runs::lasting());
        let ports = lasting.connections().join(", ");
        let fleeting = MixedRuns::start(&path, mixed_runs::fleeting());
        for place in [from, to] {
            hosts.nft(place, "add table inet hold");
            hosts.nft(place, "add chain inet hold in { type filter hook prerouting priority 0; }");
        }
        // All but the control connections.
        let port = path.server.port;
        for (place, rule) in [
            (to, format!("tcp dport {port} tcp sport {{ {ports} }}")),
            (from, format!("tcp sport {port} tcp dport {{ {ports} }}")),
            (to, format!("tcp dport != {port}")),
            (to, format!("udp dport {port}")),
        ] {
            hosts.nft(place, &format!("add rule inet hold in {rule} drop"));
        }
        lasting.wait_until_stuck();
        for mixed_runs in [&lasting, &fleeting] {
            mixed_runs.each(|client| client.signal(Signal::SIGINT));
        }
        lasting.assert_ended(130, &["SIGINT"], |options, json| {
            let moved = |what: &str| sum(json, &format!("/lifetime/{what}"));
            let (sent, received) = (moved("bytes_sent"), moved("bytes_received"));
            assert!(received > 0, "{options}");
            // The way to the server was closed first; until the way back was, the server may have
            // been held up by the acknowledgements alone.
            let lost = if options.contains("-R") { sent >= received } else { sent > received };
            assert!(lost, "{options}: {sent} sent, {received} received");
            for stream in list(json, "/streams") {
                assert_eq!(at(stream, "/lifetime/drained"), false, "{options}: {stream:#}");
            }
        });
        // Beside so many streams they may have lost a packet before, and wait for it since.
        fleeting.assert_ended(130, &["SIGINT"], |_, _| {});
        for place in [from, to] {
            hosts.nft(place, "delete table inet hold");
        }
        assert_goes_on(&path);
    }
}
