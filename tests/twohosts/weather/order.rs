//! Datagrams that come twice or overtake each other are counted as what they are, and no run ends
//! by it.

use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::path::Path;
use crate::support::weather::duplicate::Duplicate;
use crate::support::weather::reorder::Reorder;
use crate::support::{codes, count, root, text};

const LIMIT: Duration = Duration::from_secs(60);
const LONG: &str = "-t 3 -O 0.1 -i 0.5 --connect-timeout 20";

/// A stream of datagrams and, at the same time, `exchange` come to their ends; the stream's result.
fn complete(path: &Path, exchange: &str) -> Value {
    let runs = ["udp -b 10M -l 1400 --gso off", exchange]
        .map(|kind| (kind, path.start(&format!("{kind} {LONG}"))));
    let [stream, _] = runs.map(|(kind, client)| {
        let outcome = client.wait(LIMIT);
        assert_eq!(outcome.status, 0, "{kind}: {outcome:#?}");
        assert_eq!(text(&outcome.json, "/status"), "complete");
        outcome.json
    });
    stream
}

#[test]
fn datagrams_that_are_overtaken_are_reordered_and_not_lost() {
    let test = "datagrams_that_are_overtaken_are_reordered_and_not_lost";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("wo");
    let path = Path::hosts(&hosts);
    let here = hosts.place("hostA");
    // A tenth of 10 Mbit/s waits where 2 Mbit/s fit: each for 6 ms, in which five others go by.
    let reorder = Reorder::leaving((&here, "wire"), "meta l4proto udp", 10, 2_000_000);
    let stream = complete(&path, "udp --rr -P 4");
    let own = |what: &str| count(&stream, &format!("/udp/datagrams/{what}"));
    assert!(own("reordered") > 0 && own("reorder_distance_max") > 0, "{stream:#}");
    assert_eq!(own("duplicates"), 0);
    assert_eq!(own("received") + own("lost"), own("sent"));
    assert!(codes(&stream).contains(&"datagrams_reordered"));
    drop(reorder);
}

#[test]
fn copies_of_datagrams_are_duplicates_and_stand_in_no_other_figure() {
    let test = "copies_of_datagrams_are_duplicates_and_stand_in_no_other_figure";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("wd");
    let path = Path::hosts(&hosts);
    let here = hosts.place("hostA");
    let Some(duplicate) = Duplicate::leaving(&here, "meta l4proto udp", 5, "192.0.2.2") else {
        eprintln!("{test}: skipped: this kernel copies no packets");
        return;
    };
    let stream = complete(&path, "udp --rr");
    let own = |what: &str| count(&stream, &format!("/udp/datagrams/{what}"));
    assert!(own("duplicates") > 0, "{stream:#}");
    assert_eq!(own("received") + own("lost"), own("sent"));
    drop(duplicate);
}
