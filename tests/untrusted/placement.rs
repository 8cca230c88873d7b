//! Clients that choose where a server's workers run, and that they never sleep: from another host
//! only where the server was told to allow it, from its own host always. Both ends of a refusal
//! know the option, and nothing has run by then.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use podperf_engine::metrics::topology::allowed_cpus;
use serde_json::json;

use crate::support::namespaces::{LinkedHosts, within};
use crate::support::netserver::Netserver;
use crate::support::process::{Client, Outcome, Server, podperf, podperf_json, program};
use crate::support::{TIMEOUT, at, root, text};

/// What a client may want, with the server's option that allows it.
fn wishes() -> Vec<(&'static str, Vec<String>, &'static str)> {
    let cpus = allowed_cpus().expect("known here");
    let (first, last) = (cpus[0].to_string(), cpus[cpus.len() - 1].to_string());
    let both = if first == last { first.clone() } else { format!("{first},{last}") };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    vec![
        ("rr", words(&format!("--server-pin {both}")), "--allow-client-affinity"),
        ("stream", words(&format!("--server-pin {last} -P 3")), "--allow-client-affinity"),
        ("udp", words(&format!("--server-pin {first} -b 1M")), "--allow-client-affinity"),
        ("rr", words("--server-wait spin -P 2"), "--allow-client-spin"),
        ("rr", words("--server-wait spin --backend uring"), "--allow-client-spin"),
        ("crr", words("--server-wait spin"), "--allow-client-spin"),
        ("rr", words("--server-wait busy-poll=77"), "--allow-client-spin"),
        ("crr", words("--server-wait busy-poll=1000000 -P 3"), "--allow-client-spin"),
    ]
}

/// Asks the server at `port` of the other host.
fn ask(place: &str, port: u16, workload: &str, options: &[String]) -> Outcome {
    let port = port.to_string();
    let mut args = vec![workload, "fe80::2%wire", "-p", &port, "-t", "0.3", "-O", "0.1", "-J"];
    args.extend(options.iter().map(String::as_str));
    Client::in_namespace(place, &args).wait(TIMEOUT)
}

#[test]
fn clients_of_other_hosts_choose_cpus_and_spinning_only_where_it_is_allowed() {
    if !root("clients_of_other_hosts_choose_cpus_and_spinning_only_where_it_is_allowed") {
        return;
    }
    let hosts = LinkedHosts::up("p");
    let [here, there] = hosts.places();
    let start = |options: &[&str]| {
        Server::launch(podperf(Some(there)), &[&["--bind", "::"], options].concat())
    };
    let closed = start(&[]);
    for (workload, options, option) in wishes() {
        let outcome = ask(here, closed.port, workload, &options);
        // The address has a zone, which the error may name by its number.
        outcome.assert_failed(3, &["fe80::2", "allowed by this server", option]);
        outcome.assert_says(&[if option.ends_with("spin") { "--server-wait" } else { "-pin" }]);
        assert_eq!(text(&outcome.json, "/errors/0/code"), "refused");
        closed.wait_for_log(option);
    }
    assert!(!closed.log().iter().any(|line| line.contains("run of")), "{:#?}", closed.log());
    closed.assert_all_freed(TIMEOUT);
    for pin in ["auto", "none"] {
        let options = ["--server-pin", pin, "--server-workers", "1", "--wait", "spin"];
        let outcome = ask(here, closed.port, "rr", &options.map(str::to_owned));
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
    // Each option allows its own kind alone.
    let options = ["--allow-client-affinity", "--allow-client-spin"];
    for given in options {
        let server = start(&[given]);
        for (workload, options, needed) in wishes() {
            let outcome = ask(here, server.port, workload, &options);
            if needed == given {
                assert_eq!(outcome.status, 0, "{options:?}: {outcome:#?}");
            } else {
                outcome.assert_failed(3, &[needed]);
            }
        }
    }
    let outcome = ask(
        here,
        start(&options).port,
        "rr",
        &["--server-wait", "spin", "--server-pin", "1023"].map(str::to_owned),
    );
    outcome.assert_failed(3, &["CPU 1023", "may use the CPUs", "--server-pin"]);
}

#[test]
fn clients_on_the_same_host_choose_by_themselves() {
    let server = Server::start(&[]);
    for (workload, options, _) in wishes() {
        let mut args = vec![workload, "127.0.0.1", "-p"];
        let port = server.port.to_string();
        args.extend([port.as_str(), "-t", "0.3", "-O", "0.1", "-J"]);
        args.extend(options.iter().map(String::as_str));
        let outcome = podperf_json(&args);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
}

#[test]
fn nobody_leaves_the_cpus_that_a_server_was_started_with() {
    let cpus = allowed_cpus().expect("known here");
    let [first, .., last] = cpus[..] else {
        eprintln!("nobody_leaves_the_cpus_that_a_server_was_started_with: skipped: one CPU");
        return;
    };
    let mut command = Command::new("taskset");
    command.args(["-c", &first.to_string(), &program()]).env_remove("PODPERF_TOKEN");
    command.stdin(Stdio::null());
    let server = Server::launch(command, &[]);
    let ask = |cpu: u32| {
        let (target, cpu) = (server.target(), cpu.to_string());
        podperf_json(&["rr", &target, "--server-pin", &cpu, "-n", "10", "-J"])
    };
    let parts = [format!("CPU {last}"), format!("may use the CPUs {first} alone")];
    ask(last).assert_failed(3, &parts.each_ref().map(String::as_str));
    let outcome = ask(first);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert_eq!(at(&outcome.json, "/placement/server/pinned_cpus"), &json!([first]));
}

#[test]
fn netserver_goes_on_without_the_cpu_that_a_client_of_another_host_names() {
    if !root("netserver_goes_on_without_the_cpu_that_a_client_of_another_host_names") {
        return;
    }
    let hosts = LinkedHosts::up("q");
    let [here, there] = hosts.places();
    let names = tempfile::TempDir::new().expect("a folder");
    for name in ["netserver", "netperf"] {
        let program = std::path::absolute(program()).expect("a path");
        std::os::unix::fs::symlink(program, names.path().join(name)).expect("a link");
    }
    let called = |name: &str, place: &str| {
        let path = names.path().join(name);
        let mut command = within(Some(place), path.to_str().expect("a path in UTF-8"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let cpu = format!(",{}", allowed_cpus().expect("known here")[0]);
    for (options, logged) in [(&[][..], true), (&["--allow-client-affinity"], false)] {
        let options = [&["-L", "::"], options].concat();
        let server = Netserver::launch(called("netserver", there), &options);
        for test in ["TCP_RR", "TCP_STREAM"] {
            let mut netperf = called("netperf", here);
            netperf.args(["-H", "fe80::2%wire", "-p", &server.port.to_string()]);
            let run = netperf.args(["-t", test, "-l", "1", "-T", &cpu]).output().expect("starts");
            assert!(run.status.success(), "{run:?}");
        }
        if logged {
            server.wait_for_log("--allow-client-affinity is not given");
        }
        let log = server.log.lock().unwrap();
        let ignored = log.iter().any(|line| line.contains("that it names is ignored"));
        assert_eq!(ignored, logged, "{log:#?}");
    }
    // By the loopback address it is heard.
    let mut alone = Command::new(program());
    alone.arg0("netserver").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Netserver::launch(alone, &[]);
    let mut netperf = Command::new(program());
    netperf.arg0("netperf").args(["-H", "127.0.0.1", "-p", &server.port.to_string()]);
    let run = netperf.args(["-t", "TCP_RR", "-l", "-50", "-T", &cpu]).output().expect("it starts");
    assert!(run.status.success(), "{run:?}");
    let log = server.log.lock().unwrap();
    assert!(!log.iter().any(|line| line.contains("that it names is ignored")), "{log:#?}");
}
