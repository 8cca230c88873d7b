//! netserver under a policy: what podperf's netperf is told in words, and any other by errno.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use podperf_netperf::wire::ask::OmniRequest;
use podperf_netperf::wire::native::words;
use podperf_netperf::wire::reply::OmniResponse;
use podperf_netperf::wire::{WireMessage, kind};

use super::{PolicyFolder, anonymous, rule, text};
use crate::support::netserver::{Client, Netserver, netperf, stream, transactions};
use crate::support::process::{Client as Process, Outcome, send};
use crate::support::wire::connect_from;
use crate::support::{TIMEOUT, eventually};

/// A netserver on all addresses of loopback.
fn serve(folder: &PolicyFolder) -> Netserver {
    Netserver::start(&["--policy", text(&folder.file())])
}

/// podperf's netperf at 127.0.0.`host`.
fn command(server: &Netserver, host: u8) -> Command {
    let (port, own) = (server.port.to_string(), format!("127.0.0.{host}"));
    netperf(&["-H", "127.0.0.1", "-p", &port, "-L", &own, "-P", "0"])
}

fn run_from(server: &Netserver, host: u8, words: &str) -> Outcome {
    let words: Vec<&str> = words.split_whitespace().collect();
    Process::launch(command(server, host), &words).wait(3 * TIMEOUT)
}

/// A client at 127.0.0.`host` that knows netperf's words alone.
fn classic(server: &Netserver, host: u8) -> Client {
    Client(connect_from([127, 0, 0, host], server.port))
}

fn assert_told(outcome: &Outcome, parts: &[&str]) {
    assert!(outcome.status != 0, "{outcome:#?}");
    outcome.assert_says(parts);
}

#[test]
fn every_limit_is_told_in_words_to_podperf_and_by_errno_to_others() {
    let runs = "[[rule]]\nname = \"few\"\naddresses = [\"127.0.0.5\"]\nanonymous = true\n\
                runs_per_hour = 1\n";
    let folder = PolicyFolder::new(
        &(anonymous("short", 2, "run = { time = \"2s\", streams = 2, udp = false }")
            + &anonymous("one", 3, "sessions = 1")
            + runs),
    );
    let server = serve(&folder);
    for (words, part) in [
        ("-l 3", "time of a run of rule 'short': 3s asked for, 2s allowed"),
        ("-l 1 --streams 3", "streams of a run of rule 'short': 3 asked for, 2 allowed"),
        ("-l 1 -t UDP_RR", "rule 'short' allows no runs of UDP"),
    ] {
        assert_told(&run_from(&server, 2, words), &[part]);
    }
    let mut client = classic(&server, 2);
    assert_eq!(client.refusal(&OmniRequest { test_length: 3, ..stream(4) }), libc::ERANGE);
    let allowed = run_from(&server, 2, "-l 1 --streams 2");
    assert_eq!(allowed.status, 0, "{allowed:#?}");

    let mut holder = classic(&server, 3);
    // It has its place from the answer on.
    assert_eq!(holder.response(&OmniRequest { test_length: 600, ..stream(4) }).errno, 0);
    let refused = run_from(&server, 3, "-l 1");
    assert_told(&refused, &["sessions at once of rule 'one' together: 1 of 1 used", "come again"]);
    assert_eq!(classic(&server, 3).refusal(&stream(4)), libc::EUSERS);
    drop(holder);
    assert!(eventually(TIMEOUT, || run_from(&server, 3, "-l 1").status == 0));

    // An hour may end meanwhile.
    let served = (0..4).map(|_| run_from(&server, 5, "-l 1")).take_while(|run| run.status == 0);
    assert!((1..4).contains(&served.count()));
    let refused = run_from(&server, 5, "-l 1 -t TCP_RR");
    let part = "runs an hour of rule 'few' together: 1 of 1 used; come again at ";
    assert_told(&refused, &[part, ":00:00Z"]);
    assert_eq!(classic(&server, 5).refusal(&transactions(1, 1)), libc::EDQUOT);

    let nobody = run_from(&server, 9, "-l 1");
    assert_told(&nobody, &["no rule of this server's policy takes clients at 127.0.0.9"]);
    assert_eq!(classic(&server, 9).refusal(&stream(4)), libc::EACCES);
    server.assert_serves();
    server.assert_no_panic();
}

#[test]
fn a_test_that_goes_beyond_its_rate_or_the_bytes_of_the_day_is_ended_and_told() {
    let folder = PolicyFolder::new(
        &(anonymous("slow", 2, "run.rate = \"40M\"")
            + &anonymous("little", 3, "bytes_per_day = \"32M\"")),
    );
    let server = serve(&folder);
    let ended = run_from(&server, 2, "-l 30");
    assert_told(&ended, &["rate of a run of rule 'slow': more is received than 40 Mbit/s allow"]);
    ended.assert_says(&["netperf: incomplete: "]);
    let paced = run_from(&server, 2, "-l 3 -t TCP_MAERTS -f m");
    assert_eq!(paced.status, 0, "{paced:#?}");
    let rate: f64 = paced.stdout.split_whitespace().last().unwrap().parse().unwrap();
    assert!((5.0..60.0).contains(&rate), "{rate} Mbit/s under 40");
    for words in ["-l 60", "-l 60 -t TCP_MAERTS"] {
        let spent = run_from(&server, 3, words);
        let part = "bytes a day of rule 'little' together: 32 MiB of 32 MiB used; come again at ";
        assert_told(&spent, &[part, "T00:00:00Z"]);
    }
    assert_eq!(classic(&server, 3).refusal(&stream(4)), libc::EDQUOT);
    let untouched = run_from(&server, 1, "-l 1");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
    server.assert_no_panic();
}

#[test]
fn a_passphrase_is_a_token_of_the_policy() {
    let tokens = "[[rule.token]]\nsecret = \"first token\"\n[[rule.token]]\n\
                  secret = \"an old one\"\nnot_after = 2026-01-02\n";
    let folder = PolicyFolder::new(&rule("known", 2, tokens));
    let server = serve(&folder);
    let run = |passphrase: &str| {
        let mut command = command(&server, 2);
        command.args(["-Z", passphrase, "-l", "1"]);
        Process::launch(command, &[]).wait(3 * TIMEOUT)
    };
    let known = run("first token");
    assert_eq!(known.status, 0, "{known:#?}");
    assert_told(&run("an old one"), &["this token ended at 2026-01-02T00:00:00Z"]);
    assert!(run_from(&server, 2, "-l 1").status != 0);
    let untouched = run_from(&server, 1, "-l 1");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
}

#[test]
fn a_test_waits_in_the_queue_and_podperf_is_told_its_place() {
    let lines = "sessions = 1\nqueue = { length = 2, wait = \"60s\" }";
    let folder = PolicyFolder::new(&anonymous("queue", 2, lines));
    let server = serve(&folder);
    let mut holder = classic(&server, 2);
    // It has its place from the answer on.
    assert_eq!(holder.response(&OmniRequest { test_length: 600, ..stream(4) }).errno, 0);
    let waits = Process::launch(command(&server, 2), &["-l", "1"]);
    server.wait_for_log("waits in the queue of rule 'queue'");
    // One that has no words waits in silence.
    let mut silent = classic(&server, 2);
    silent.send(&OmniRequest { test_length: -3, ..transactions(1, 1) }.write());
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(holder);
    let waited = waits.wait(3 * TIMEOUT);
    assert_eq!(waited.status, 0, "{waited:#?}");
    waited.assert_says(&["netperf: waiting in the queue of 127.0.0.1:", "place 1, for "]);
    let mut answer = WireMessage::default();
    std::io::Read::read_exact(&mut silent.0, &mut answer.0).unwrap();
    assert_eq!((answer.kind(), answer.errno()), (kind::OMNI_RESPONSE, 0));
    assert_eq!(words(&answer), None);
    assert!(OmniResponse::read(&answer).data_port > 0);
}

#[test]
fn a_broken_policy_and_two_kinds_of_passphrase_start_no_netserver() {
    let folder = PolicyFolder::new("");
    let start = |args: &[&str]| {
        let mut command = crate::support::netserver::netserver();
        command.args(["-D", "-p", "0", "-L", "127.0.0.1"]).args(args).stderr(Stdio::piped());
        Process::launch(command, &[]).wait(TIMEOUT)
    };
    let file = folder.file();
    let both = start(&["--policy", text(&file), "-Z", "passphrase"]);
    both.assert_failed(1, &["-Z is of no use with --policy"]);
    folder.write("[[rule]]\nname = 3\n");
    let broken = start(&["--policy", text(&file)]);
    broken.assert_failed(1, &["policy.toml: line 2, column 1, rule[1].name: allowed: a text"]);
}

#[test]
fn another_policy_holds_from_the_next_test_on_and_what_was_used_survives_a_restart() {
    let rules = |most: &str| {
        format!("state = \"state.json\"\n{}", anonymous("kept", 2, most)) + super::UNTOUCHED
    };
    let folder = PolicyFolder::new("");
    folder.write(&rules("run.time = \"1s\""));
    let mut server = serve(&folder);
    assert_told(&run_from(&server, 2, "-l 2"), &["2s asked for, 1s allowed"]);
    folder.write("rule = 3");
    send(server.child.id(), Signal::SIGHUP);
    server.wait_for_log("line 1, column 1, rule: allowed: tables");
    assert_told(&run_from(&server, 2, "-l 2"), &["2s asked for, 1s allowed"]);
    folder.write(&rules("bytes_per_day = \"16M\""));
    send(server.child.id(), Signal::SIGHUP);
    server.wait_for_log("is read again, 2 rules");
    let spent = "bytes a day of rule 'kept' together: 16 MiB of 16 MiB used";
    assert_told(&run_from(&server, 2, "-l 60"), &[spent]);
    send(server.child.id(), Signal::SIGTERM);
    assert!(eventually(TIMEOUT, || server.child.try_wait().unwrap().is_some()), "it does not end");
    let kept = std::fs::read_to_string(folder.path("state.json")).unwrap();
    assert!(kept.contains("\"kept\""), "{kept}");
    let server = serve(&folder);
    let again = run_from(&server, 2, "-l 1");
    // A day may have ended meanwhile.
    if again.status != 0 {
        assert_told(&again, &[spent, "come again at "]);
    }
    server.assert_serves();
}
