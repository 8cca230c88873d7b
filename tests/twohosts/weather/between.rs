//! What stands between the ends is told: address translation, a proxy, a firewall that leaves the
//! control port alone, and others who measure with the same server.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::process::{Client, Outcome, Server, check, doctor};
use crate::support::weather::closed_ports::ClosedPorts;
use crate::support::weather::load_balancer::{ADDRESS, Choice, LoadBalancer};
use crate::support::weather::nat::{Masquerade, tcp_proxy};
use crate::support::{at, codes, count, root, text};

/// For a run of a second on a busy machine.
const RUN: Duration = Duration::from_secs(60);
const HOST_B: &str = "192.0.2.2";

fn rr(hosts: &TwoHosts, place: &str, target: &str) -> Value {
    let args = ["rr", target, "-t", "0.2", "-O", "0.1", "-J"];
    let outcome = Client::in_namespace(&hosts.place(place), &args).wait(RUN);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    outcome.json
}

fn between<'a>(json: &'a Value, what: &str) -> &'a str {
    text(json, &format!("/between/{what}"))
}

#[test]
fn translation_and_proxies_are_told_apart() {
    let test = "translation_and_proxies_are_told_apart";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("nat");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let direct = format!("{HOST_B}:{}", server.port);

    let json = rr(&hosts, "hostA", &direct);
    assert_eq!(between(&json, "kind"), "direct", "{:#}", json["between"]);
    assert_eq!(between(&json, "dialed_address"), direct);
    assert!(!codes(&json).contains(&"proxy"));

    for random in [false, true] {
        let _masquerade = Masquerade::up(&hosts, random);
        let json = rr(&hosts, "podA", &direct);
        assert_eq!(between(&json, "kind"), "nat", "{:#}", json["between"]);
        assert!(between(&json, "client_address").starts_with("10.244.0.2:"), "{json:#}");
        assert!(between(&json, "seen_client_address").starts_with("192.0.2.1:"), "{json:#}");
        assert_eq!(between(&json, "server_address"), direct);
        assert!(!codes(&json).contains(&"proxy"));
    }
    {
        let _service = LoadBalancer::up(&hosts, &[server.port], Choice::Affinity);
        let json = rr(&hosts, "hostA", &format!("{ADDRESS}:{}", server.port));
        assert_eq!(between(&json, "kind"), "nat", "{:#}", json["between"]);
        assert_eq!(between(&json, "server_address"), direct);
        assert!(between(&json, "dialed_address").starts_with(ADDRESS));
    }
    let to: SocketAddr = direct.parse().expect("an address");
    let proxy = tcp_proxy(&hosts.place("hostA"), to);
    let json = rr(&hosts, "podA", &format!("10.244.0.1:{proxy}"));
    assert_eq!(between(&json, "kind"), "proxy", "{:#}", json["between"]);
    assert!(codes(&json).contains(&"proxy"), "{:#}", json["warnings"]);
    // On the server's own host the addresses alone would not tell.
    let proxy = tcp_proxy(&hosts.place("hostB"), to);
    let json = rr(&hosts, "hostA", &format!("{HOST_B}:{proxy}"));
    assert_eq!(between(&json, "kind"), "proxy", "{:#}", json["between"]);
}

/// The status of the check `name`.
fn status<'a>(checks: &'a Value, name: &str) -> &'a str {
    text(check(checks, name), "/status")
}

#[test]
fn the_doctor_tells_what_is_between() {
    let test = "the_doctor_tells_what_is_between";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("doc");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let direct = format!("{HOST_B}:{}", server.port);
    let fine = doctor(&hosts.place("hostA"), &direct);
    for name in ["server", "server_between", "server_instances", "server_udp", "path_mtu"] {
        assert_eq!(status(&fine, name), "ok", "{name}: {fine:#}");
    }
    {
        let _closed = ClosedPorts::but(&hosts.place("hostB"), server.port);
        let closed = doctor(&hosts.place("hostA"), &direct);
        assert_eq!(status(&closed, "server"), "ok", "{closed:#}");
        assert_eq!(status(&closed, "server_udp"), "warn", "{closed:#}");
        for workload in ["udp", "crr"] {
            let args = [workload, &direct, "--connect-timeout", "1s", "-t", "0.2", "-J"];
            let outcome = Client::in_namespace(&hosts.place("hostA"), &args).wait(RUN);
            let said = if workload == "udp" { "firewalls" } else { "--data-port" };
            outcome.assert_failed(3, &[said]);
        }
    }
    let port = server.port.to_string();
    let _second = Server::in_namespace(&hosts.place("podB"), &["-p", &port]);
    let _balancer = LoadBalancer::up(&hosts, &[server.port], Choice::InTurn);
    let several = doctor(&hosts.place("hostA"), &format!("{ADDRESS}:{port}"));
    assert_eq!(status(&several, "server_instances"), "fail", "{several:#}");
    let nobody = doctor(&hosts.place("hostA"), &format!("{HOST_B}:9"));
    assert_eq!(status(&nobody, "server"), "fail", "{nobody:#}");
}

#[test]
fn sessions_at_the_same_time_are_counted_and_warned_of() {
    let test = "sessions_at_the_same_time_are_counted_and_warned_of";
    if !root(test) {
        return;
    }
    let hosts = TwoHosts::up("ses");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let target = format!("{HOST_B}:{}", server.port);
    let alone = rr(&hosts, "hostA", &target);
    assert_eq!(count(&alone, "/other_sessions"), 0);
    assert!(!codes(&alone).contains(&"other_sessions"));
    let place = hosts.place("hostA");
    let args = ["rr", &target, "-t", "6", "-O", "0.1", "-J"];
    let long = Client::in_namespace(&place, &args);
    server.wait_for_log("run of ");
    // It has begun when its bytes are counted; until then it may stand at the gate.
    std::thread::sleep(Duration::from_secs(1));
    let short = rr(&hosts, "hostA", &target);
    let long: Outcome = long.wait(RUN);
    for json in [&short, &long.json] {
        assert_eq!(count(json, "/other_sessions"), 1, "{:#}", at(json, "/warnings"));
        assert!(codes(json).contains(&"other_sessions"), "{:#}", json["warnings"]);
    }
}
