//! Floods of connections that say nothing, or begin and say no more: they take places from each
//! other, and none from the clients of another address. 127.0.0.1 and 127.0.0.2 are two addresses
//! of one network here.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use podperf_engine::control::preamble::Preamble;
use podperf_netperf::wire::native::{ClientMessage, Identity};
use podperf_netperf::wire::{WireMessage, kind};
use serde_json::Value;

use crate::support::netserver::{Client as NetperfClient, Netserver};
use crate::support::process::{Client, Server, podperf, podperf_json};
use crate::support::wire::{WireClient, connect, connect_from, hello, is_dropped};
use crate::support::{TIMEOUT, eventually, may_open_files, text};

/// An address that takes no part in a flood.
const OTHER: [u8; 4] = [127, 0, 0, 2];
/// Before the first message of a client of netserver has to be here, and some time for a busy
/// machine.
const GIVEN_UP: Duration = Duration::from_secs(25);

/// podperf that may open no more than so many files.
fn with_open_files(count: u64) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")]);
    command.arg(podperf(None).get_program()).env_remove("PODPERF_TOKEN");
    command
}

/// Runs a client that comes from 127.0.0.2, or from 127.0.0.1.
fn run_from(server: &Server, is_other: bool) {
    let target = server.target();
    let mut args = vec!["rr", &target, "-n", "100", "--connect-timeout", "3"];
    if is_other {
        args.extend(["--bind", "127.0.0.2"]);
    }
    let outcome = podperf_json(&args);
    let log = server.log();
    assert_eq!(outcome.status, 0, "{outcome:#?}, log: {:#?}", &log[log.len().saturating_sub(20)..]);
}

/// A client at an address is answered by netserver.
fn is_served(own: [u8; 4], server: &Netserver) {
    let mut client = NetperfClient(connect_from(own, server.port));
    assert!(Identity::read(&client.ask(&ClientMessage::Probe.write())).is_some());
}

#[test]
fn silent_connections_shut_no_client_out_of_a_server() {
    if !may_open_files(9_000, "silent_connections_shut_no_client_out_of_a_server") {
        return;
    }
    let server = Server::start(&[]);
    let silent: Vec<TcpStream> = (0..3_500).map(|_| connect(server.port)).collect();
    run_from(&server, true);
    run_from(&server, false);
    for mut stream in silent {
        assert!(is_dropped(&mut stream), "a silent connection was kept");
    }
}

#[test]
fn where_descriptors_are_few_the_oldest_silent_connections_go() {
    if !may_open_files(2_000, "where_descriptors_are_few_the_oldest_silent_connections_go") {
        return;
    }
    let server = Server::launch(with_open_files(512), &[]);
    let mut silent: Vec<TcpStream> = (0..700).map(|_| connect(server.port)).collect();
    run_from(&server, true);
    // A half of a half of the descriptors is one address's.
    assert!(silent[..500].iter_mut().all(is_dropped), "the oldest were kept");
    let log = server.wait_for_log("so that newer ones have room").1;
    assert!(log.contains("the limit 128 at a time from one address"), "{log}");
    let lines = server.log().iter().filter(|line| line.contains("newer ones")).count();
    assert!(lines < 20, "one line for many: {lines}");
    run_from(&server, false);
}

#[test]
fn clients_that_greet_and_say_no_more_shut_no_other_out() {
    if !may_open_files(3_000, "clients_that_greet_and_say_no_more_shut_no_other_out") {
        return;
    }
    let server = Server::start(&[]);
    // All at once: each has greeted, and waits for nothing.
    let greet = |_| {
        let mut client = WireClient(connect(server.port));
        client.0.write_all(&Preamble::Control.encode()).unwrap();
        client.send(&hello());
        client
    };
    let mut open: Vec<WireClient> = (0..400).map(greet).collect();
    run_from(&server, true);
    run_from(&server, false);
    let mut refusals = open.iter_mut().filter_map(|client| {
        client.0.read_exact(&mut [0; 32]).ok()?;
        let said: Vec<Value> = (0..3).map(|_| client.receive()).collect();
        said.into_iter().find(|message| message["refused"].is_object())
    });
    let refusal = refusals.next().expect("who has to go is told why");
    assert!(text(&refusal, "/refused/cause").contains("128 at a time from one address"));
    assert!(text(&refusal, "/refused/remedy").contains("try again"), "{refusal}");
    drop(open);
    server.assert_all_freed(GIVEN_UP);
}

#[test]
fn clients_behind_one_address_are_all_served_and_one_may_have_many_streams() {
    let test = "clients_behind_one_address_are_all_served_and_one_may_have_many_streams";
    if !may_open_files(9_000, test) {
        return;
    }
    let server = Server::start(&[]);
    let silent: Vec<TcpStream> = (0..200).map(|_| connect(server.port)).collect();
    let target = server.target();
    let args = ["stream", &target, "-P", "16", "-t", "0.3", "-O", "0.1"];
    let clients: Vec<Client> = (0..32).map(|_| Client::start(&args)).collect();
    for client in clients {
        let outcome = client.wait(Duration::from_secs(60));
        assert_eq!(outcome.status, 0, "{outcome:#?}\n{:#?}", server.log());
    }
    drop(silent);
    let args = ["rr", &target, "-P", "4096", "-n", "4096", "--connect-timeout", "30"];
    let outcome = Client::start(&args).wait(Duration::from_secs(60));
    assert_eq!(outcome.status, 0, "{outcome:#?}\n{:#?}", server.log());
}

#[test]
fn silent_connections_shut_nobody_out_of_netserver_and_are_given_up() {
    if !may_open_files(5_000, "silent_connections_shut_nobody_out_of_netserver") {
        return;
    }
    let server = Netserver::start(&[]);
    let mut silent: Vec<TcpStream> = (0..1_100).map(|_| connect(server.port)).collect();
    is_served(OTHER, &server);
    is_served([127, 0, 0, 1], &server);
    // Long before the time that a client may be silent between tests.
    silent[0].set_read_timeout(Some(GIVEN_UP)).unwrap();
    assert!(is_dropped(&mut silent[0]), "a silent connection was kept");
    server.wait_for_log("not whole in time");
}

#[test]
fn clients_that_say_one_thing_and_stay_shut_no_other_out_of_netserver() {
    if !may_open_files(5_000, "clients_that_say_one_thing_and_stay") {
        return;
    }
    let server = Netserver::start(&[]);
    let open: Vec<NetperfClient> = (0..1_100)
        .map(|_| {
            let mut client = server.client();
            client.send(&WireMessage::of(kind::CPU_CALIBRATE));
            client
        })
        .collect();
    is_served(OTHER, &server);
    server.wait_for_log("too many clients: the limit is 512 at a time from one address");
    drop(open);
    // Their threads end with them.
    assert!(eventually(TIMEOUT, || server.resources()[0] < 400));
    is_served([127, 0, 0, 1], &server);
}
