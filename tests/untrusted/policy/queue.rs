//! Queues: who waits is told its place, goes on waiting and then runs.

use super::{PolicyFolder, anonymous, assert_refused, run_from, start_from};
use crate::support::TIMEOUT;
use crate::support::process::Client;

fn queue(lines: &str) -> PolicyFolder {
    PolicyFolder::new(&anonymous("queue", 2, &format!("sessions = 1\n{lines}")))
}

#[test]
fn who_waits_is_told_its_place_and_runs_when_others_have_ended() {
    let folder = queue("queue = { length = 2, wait = \"90s\" }");
    let server = folder.serve(&[]);
    let first = start_from(&server, 2, "stream -t 60 -O 0 -b 1M");
    server.wait_for_log("run of ");
    let second = start_from(&server, 2, "rr -n 10");
    server.wait_for_log("place 1");
    let third = start_from(&server, 2, "rr -n 11");
    server.wait_for_log("place 2");
    // The queue is full.
    let fourth = run_from(&server, 2, "rr -n 12");
    let words = "sessions at once of rule 'queue' together: 1 of 1 used, and 2 runs wait already";
    assert_refused(&fourth, &[words, "come again later"]);
    let untouched = run_from(&server, 1, "rr -n 100");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
    // Longer than the client waits for any other answer.
    std::thread::sleep(std::time::Duration::from_secs(6));
    drop(first);
    let ended = [second, third].map(|client: Client| client.wait(3 * TIMEOUT));
    for (outcome, place) in ended.iter().zip(["place 1", "place 2"]) {
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        outcome.assert_says(&["waiting in the server's queue: ", place, "at most"]);
    }
    ended[1].assert_says(&["place 1"]);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn who_has_waited_long_enough_or_leaves_makes_room_for_others() {
    let folder = queue("queue = { length = 1, wait = \"3s\" }");
    let server = folder.serve(&[]);
    let first = start_from(&server, 2, "stream -t 60 -O 0 -b 1M");
    server.wait_for_log("run of ");
    let late = run_from(&server, 2, "rr -n 10");
    assert_refused(&late, &["3s in the queue, which is the longest", "place 1"]);
    let leaves = start_from(&server, 2, "rr -n 10 --deadline 1s");
    let left = leaves.wait(TIMEOUT);
    assert_eq!(left.status, 5, "{left:#?}");
    // Its place is free again.
    let served = crate::support::eventually(TIMEOUT, || {
        run_from(&server, 2, "rr -n 10 --deadline 1s").stderr.contains("place 1")
    });
    assert!(served, "{:#?}", server.log());
    drop(first);
    let next = run_from(&server, 2, "rr -n 10");
    assert_eq!(next.status, 0, "{next:#?}");
    server.assert_all_freed(TIMEOUT);
}
