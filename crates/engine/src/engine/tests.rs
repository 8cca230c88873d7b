//! Two engines of one process against each other, over loopback.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

use super::*;
use crate::transport::short_lived::{Connector, SessionListener};
use crate::workload::testing::{ENDLESS, connections, datagrams, plan};
use podperf_model::latency::Latencies;
use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
use podperf_model::plan::{
    Close, CrrPlan, Direction, ReceiveMethod, RrPlan, SendMethod, SocketPlan, StreamPlan, Wait,
    Workload,
};
use podperf_model::units::Bytes;

/// For something to happen that will.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn the_cpu_of_a_connections_packets_is_known() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let cpus = incoming_cpus(&[stream.into(), accepted.into()]);
    assert!(cpus.iter().all(|cpu| cpu.is_some_and(|cpu| cpu < 4096)), "{cpus:?}");
}

/// Both ends' engines, client first.
fn engines(plan: &Plan, compat: &CompatOptions) -> [Engine; 2] {
    let mut ways = [None, None];
    let (own, others) = match &plan.workload {
        Workload::Crr(crr) => {
            let (host, socket) = (IpAddr::V4(Ipv4Addr::LOCALHOST), SocketPlan::default());
            let address = SocketAddr::new(host, 0);
            let listener =
                SessionListener::open(address, host, &socket, Wait::Block, plan.flows).unwrap();
            let to = listener.socket().local_addr().unwrap().as_socket().unwrap();
            let (wait, close) = (Wait::Block, crr.close);
            let connector = Connector { to, bind: None, plan: socket, wait, close, ports: None };
            ways = [
                Some((ConnectionSource::Connect(connector), to)),
                Some((ConnectionSource::Listen(listener), to)),
            ];
            (Vec::new(), Vec::new())
        }
        workload if workload.is_udp() => datagrams(plan),
        _ => connections(plan.connections()),
    };
    let [client, server] = ways;
    let prepare = |role, sockets, connection_source| {
        Engine::prepare(EngineSetup {
            plan: plan.clone(),
            role,
            sockets,
            connection_source,
            granted: Vec::new(),
            host: HostFacts::default(),
            same_machine: true,
            compat: compat.clone(),
        })
        .unwrap()
    };
    [prepare(Role::Client, own, client), prepare(Role::Server, others, server)]
}

/// Takes the ends of all flows, none of them by a failure.
fn take_ends(engine: &mut Engine) {
    while !engine.all_ended() {
        let ended = engine.events().recv_timeout(DRAIN_TIMEOUT).unwrap();
        let failure = engine.note(ended);
        assert!(failure.is_none(), "{failure:?}");
    }
}

#[test]
fn flows_that_are_stopped_before_they_begin_have_ended() {
    let stream = StreamPlan {
        direction: Direction::Up,
        message_bytes: Bytes(1),
        send: SendMethod::Write,
        receive: ReceiveMethod::Read,
    };
    for workload in [Workload::from(stream), RrPlan::default().into()] {
        for flows in [1, 3] {
            for mut engine in engines(&plan(workload.clone(), ENDLESS, flows), &Default::default())
            {
                engine.wind_down();
                take_ends(&mut engine);
            }
        }
    }
}

/// Sums over a sample: bytes sent and received, and transactions.
fn sums(reading: &Reading) -> (u64, u64, u64) {
    reading.flows.iter().fold((0, 0, 0), |sums, flow| {
        let (sent, received) = (sums.0 + flow.bytes_sent, sums.1 + flow.bytes_received);
        (sent, received, sums.2 + flow.transactions)
    })
}

fn stream(direction: Direction) -> Workload {
    Workload::Stream(StreamPlan {
        direction,
        message_bytes: Bytes(16 << 10),
        send: SendMethod::Write,
        receive: ReceiveMethod::Read,
    })
}

fn udp(direction: Direction) -> Workload {
    Workload::Udp(UdpPlan {
        direction,
        datagram_bytes: Some(Bytes(200)),
        bits_per_second: None,
        gso: Offload::Auto,
        gro: Offload::Auto,
        fragment: true,
    })
}

/// Runs until the stop: from before the first byte to the ends of all flows.
fn until_stop(workload: &Workload, flows: u32, compat: &CompatOptions) {
    let plan = plan(workload.clone(), ENDLESS, flows);
    let case = format!("{} flows of {workload:?}", plan.connections());
    let [mut client, mut server] = engines(&plan, compat);
    let first = [&mut server, &mut client].map(|engine| engine.start().unwrap());
    assert!(first.iter().all(|reading| sums(reading) == (0, 0, 0) && reading.at_ns == 0), "{case}");
    std::thread::sleep(Duration::from_millis(100));
    assert!([&client, &server].iter().all(|engine| engine.events().is_empty()), "{case}");
    let last = [client.close_window(), server.close_window()].map(|reading| sums(&reading));
    // The sending end stops first, and the other hears of it.
    let down = workload.direction() == Some(Direction::Down);
    let (starter, other) =
        if down { (&mut server, &mut client) } else { (&mut client, &mut server) };
    starter.wind_down();
    take_ends(starter);
    other.wind_down();
    take_ends(other);
    let reports = [client.stop(DRAIN_TIMEOUT), server.stop(DRAIN_TIMEOUT)];
    match workload.direction() {
        Some(direction) => {
            let both = direction == Direction::Both;
            let [client, server] = last;
            assert_eq!(client.0 > 0, both || !down, "{case}: {last:?}");
            assert_eq!(server.1 > 0, both || !down, "{case}: {last:?}");
            assert_eq!(client.1 > 0, both || down, "{case}: {last:?}");
        }
        None => {
            assert!(last[0].2 > 0, "{case}: {last:?}");
            let latency = reports[0].latency.as_ref().unwrap();
            let count = Latencies::from_wire(latency).unwrap().count();
            assert!(count >= last[0].2, "{case}: {count} {last:?}");
        }
    }
}

#[test]
fn streams_of_either_direction_go_on_until_the_stop() {
    for direction in [Direction::Up, Direction::Down] {
        for flows in [1, 3] {
            until_stop(&stream(direction), flows, &CompatOptions::default());
        }
    }
}

#[test]
fn transactions_go_on_until_the_stop() {
    let crr = |bytes| CrrPlan {
        request_bytes: Bytes(bytes),
        response_bytes: Bytes(bytes),
        rate_per_second: None,
        close: Close::Server,
    };
    for flows in [1, 3] {
        until_stop(&Workload::Rr(RrPlan::default()), flows, &CompatOptions::default());
        let burst = RrPlan { burst: 4, ..RrPlan::default() };
        until_stop(&Workload::Rr(burst), flows, &CompatOptions::default());
        until_stop(&Workload::Crr(crr(1)), flows, &CompatOptions::default());
        until_stop(&Workload::Crr(crr(0)), flows, &CompatOptions::default());
    }
}

#[test]
fn datagrams_go_on_until_the_stop_framed_or_not() {
    let exchange = Workload::UdpRr(UdpRrPlan {
        request_bytes: Bytes(20),
        response_bytes: Bytes(30),
        timeout: Duration::from_secs(1),
        fragment: true,
    });
    for unframed in [false, true] {
        let compat = CompatOptions { unframed, ..CompatOptions::default() };
        for flows in [1, 3] {
            for direction in [Direction::Up, Direction::Down] {
                until_stop(&udp(direction), flows, &compat);
            }
            until_stop(&exchange, flows, &compat);
        }
    }
}

#[test]
fn failed_sends_are_reported_only_where_datagrams_are_unframed() {
    for unframed in [false, true] {
        let plan = plan(udp(Direction::Up), ENDLESS, 1);
        let [mut client, server] =
            engines(&plan, &CompatOptions { unframed, ..CompatOptions::default() });
        client.start().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        let report = client.stop(Duration::from_secs(1));
        drop(server);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json.get("failed_sends").is_some(), unframed);
        assert!(json["flows"][0]["send_calls"].as_u64() > Some(0));
    }
}
