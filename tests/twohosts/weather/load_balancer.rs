//! Several servers behind one address, as behind a Service without affinity: the client says so,
//! whatever takes its streams, and says what to do.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::support::namespaces::{TwoHosts, nft};
use crate::support::process::{Client, Outcome, Server};
use crate::support::weather::load_balancer::{ADDRESS, Choice, LoadBalancer};
use crate::support::weather::nat::inside;
use crate::support::{list, root, text};

/// For a run that ends before it begins, on a busy machine.
const RUN: Duration = Duration::from_secs(60);
const PORT: u16 = 5210;
/// Of connections that do not last.
const DATA_PORT: u16 = 5211;
/// What helps.
const REMEDY: [&str; 2] = ["sessionAffinity: ClientIP", "headless Service"];
/// A workload of each kind.
const WORKLOADS: [&str; 7] = [
    "stream -P 4",
    "stream -P 4 -R",
    "stream -P 4 --bidir",
    "rr -P 4",
    "crr -P 4",
    "udp -P 4",
    "udp -P 4 --rr",
];

fn server(hosts: &TwoHosts, place: &str) -> Server {
    let (port, data_port) = (PORT.to_string(), DATA_PORT.to_string());
    Server::in_namespace(&hosts.place(place), &["-p", &port, "--data-port", &data_port])
}

fn run(hosts: &TwoHosts, workload: &str) -> Outcome {
    let target = format!("{ADDRESS}:{PORT}");
    let mut args: Vec<&str> = workload.split(' ').collect();
    args.insert(1, &target);
    args.extend(["-t", "0.5", "-O", "0.1", "-J"]);
    Client::in_namespace(&hosts.place("hostA"), &args).wait(RUN)
}

/// The run measured nothing, and names several servers.
fn assert_told(workload: &str, outcome: &Outcome) {
    assert_eq!(outcome.status, 3, "{workload}: {outcome:#?}");
    outcome.assert_says(&REMEDY);
    let first = &list(&outcome.json, "/errors")[0];
    let is_crr = workload.starts_with("crr");
    let codes: &[&str] =
        if is_crr { &["connection_refused", "other_server"] } else { &["other_server"] };
    assert!(codes.contains(&text(first, "/code")), "{workload}: {first:#}");
    assert!(!outcome.stderr.contains("raise --connect-timeout"), "{workload}: {outcome:#?}");
}

#[test]
fn several_servers_behind_one_address_are_named_by_every_workload() {
    let test = "several_servers_behind_one_address_are_named_by_every_workload";
    if !root(test) || !nft(test) {
        return;
    }
    let hosts = TwoHosts::up("lb");
    let ports = [PORT, DATA_PORT];
    let servers = ["hostB", "podB"].map(|place| server(&hosts, place));
    {
        let _balancer = LoadBalancer::up(&hosts, &ports, Choice::InTurn);
        for workload in WORKLOADS {
            assert_told(workload, &run(&hosts, workload));
        }
    }
    {
        // Sixteen streams by lot: all of them with the control connection is one case of 65,536.
        let _balancer = LoadBalancer::up(&hosts, &ports, Choice::Random);
        assert_told("stream", &run(&hosts, "stream -P 16"));
    }
    // The remedy helps.
    let _balancer = LoadBalancer::up(&hosts, &ports, Choice::Affinity);
    for workload in WORKLOADS {
        let outcome = run(&hosts, workload);
        assert_eq!(outcome.status, 0, "{workload}: {outcome:#?}");
    }
    drop(servers);
}

/// A program that takes connections on the ports of a run in `podB`, and does with each what
/// `serve` says, until this process ends.
fn program(hosts: &TwoHosts, serve: fn(std::net::TcpStream)) {
    for port in [PORT, DATA_PORT] {
        let listener = inside(&hosts.place("podB"), move || {
            TcpListener::bind(("0.0.0.0", port)).expect("the port is free")
        });
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    }
}

#[test]
fn another_program_that_takes_streams_is_named_too() {
    let test = "another_program_that_takes_streams_is_named_too";
    if !root(test) || !nft(test) {
        return;
    }
    let workloads = ["stream -P 4", "rr -P 4", "crr -P 4"];
    for (name, other) in [
        // Nobody is there.
        ("lbn", None),
        // It closes at once, which resets what was sent already.
        ("lbc", Some((|stream| drop(stream)) as fn(std::net::TcpStream))),
        // It speaks first, as a mail server does.
        ("lbs", Some(|mut stream| _ = stream.write_all(b"220 ready\r\n"))),
    ] {
        let hosts = TwoHosts::up(name);
        let _server = server(&hosts, "hostB");
        if let Some(serve) = other {
            program(&hosts, serve);
        }
        // A new one each time, so that the control connection goes to the server.
        let balancer = || LoadBalancer::up(&hosts, &[PORT, DATA_PORT], Choice::InTurn);
        for workload in workloads {
            let _balancer = balancer();
            assert_told(workload, &run(&hosts, workload));
        }
        // One that says nothing to datagrams.
        let silent = inside(&hosts.place("podB"), || UdpSocket::bind(("0.0.0.0", PORT)));
        let _silent = silent.expect("the port is free");
        let _balancer = balancer();
        let outcome = run(&hosts, "udp -P 4 --connect-timeout 1s");
        outcome.assert_failed(3, &["behind a load balancer"]);
    }
}
