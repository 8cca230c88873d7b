//! CPUs that are taken away from an end while it measures, by a smaller cpuset or by taskset(1):
//! the result says so, and of which end; a netserver's log does too.

use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use podperf_engine::metrics::topology::allowed_cpus;
use podperf_model::plan::cpu_list;
use serde_json::Value;

use crate::support::netserver::{Netserver, netperf};
use crate::support::process::{Client, Server, podperf, program};
use crate::support::sandbox::CpusetCgroup;
use crate::support::{TIMEOUT, codes, eventually, list, text};

/// Some way into a run of three seconds.
const MID_RUN: Duration = Duration::from_millis(900);
const CODE: &str = "cpus_changed";

/// All CPUs that this process may use, and the first and the last of them; absent, and said so,
/// where there are no two.
fn cpus(test: &str) -> Option<(String, u32, u32)> {
    let all = allowed_cpus().expect("known here");
    let [first, .., last] = all[..] else {
        eprintln!("{test}: skipped: needs two CPUs");
        return None;
    };
    Some((cpu_list(&all), first, last))
}

/// Lets every thread of a process run on this CPU alone, as `taskset -ap` does.
fn confine(pid: u32, cpu: u32) {
    let mut set = CpuSet::new();
    set.set(cpu as usize).expect("it has such a number");
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs") {
        let id = task.expect("it is there").file_name().into_string().expect("a number");
        // A thread may have ended meanwhile.
        let _ = sched_setaffinity(Pid::from_raw(id.parse().expect("a number")), &set);
    }
}

/// What the warnings of a document say of allowed CPUs.
fn told(document: &Value) -> Vec<&str> {
    let warnings = list(document, "/warnings").iter();
    let of_cpus = warnings.filter(|warning| text(warning, "/code") == CODE);
    of_cpus.map(|warning| text(warning, "/text")).collect()
}

fn run(server: &Server, options: &[&str]) -> Client {
    let target = server.target();
    let args = [&["stream", &target, "-t", "3", "-O", "0.1", "-J"], options].concat();
    let client = Client::start(&args);
    server.wait_mid_run(MID_RUN);
    client
}

#[test]
fn cpus_taken_away_by_taskset_are_told_of_the_end_that_lost_them() {
    let test = "cpus_taken_away_by_taskset_are_told_of_the_end_that_lost_them";
    let Some((all, first, last)) = cpus(test) else { return };
    let server = Server::start(&[]);
    let outcome = run(&server, &["-P", "2"]).wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!codes(&outcome.json).contains(&CODE), "{:#?}", outcome.json["warnings"]);
    let lost = format!("{all} before, {first} after");

    let client = run(&server, &["-P", "2"]);
    confine(client.pid(), first);
    let outcome = client.wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let [of_client] = told(&outcome.json)[..] else { panic!("{:#?}", outcome.json["warnings"]) };
    assert!(of_client.starts_with("client: ") && of_client.contains(&lost), "{of_client}");

    // Its workers alone had a CPU of their own.
    let client = run(&server, &["--server-pin", &last.to_string()]);
    confine(server.pid(), first);
    let outcome = client.wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let [of_server] = told(&outcome.json)[..] else { panic!("{:#?}", outcome.json["warnings"]) };
    let workers = format!("its workers {last} before, {first} after");
    for part in ["server: ", &lost, &workers] {
        assert!(of_server.contains(part), "no '{part}' in {of_server}");
    }
}

#[test]
fn a_cpuset_that_shrinks_in_mid_run_is_told_of_either_end() {
    let test = "a_cpuset_that_shrinks_in_mid_run_is_told_of_either_end";
    let Some((all, first, last)) = cpus(test) else { return };
    let Some(group) = CpusetCgroup::make(test, &all) else { return };
    let program = podperf(None).get_program().to_owned();
    let server = Server::launch(group.command(program), &[]);
    // Both come back before the next run.
    for (options, kept) in [(&["-P", "3"][..], last), (&["-R"], first)] {
        group.shrink(&all);
        let client = run(&server, options);
        group.shrink(&kept.to_string());
        let outcome = client.wait(TIMEOUT);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let [of_server] = told(&outcome.json)[..] else {
            panic!("{:#?}", outcome.json["warnings"])
        };
        let lost = format!("{all} before, {kept} after");
        assert!(of_server.starts_with("server: ") && of_server.contains(&lost), "{of_server}");
    }
}

/// A test of three seconds; `meanwhile` has the client's process id when it has begun.
fn netperf_test(server: &Netserver, options: &[&str], meanwhile: impl FnOnce(u32)) -> Output {
    let (port, tests) = (server.port.to_string(), server.count_in_log("test of "));
    let mut command = netperf(&["-H", "127.0.0.1", "-p", &port, "-l", "3"]);
    command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
    let client = command.spawn().expect("netperf starts");
    assert!(eventually(TIMEOUT, || server.count_in_log("test of ") > tests), "no test begins");
    std::thread::sleep(MID_RUN);
    meanwhile(client.id());
    client.wait_with_output().expect("it ends")
}

#[test]
fn netperf_and_netserver_tell_of_cpus_that_were_taken_away() {
    let test = "netperf_and_netserver_tell_of_cpus_that_were_taken_away";
    let Some((all, first, _)) = cpus(test) else { return };
    let server = Netserver::start(&[]);
    let document = |output: &Output| -> Value {
        assert!(output.status.success(), "{output:#?}");
        serde_json::from_slice(&output.stdout).expect("it is JSON")
    };
    let output = netperf_test(&server, &["--json"], |_| ());
    assert_eq!(document(&output)["warnings"], serde_json::json!([]));
    assert_eq!(server.count_in_log("allowed CPUs"), 0);
    let lost = format!("{all} before, {first} after");

    let output = netperf_test(&server, &["--json"], |client| confine(client, first));
    let document_of_client = document(&output);
    let [of_client] = told(&document_of_client)[..] else { panic!("{document_of_client:#}") };
    assert!(of_client.starts_with("local end: ") && of_client.contains(&lost), "{of_client}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(of_client), "{said}");
    assert_eq!(server.count_in_log("allowed CPUs"), 0);

    let id = server.child.id();
    let output = netperf_test(&server, &["--json", "-t", "TCP_RR"], |_| confine(id, first));
    let document_of_both = document(&output);
    let [of_server] = told(&document_of_both)[..] else { panic!("{document_of_both:#}") };
    assert!(of_server.starts_with("remote end: ") && of_server.contains(&lost), "{of_server}");
    let line = server.wait_for_log("allowed CPUs were changed");
    assert!(line.contains(&lost), "{line}");
}

#[test]
fn a_netserver_whose_cpuset_shrinks_says_so_in_its_log_where_the_wire_cannot() {
    let test = "a_netserver_whose_cpuset_shrinks_says_so_in_its_log_where_the_wire_cannot";
    let Some((all, first, last)) = cpus(test) else { return };
    let Some(group) = CpusetCgroup::make(test, &all) else { return };
    // By its name it is netserver.
    let folder = tempfile::tempdir().expect("a folder");
    let named = folder.path().join("netserver");
    let own = std::fs::canonicalize(program()).expect("it was built");
    std::os::unix::fs::symlink(own, &named).expect("there is room");
    let mut command = group.command(&named);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Netserver::launch(command, &[]);
    for (options, kept) in
        [(&["--native", "off"][..], last), (&["--native", "off", "-t", "TCP_MAERTS"], first)]
    {
        group.shrink(&all);
        let output = netperf_test(&server, options, |_| group.shrink(&kept.to_string()));
        assert!(output.status.success(), "{output:#?}");
        let line = server.wait_for_log(&format!("{all} before, {kept} after"));
        assert!(line.contains("this end: the allowed CPUs were changed in mid-run"), "{line}");
    }
}
