//! What surrounds a run and may be otherwise than usual: a wall clock that is stepped, a hidden
//! /proc, a full disk, no threads, buffers that are cut down; and counts beyond 32 bits.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::netserver::{Netserver, netperf, netserver};
use crate::support::process::{Client, Server, podperf, podperf_json, program};
use crate::support::sandbox::TaskCgroup;
use crate::support::{TIMEOUT, at, count, eventually, list, number, root, text};

/// Every second call of the wall clock is an hour behind.
const STEPPING_CLOCK: &str = r"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    static unsigned calls;
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, ``clock_gettime``);
    int status = real(clock, at);
    if (status == 0 && clock == CLOCK_REALTIME
        && __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 2) at->tv_sec -= 3600;
    return status;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    if (at) { at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; }
    return status;
}
";

/// A library that steps the wall clock of a program it is loaded into, and its folder.
fn stepping_clock() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("clock.c");
    std::fs::write(&source, STEPPING_CLOCK.replace("``", "\"")).expect("there is room");
    let library = folder.path().join("clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(compiler.status().expect("Rust needs a C compiler to link").success());
    (folder, library)
}

#[test]
fn a_wall_clock_that_is_stepped_changes_no_result() {
    let (_folder, library) = stepping_clock();
    let stepped = |mut command: Command| {
        command.env("LD_PRELOAD", &library);
        command
    };
    let server = Server::launch(stepped(podperf(None)), &[]);
    for workload in ["stream", "rr"] {
        let args = [workload, &server.target(), "-t", "1", "-O", "0.2", "-i", "0.25", "-J"];
        let outcome = Client::launch(stepped(podperf(None)), &args).wait(TIMEOUT);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        for seconds in ["/window/seconds", "/window/server_seconds"] {
            if let Some(seconds) = outcome.json.pointer(seconds).and_then(Value::as_f64) {
                assert!((0.9..10.0).contains(&seconds), "{workload}: {seconds} s");
            }
        }
        if workload == "rr" {
            assert!(count(&outcome.json, "/latency/max_ns") < 20_000_000_000);
        }
    }
    let server = Netserver::launch(stepped(netserver()), &[]);
    let port = server.port.to_string();
    let args = ["-H", "127.0.0.1", "-p", &port, "-t", "TCP_RR", "-l", "1", "--json"];
    let output = stepped(netperf(&args)).stderr(Stdio::inherit()).output().expect("it starts");
    let json: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert!((0.9..10.0).contains(&number(&json, "/elapsed_seconds")), "{json:#}");
    assert!(number(&json, "/latency/max_us") < 2e7, "{json:#}");
}

#[test]
fn a_buffer_that_the_kernel_cuts_down_is_shown_as_granted() {
    let limit = std::fs::read_to_string("/proc/sys/net/core/wmem_max").expect("Linux has it");
    let most: u64 = limit.trim().parse().expect("a number");
    let server = Server::start(&[]);
    let asked = (4 * most).to_string();
    let outcome =
        podperf_json(&["stream", &server.target(), "-w", &asked, "-t", "0.3", "-O", "0.1", "-J"]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert_eq!(count(&outcome.json, "/plan/socket/buffer_bytes"), 4 * most);
    // The kernel doubles what it grants (socket(7)).
    let granted = count(&outcome.json, "/streams/0/socket/client/send_buffer_bytes");
    assert!(granted <= 2 * most, "granted {granted} of {asked}, where {most} is the most");

    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    let asked = (4 * most).to_string();
    let args = [
        "-H",
        "127.0.0.1",
        "-p",
        &port,
        "-l",
        "1",
        "-P",
        "0",
        "--",
        "-s",
        &asked,
        "-o",
        "LSS_SIZE_REQ,LSS_SIZE_END",
    ];
    let output = netperf(&args).output().expect("it starts");
    let line = String::from_utf8(output.stdout).expect("text");
    assert_eq!(line.trim(), format!("{asked},{}", 2 * most));
}

#[test]
fn more_than_four_gib_are_counted_to_the_byte() {
    let server = Server::start(&[]);
    let args = ["stream", &server.target(), "-n", "4100M", "-l", "512K", "--recv", "trunc", "-J"];
    let outcome = Client::start(&args).wait(std::time::Duration::from_secs(120));
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let all = 4100 << 20;
    assert_eq!(count(&outcome.json, "/throughput/bytes_received"), all);
    assert_eq!(count(&outcome.json, "/streams/0/lifetime/bytes_sent"), all);
}

#[test]
fn where_proc_is_hidden_cpu_is_null_with_a_reason() {
    if !root("where_proc_is_hidden_cpu_is_null_with_a_reason") {
        return;
    }
    let hidden = || {
        let mut command = Command::new("unshare");
        let inside = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
        command.args(["--mount", "sh", "-c", inside, &program()]);
        command.env_remove("PODPERF_TOKEN").stdin(Stdio::null());
        command
    };
    let server = Server::start(&[]);
    let args = ["rr", &server.target(), "-t", "0.5", "-O", "0.1", "-J"];
    let outcome = Client::launch(hidden(), &args).wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(at(&outcome.json, "/cpu/client").is_null());
    let unknown = at(&outcome.json, "/host/client/unknown");
    assert!(unknown["counters.cpu"].as_str().is_some_and(|why| why.contains("/proc/stat")));
    assert!(number(&outcome.json, "/transactions/per_second") > 0.0);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_full_disk_is_named_and_the_result_is_shown_all_the_same() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let server = Server::start(&[]);
    let args = ["rr", &server.target(), "-n", "50", "-o", "/dev/full"];
    let outcome = Client::start(&args).wait(TIMEOUT);
    assert_ne!(outcome.status, 0, "{outcome:#?}");
    outcome.assert_says(&["/dev/full", "No space left"]);
    assert!(outcome.stdout.contains("transactions"), "no result: {outcome:#?}");

    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    for to in ["/dev/full", "a closed pipe"] {
        let mut client = netperf(&["-H", "127.0.0.1", "-p", &port, "-t", "TCP_RR", "-l", "-50"]);
        let client = match std::fs::File::options().write(true).open(to) {
            Ok(full) => client.stdout(full),
            Err(_) => client.stdout(std::io::pipe().expect("a pipe").1),
        };
        let output = client.stderr(Stdio::piped()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{to}: {said}");
        assert!(to != "/dev/full" || said.contains("No space left"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_signal_that_terminates_netperf_brings_what_it_has() {
    let server = Netserver::start(&[]).measured();
    let port = server.port.to_string();
    for test in ["TCP_STREAM", "TCP_RR", "TCP_MAERTS"] {
        let mut client =
            netperf(&["-H", "127.0.0.1", "-p", &port, "-t", test, "-l", "60", "-P", "0"]);
        let client =
            client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(1500));
        crate::support::process::send(client.id(), nix::sys::signal::Signal::SIGTERM);
        let output = client.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(143), "{test}: {output:?}");
        assert!(!output.stdout.is_empty(), "{test}: nothing is shown");
        server.assert_all_freed();
    }
    server.assert_serves();
}

#[test]
fn a_document_of_netperf_tells_what_went_wrong() {
    let port = crate::support::free_port().to_string();
    let output = netperf(&["-H", "127.0.0.1", "-p", &port, "--json"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert!(text(&json, "/incomplete").contains(&port), "{json:#}");
    assert!(at(&json, "/throughput_bits_per_second").is_null());
    assert!(String::from_utf8_lossy(&output.stderr).contains("establish control"), "{output:?}");
}

#[test]
fn a_congestion_control_that_is_not_there_is_named() {
    let server = Server::start(&[]);
    podperf_json(&["stream", &server.target(), "-C", "nosuch"])
        .assert_failed(2, &["nosuch", "cubic"]);
    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    let args = ["-H", "127.0.0.1", "-p", &port, "-l", "1", "--", "-K", "nosuch,nosuch"];
    let output = netperf(&args).output().expect("it starts");
    // netperf goes on with another, and scripts expect it to.
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("'nosuch' is not to be had"), "{said}");
}

#[test]
fn a_server_that_may_start_no_thread_says_so_and_serves_on() {
    let Some(group) = TaskCgroup::make("a_server_that_may_start_no_thread_says_so_and_serves_on")
    else {
        return;
    };
    let server = Server::launch(group.command(program()), &[]);
    server.assert_serves();
    group.allow_more(0);
    let outcome = podperf_json(&["stream", &server.target(), "-P", "4", "-J"]);
    outcome.assert_failed(3, &[&server.target(), "thread"]);
    group.allow_all();
    assert!(eventually(TIMEOUT, || podperf_json(&["rr", &server.target(), "-n", "9"]).status == 0));
    assert!(list(&outcome.json, "/errors").len() < 9);
}
