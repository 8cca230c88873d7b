//! A path on which small packets pass and full segments vanish: the run's error says so with the
//! sizes, and `podperf doctor` finds it before.

use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::process::{Client, Server, check, doctor};
use crate::support::weather::black_hole::BlackHole;
use crate::support::{count, list, root, text};

/// For a run that breaks off, on a busy machine.
const RUN: Duration = Duration::from_secs(60);
const HOST_B: &str = "192.0.2.2";
/// Packets of more than so many bytes vanish.
const LIMIT_BYTES: u32 = 1300;

/// The error that names the path's MTU.
fn named(json: &Value) -> &Value {
    let errors = list(json, "/errors");
    let found = errors.iter().find(|error| error["code"] == "path_mtu");
    found.unwrap_or_else(|| panic!("no path_mtu: {errors:#?}"))
}

#[test]
fn a_run_on_a_path_that_loses_full_segments_names_the_sizes() {
    let test = "a_run_on_a_path_that_loses_full_segments_names_the_sizes";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("mtu");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let target = format!("{HOST_B}:{}", server.port);
    let run = |place: &str, options: &str| {
        let mut args: Vec<&str> = options.split(' ').collect();
        args.insert(1, &target);
        args.extend(["-t", "1", "-O", "0.2", "-J"]);
        Client::in_namespace(&hosts.place(place), &args).wait(RUN)
    };
    // What vanishes goes up, or down to the client, whose reports go with it.
    for (place, way, workload) in [
        ("hostB", "up", "stream"),
        ("hostB", "up", "rr --request 4K"),
        ("hostB", "up", "crr --request 4K"),
        ("hostA", "down", "stream -R"),
    ] {
        let _hole = BlackHole::of_larger_than(&hosts.place(place), LIMIT_BYTES);
        let outcome = run("hostA", workload);
        assert!([3, 4].contains(&outcome.status), "{workload}: {outcome:#?}");
        let error = named(&outcome.json);
        for part in ["path MTU", "1300 bytes pass", "1301 bytes"] {
            assert!(text(error, "/cause").contains(part), "{workload}: {error:#}");
        }
        assert!(text(error, "/remedy").contains("-M 1260"), "{workload}: {error:#}");
        let sizes = |what: &str| count(&outcome.json, &format!("/path_mtu/{way}/{what}"));
        assert_eq!(sizes("passed_bytes"), u64::from(LIMIT_BYTES), "{:#}", outcome.json["path_mtu"]);
        assert_eq!(sizes("lost_bytes"), u64::from(LIMIT_BYTES) + 1);
        assert_eq!(sizes("full_bytes"), 1500);
    }
    // What the remedy says passes.
    let _hole = BlackHole::of_larger_than(&hosts.place("hostB"), LIMIT_BYTES);
    let outcome = run("hostA", "rr --request 4K -M 1260");
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

#[test]
fn the_doctor_finds_it_before_the_run() {
    let test = "the_doctor_finds_it_before_the_run";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("mtd");
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let target = format!("{HOST_B}:{}", server.port);
    for (place, way) in [("hostB", "to the server"), ("hostA", "from the server")] {
        let _hole = BlackHole::of_larger_than(&hosts.place(place), LIMIT_BYTES);
        let checks = doctor(&hosts.place("hostA"), &target);
        let path = check(&checks, "path_mtu");
        assert_eq!(text(path, "/status"), "fail", "{path:#}");
        let said = format!("{way} packets of 1300 bytes pass and those of 1301 bytes do not");
        assert!(text(path, "/finding").contains(&said), "{path:#}");
        assert!(text(path, "/remedy").contains("-M 1260"), "{path:#}");
    }
}
