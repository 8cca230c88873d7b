//! Plans whose every value is allowed and whose product is more than the machine has: each is
//! refused in words before anything is allocated, and whoever comes next is served.
//!
//! Servers stand under a limit on address space (RLIMIT_AS), a cgroup's, or their own
//! (`--max-memory`). Clients have no limit unless a test is about theirs.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use podperf_netperf::wire::ask::OmniRequest;
use podperf_netperf::wire::native::{ClientMessage, Extensions};

use crate::support::netserver::{Netserver, stream, transactions};
use crate::support::process::{Client, Outcome, Server, podperf_json, program};
use crate::support::sandbox::{MemoryCgroup, with_address_space};
use crate::support::{TIMEOUT, eventually, text};

/// Runs whose need at the server is far above what the limits of these tests leave.
const TOO_LARGE: [&[&str]; 6] = [
    &["stream", "-P", "8", "--server-workers", "8", "-l", "64M"],
    &["stream", "-P", "64", "--server-workers", "64", "-l", "64M"],
    &["stream", "-P", "5", "--server-workers", "5", "-l", "50M", "--recv", "uring"],
    &["stream", "-R", "-P", "4", "--server-workers", "4", "-l", "33M", "--send", "auto"],
    &["rr", "-P", "3", "--server-workers", "3", "--request", "64M", "--response", "47M"],
    &["rr", "--load", "12", "--load-length", "64M", "--server-workers", "12"],
];

/// Refused before anything moved, by the budget of the end `peer` names, with `parts` in the error.
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    outcome.assert_failed(3, &["it needs", "MiB of memory at this end", "memory budget of"]);
    outcome.assert_says(parts);
}

/// Every plan is refused with `parts`, and after each the next client is served.
fn assert_lives(server: &mut Server, parts: &[&str]) {
    for plan in TOO_LARGE {
        let target = server.target();
        // A client that is refused takes no memory.
        let outcome = podperf_json(&[plan, &[&target, "-t", "1"]].concat());
        assert!(server.alive(), "{plan:?} ended the server: {:#?}", server.log());
        assert_refused(&outcome, parts);
        assert_refused(&outcome, &[&target, "fewer streams or workers", "--max-memory"]);
        server.assert_serves();
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn plans_beyond_the_limit_on_address_space_are_refused_and_the_server_serves_on() {
    for (kib, budget) in [(400_000, "292 MiB"), (700_000, "512 MiB")] {
        let mut server = Server::launch(with_address_space(kib, program()), &[]);
        let origin = "75 % of the limit on address space (ulimit -v)";
        assert_lives(&mut server, &[budget, origin]);
        let modest = ["stream", &server.target(), "-P", "4", "-t", "0.3", "-O", "0.1", "-J"];
        assert_eq!(podperf_json(&modest).status, 0, "{:#?}", server.log());
    }
}

#[test]
fn plans_beyond_the_limit_of_a_cgroup_are_refused_and_the_server_serves_on() {
    let test = "plans_beyond_the_limit_of_a_cgroup_are_refused_and_the_server_serves_on";
    for mib in [300, 512] {
        let Some(group) = MemoryCgroup::make(test, mib << 20) else { return };
        let mut server = Server::launch(group.command(program()), &[]);
        let budget = format!("memory budget of {} MiB", mib * 3 / 4);
        assert_lives(&mut server, &[&budget, "75 % of the memory limit of its cgroup"]);
    }
}

/// Runs that take about all that one may in a cgroup of 300 MiB, which is 112 MiB at the server.
const NEARLY_TOO_LARGE: [&[&str]; 7] = [
    &["-P", "2", "--server-workers", "2", "-l", "54M"],
    &["-l", "53M", "--recv", "mmap"],
    &["-l", "53M", "--recv", "uring"],
    &["-R", "-l", "36M", "--send", "auto"],
    &["-R", "-l", "54M", "--send", "sendfile"],
    &["-R", "-l", "54M", "--send", "uring"],
    &["-R", "-P", "2", "--server-workers", "2", "-l", "52M", "--send", "splice"],
];

#[test]
fn what_the_budget_accepts_a_cgroup_of_that_size_carries() {
    let test = "what_the_budget_accepts_a_cgroup_of_that_size_carries";
    let Some(group) = MemoryCgroup::make(test, 300 << 20) else { return };
    let mut server = Server::launch(group.command(program()), &[]);
    for plan in NEARLY_TOO_LARGE {
        let target = server.target();
        let time = ["stream", &target, "-t", "0.3", "-O", "0.3"];
        let outcome = podperf_json(&[&time, plan].concat());
        assert!(server.alive(), "{plan:?} ended the server: {:#?}", server.log());
        assert!(!outcome.stderr.contains("memory budget"), "{plan:?}: {}", outcome.stderr);
        // What a kernel lacks is another matter.
        assert!([0, 3].contains(&outcome.status), "{plan:?}: {outcome:#?}");
    }
    server.assert_serves();
}

#[test]
fn runs_that_pass_the_budget_together_wait_for_one_to_end() {
    let server = Server::start(&["--max-memory", "100M"]);
    let target = server.target();
    let run = |time: &str| {
        let args = ["stream", &target, "-l", "25M", "-b", "1G", "-J", "-O", "0", "-t", time];
        Client::start(&args)
    };
    let first = [run("60"), run("60"), run("60")];
    let running = || server.log().iter().filter(|line| line.contains("run of ")).count();
    assert!(eventually(TIMEOUT, || running() == first.len()), "{:#?}", server.log());
    let refused = run("0.3").wait(TIMEOUT);
    let others = "other runs have";
    assert_eq!(text(&refused.json, "/errors/0/code"), "resource_exhausted", "{refused:#?}");
    assert_refused(&refused, &[&target, others, "100 MiB (--max-memory)", "try again later"]);
    // What is left is enough for a modest one.
    assert_eq!(podperf_json(&["rr", &target, "-n", "10", "-J"]).status, 0);
    let [over, ..] = &first;
    over.signal(Signal::SIGINT);
    let served = eventually(TIMEOUT, || run("0.3").wait(TIMEOUT).status == 0);
    assert!(served, "what was taken is not given back: {:#?}", server.log());
    let alone = podperf_json(&["stream", &target, "-l", "60M", "-t", "0.3", "-J"]);
    assert_refused(&alone, &["one run may take 50 MiB: half of", "100 MiB (--max-memory)"]);
    drop(first);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_client_holds_a_plan_to_its_own_budget_before_it_sends_a_packet() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let asked = ["-P", "9", "--workers", "9", "-l", "57M"];
    let launch =
        |args: &[&str]| Client::launch(with_address_space(400_000, program()), args).wait(TIMEOUT);
    let outcome = launch(&[&["stream", &target][..], &asked].concat());
    assert_refused(&outcome, &["memory budget of 292 MiB", "(ulimit -v)"]);
    let arrived = listener.accept().map(|(_, peer)| peer);
    assert_eq!(arrived.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    // With a server inside the process, both ends count.
    let outcome = launch(&["stream", "-P", "3", "-l", "60M", "--send", "zerocopy", "-t", "1"]);
    assert_refused(&outcome, &["memory budget of 292 MiB"]);
}

/// The program under the name netserver.
fn named_netserver() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("netserver");
    symlink(std::fs::canonicalize(program()).unwrap(), &name).expect("there is room");
    (folder, name)
}

/// Tests that need far more than the limits leave are refused by ENOMEM, and the next is served.
fn assert_netserver_lives(mut command: Command, args: &[&str], origin: &str) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Netserver::launch(command, args);
    let paced = OmniRequest { pace: [1, 1000], test_length: 60, ..stream(2) };
    for (streams, request) in [
        (16, OmniRequest { send_size: Some(64 << 20), ..paced.clone() }),
        (9, OmniRequest { send_size: Some(40 << 20), ..paced }),
        (4, transactions(64 << 20, 60 << 20)),
    ] {
        let mut client = server.client();
        let extensions = Extensions { streams, times_calls: true };
        client.ask(&ClientMessage::Next(extensions).write());
        assert_eq!(client.refusal(&request), libc::ENOMEM, "{streams} streams");
        let line = server.wait_for_log("it needs");
        assert!(line.contains("memory budget of") && line.contains(origin), "{line}");
        assert!(server.child.try_wait().unwrap().is_none(), "it has ended");
        server.assert_serves();
    }
}

#[test]
fn netserver_refuses_tests_beyond_its_budget_by_errno_and_serves_on() {
    let (_folder, netserver) = named_netserver();
    let limited = with_address_space(500_000, &netserver);
    assert_netserver_lives(limited, &[], "75 % of the limit on address space (ulimit -v)");
    let test = "netserver_refuses_tests_beyond_its_budget_by_errno_and_serves_on";
    if let Some(group) = MemoryCgroup::make(test, 400 << 20) {
        let limited = group.command(&netserver);
        assert_netserver_lives(limited, &[], "75 % of the memory limit of its cgroup");
    }
    assert_netserver_lives(Command::new(&netserver), &["--max-memory", "350M"], "(--max-memory)");
}
