//! Another policy for a server that runs, and what a restart keeps.

use super::{PolicyFolder, anonymous, assert_refused, reload, run_from, start_from};
use crate::support::process::Server;
use crate::support::{TIMEOUT, count};
use nix::sys::signal::Signal;

#[test]
fn a_new_file_holds_from_the_next_run_on_and_a_broken_one_changes_nothing() {
    let folder = PolicyFolder::new(&anonymous("changing", 2, "run.time = \"2m\""));
    let server = folder.serve(&[]);
    let under_way = [1, 2].map(|host| start_from(&server, host, "stream -t 5 -O 0 -b 8M"));
    server.wait_for_log("run of ");
    folder.write("[[rule]]\nname = \"changing\"\naddresses = [\"any\"]\nanonymuos = true\n");
    reload(&server, "line 4, column 1, rule[1].anonymuos: there is no such key");
    assert!(server.log().iter().any(|line| line.contains("the policy stays as it was")));
    let still = run_from(&server, 2, "stream -t 0.5 -O 0");
    assert_eq!(still.status, 0, "{still:#?}");
    folder.write(&(anonymous("changing", 2, "run.time = \"1s\"") + super::UNTOUCHED));
    reload(&server, "is read again, 2 rules");
    let refused = run_from(&server, 2, "stream -t 3 -O 0");
    assert_refused(&refused, &["time of a run of rule 'changing': 3s asked for, 1s allowed"]);
    for client in under_way {
        let outcome = client.wait(TIMEOUT);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
    folder.write(super::UNTOUCHED);
    reload(&server, "is read again, 1 rules");
    let gone = run_from(&server, 2, "rr -n 10");
    assert_refused(&gone, &["no rule of this server's policy takes clients at 127.0.0.2"]);
    server.assert_serves();
}

#[test]
fn many_reloads_under_load_disturb_no_run() {
    let rules = |streams: u32| anonymous("load", 2, &format!("run.streams = {streams}"));
    let folder = PolicyFolder::new(&rules(4));
    let server = folder.serve(&[]);
    let under_way = start_from(&server, 2, "stream -P 4 -t 4 -O 0");
    server.wait_for_log("run of ");
    for round in 1..=20 {
        folder.write(&(rules(4 + round) + super::UNTOUCHED));
        reload(&server, "is read again");
        let outcome = run_from(&server, 2, &format!("rr -n 60 -P {}", 4 + round));
        assert_eq!(outcome.status, 0, "round {round}: {outcome:#?}");
    }
    let outcome = under_way.wait(2 * TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

/// Ends it as systemd does.
fn stop(server: Server) {
    server.signal(Signal::SIGTERM);
    let pid = server.pid();
    let ended = crate::support::eventually(TIMEOUT, || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert!(ended, "{:#?}", server.log());
}

#[test]
fn what_was_used_survives_a_restart_where_there_is_a_state_file() {
    let rules = anonymous("little", 2, "bytes_per_day = \"48M\"");
    let with_state = format!("state = \"kept/state.json\"\n{rules}");
    let folder = PolicyFolder::new(&with_state);
    std::fs::create_dir(folder.path("kept")).unwrap();
    let spent = "bytes a day of rule 'little' together: 48 MiB of 48 MiB used";
    let server = folder.serve(&[]);
    server.wait_for_log("counted anew: there is no ");
    let ended = run_from(&server, 2, "stream -t 60 -O 0 -b 800M");
    ended.assert_failed(4, &[spent]);
    assert!(count(&ended.json, "/throughput/bytes_received") > 0);
    stop(server);
    let kept = std::fs::read_to_string(folder.path("kept/state.json")).unwrap();
    assert!(kept.contains("podperf.policy-state/v1") && kept.contains("\"little\""), "{kept}");

    let server = folder.serve(&[]);
    server.wait_for_log("have used of it is in ");
    let refused = run_from(&server, 2, "rr -n 10");
    // A day may have ended meanwhile.
    if refused.status != 0 {
        assert_refused(&refused, &[spent, "T00:00:00Z"]);
    }
    server.assert_serves();
    stop(server);

    // A broken one is told, and nobody is kept out by it.
    std::fs::write(folder.path("kept/state.json"), "{").unwrap();
    let server = folder.serve(&[]);
    server.wait_for_log("warning: what is used of it is counted anew: read ");
    assert_eq!(run_from(&server, 2, "rr -n 10").status, 0);
    drop(server);

    folder.write(&(rules + super::UNTOUCHED));
    let server = folder.serve(&[]);
    server.wait_for_log("counted anew: it names no state file");
    assert_eq!(run_from(&server, 2, "rr -n 10").status, 0);
}
