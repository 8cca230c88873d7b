//! Slow links: what was measured stands, and what is still queued has its time.

use std::time::Duration;

use crate::support::namespaces::TwoHosts;
use crate::support::path::Path;
use crate::support::runs::ended_well;
use crate::support::weather::shaper::Shaper;
use crate::support::{list, number, root};

/// For a run of some seconds, what it has queued, and a busy machine.
const LIMIT: Duration = Duration::from_secs(100);
/// Of the link.
const BITS_PER_SECOND: u64 = 1_000_000;

#[test]
fn a_slow_link_is_measured_to_its_end_each_way() {
    if !root("a_slow_link_is_measured_to_its_end_each_way") {
        return;
    }
    let runs = ["stream -P 3", "stream -P 3 -R", "rr --request 4K -P 2"];
    let hosts: Vec<TwoHosts> =
        (0..runs.len()).map(|number| TwoHosts::up(&format!("sl{number}"))).collect();
    let paths: Vec<Path> = hosts.iter().map(Path::hosts).collect();
    let queue = Duration::from_millis(400);
    let _links: Vec<[Shaper; 2]> =
        hosts.iter().map(|hosts| Shaper::beyond(hosts, BITS_PER_SECOND, queue)).collect();
    let clients = runs
        .iter()
        .zip(&paths)
        .map(|(options, path)| (options, path.start(&format!("{options} -t 3 -O 1"))));
    for (options, client) in clients.collect::<Vec<_>>() {
        eprintln!("{options}");
        let outcome = client.wait(LIMIT);
        ended_well(&[options], &outcome);
        let json = &outcome.json;
        let rate = number(json, "/throughput/bits_per_second");
        let link = BITS_PER_SECOND as f64;
        assert!((0.3 * link..1.2 * link).contains(&rate), "{options}: {rate}");
        if options.starts_with("stream") {
            let drained =
                list(json, "/streams").iter().all(|own| own["lifetime"]["drained"] == true);
            assert!(drained, "{options}: {json:#}");
        }
    }
}
