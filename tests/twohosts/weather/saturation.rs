//! How many streams fill a path, where something that no end can see holds it to a rate.

use std::time::Duration;

use crate::support::namespaces::TwoHosts;
use crate::support::process::{Client, Server};
use crate::support::weather::shaper::Shaper;
use crate::support::{list, number, root, text};

/// For a search of half a minute on a busy machine.
const SEARCH: Duration = Duration::from_secs(120);
/// Little enough for a busy machine.
const RATE_BITS_PER_SECOND: u64 = 500_000_000;
/// What waits before the shaper.
const QUEUE: Duration = Duration::from_millis(50);

#[test]
fn four_streams_of_a_quarter_fill_a_path_that_the_network_bounds() {
    if !root("four_streams_of_a_quarter_fill_a_path_that_the_network_bounds") {
        return;
    }
    let hosts = TwoHosts::up("sa");
    // On the hosts' wire, below the overlay: the pods' own devices have no rate.
    let _beyond = Shaper::beyond(&hosts, RATE_BITS_PER_SECOND, QUEUE);
    let server = Server::in_namespace(&hosts.place("podB"), &[]);
    let target = format!("10.244.1.2:{}", server.port);
    let options = ["-b", "125M", "-t", "0.5", "--tolerance", "10%"];
    let words = [&["saturate", &target, "-J"], &options[..]].concat();
    let outcome = Client::in_namespace(&hosts.place("podA"), &words).wait(SEARCH);
    let json = &outcome.json;
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert_eq!(text(json, "/outcome"), "saturates", "{:#}", json["curve"]);
    let answer = number(json, "/n95/streams");
    assert!((4.0..=5.0).contains(&answer), "{answer}: {:#}", json["curve"]);
    assert_eq!(text(json, "/bound/bound_by"), "path", "{:#}", json["bound"]);
    assert!(text(json, "/bound/evidence/0").contains("data waits in a queue on the path"));
    let at = |when: &str| number(json, &format!("/latency/{when}/latency/p50_ns"));
    assert!(at("at_n95") > at("idle"), "{} {}", at("at_n95"), at("idle"));
    let beyond = list(json, "/curve").iter().filter(|point| number(point, "/streams") > answer);
    assert_eq!(beyond.count(), 2, "two further numbers: {:#}", json["curve"]);
}
