//! Both ends of a test against each other, over loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use socket2::Socket;

use super::socket::{SocketRequest, tcp, udp};
use super::*;
use crate::options::Buffers;
use crate::test_kind::{Protocol, TestDirection, TestLength};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn job(
    role: Role,
    protocol: Protocol,
    direction: TestDirection,
    length: TestLength,
) -> Job {
    Job {
        role,
        shape: TestShape { protocol, direction },
        send_bytes: 1000,
        receive_bytes: 4096,
        request_bytes: 7,
        response_bytes: 11,
        length,
        in_flight: 1,
        streams: 1,
        cpu: None,
        timed: false,
        sendfile: false,
        pace: None,
        limits_responses: false,
        payload: None,
        receive_timeout: Duration::from_millis(200),
        drain_timeout: DRAIN_STALL_TIMEOUT,
    }
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// Connected ends: netperf's, netserver's.
fn pairs(protocol: Protocol, count: u32) -> (Vec<Socket>, Vec<Socket>) {
    let ask = SocketRequest::default();
    let any = SocketAddr::new(LOOPBACK, 0);
    let pair = |_| match protocol {
        Protocol::Tcp => {
            let listener = tcp(LOOPBACK, &ask).unwrap();
            listener.bind(&any.into()).unwrap();
            listener.listen(1).unwrap();
            let client = tcp(LOOPBACK, &ask).unwrap();
            client.connect(&address(&listener).into()).unwrap();
            (client, listener.accept().unwrap().0)
        }
        Protocol::Udp => {
            let [client, server] = [(); 2].map(|()| udp(LOOPBACK, &ask).unwrap());
            client.bind(&any.into()).unwrap();
            server.bind(&any.into()).unwrap();
            client.connect(&address(&server).into()).unwrap();
            server.connect(&address(&client).into()).unwrap();
            (client, server)
        }
    };
    (0..count).map(pair).unzip()
}

fn run(job: Job, ends: DataConnections, stop: &Receiver<Kind>) -> Totals {
    let phase = DataPhase::prepare(job, ends).unwrap();
    phase.run(PhaseControl {
        stop,
        limit: Some(Duration::from_secs(20)),
        stall_timeout: None,
        interim: None,
        ending: &mut || {},
    })
}

/// Both ends of a test; the client's length decides.
fn both(client: Job, server: Job) -> (Totals, Totals) {
    let (here, there) = pairs(client.shape.protocol, client.streams);
    let (_keep, never): (Sender<Kind>, _) = bounded(1);
    let stop = never.clone();
    let other = thread::spawn(move || run(server, DataConnections::Connected(there), &stop));
    let own = run(client, DataConnections::Connected(here), &never);
    (own, other.join().unwrap())
}

#[test]
fn streams_are_received_to_the_last_byte() {
    for (protocol, length) in [
        (Protocol::Tcp, TestLength::Time(Duration::from_millis(200))),
        (Protocol::Tcp, TestLength::Units(1_000_001)),
    ] {
        let direction = TestDirection::Send;
        let client = Job { streams: 3, ..job(Role::Client, protocol, direction, length) };
        let server =
            Job { streams: 3, ..job(Role::Server, protocol, direction, TestLength::UntilTold) };
        let (own, other) = both(client, server);
        assert!(own.errors.is_empty() && other.errors.is_empty(), "{own:?} {other:?}");
        assert_eq!(own.counters.bytes_sent, other.counters.bytes_received);
        assert!(own.counters.bytes_sent > 0 && own.elapsed > Duration::ZERO);
        if let TestLength::Units(_) = length {
            // Whole messages.
            assert_eq!(own.counters.bytes_sent, 1_001_000);
        } else {
            assert!(own.elapsed >= Duration::from_millis(200), "{own:?}");
        }
    }
}

#[test]
fn a_server_that_sends_ends_it_by_its_time() {
    let length = TestLength::Time(Duration::from_millis(200));
    let client = job(Role::Client, Protocol::Tcp, TestDirection::Receive, TestLength::UntilTold);
    let server = job(Role::Server, Protocol::Tcp, TestDirection::Receive, length);
    let (own, other) = both(client, server);
    assert!(own.errors.is_empty() && other.errors.is_empty(), "{own:?} {other:?}");
    assert_eq!(own.counters.bytes_received, other.counters.bytes_sent);
    assert!(own.elapsed >= Duration::from_millis(190), "{own:?}");
}

#[test]
fn transactions_are_counted_by_both_ends() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let direction = TestDirection::RequestResponse;
        let counted = job(Role::Client, protocol, direction, TestLength::Units(500));
        let server = job(Role::Server, protocol, direction, TestLength::UntilTold);
        let (own, other) = both(counted.clone(), server.clone());
        assert!(own.errors.is_empty() && other.errors.is_empty(), "{own:?} {other:?}");
        assert_eq!(
            (own.counters.transactions, other.counters.transactions),
            (500, 500),
            "{protocol:?}"
        );
        assert_eq!((own.counters.bytes_sent, own.counters.bytes_received), (3500, 5500));
        assert_eq!(own.latency.as_ref().unwrap().count(), 500);
        let timed =
            Job { length: TestLength::Time(Duration::from_millis(150)), in_flight: 4, ..counted };
        let (own, _) = both(timed, server);
        assert!(own.errors.is_empty() && own.counters.transactions > 10, "{own:?}");
        assert!(own.elapsed < Duration::from_millis(400), "{own:?}");
    }
}

#[test]
fn datagrams_are_counted_one_by_one() {
    let length = TestLength::Time(Duration::from_millis(100));
    let sends = job(Role::Client, Protocol::Udp, TestDirection::Send, length);
    let receives = job(Role::Server, Protocol::Udp, TestDirection::Send, TestLength::UntilTold);
    let (own, other) = both(sends, receives);
    assert!(own.errors.is_empty() && other.errors.is_empty(), "{own:?} {other:?}");
    assert_eq!(own.counters.bytes_sent, own.counters.send_calls * 1000);
    assert_eq!(other.counters.bytes_received, other.counters.receive_calls * 1000);
    assert!(
        other.counters.receive_calls > 0 && other.counters.receive_calls <= own.counters.send_calls
    );
}

#[test]
fn sends_of_datagrams_that_fail_are_counted() {
    let (here, there) = pairs(Protocol::Udp, 1);
    // Its port is closed: the kernel tells so in place of every other send.
    drop(there);
    let (_keep, never): (Sender<Kind>, _) = bounded(1);
    let length = TestLength::Time(Duration::from_millis(100));
    let client = job(Role::Client, Protocol::Udp, TestDirection::Send, length);
    let own = run(client, DataConnections::Connected(here), &never);
    assert!(own.errors.is_empty(), "{own:?}");
    assert!(own.counters.failed_sends > 0, "{own:?}");
}

#[test]
fn interim_results_of_a_stream_tell_what_has_arrived() {
    let length = TestLength::Time(Duration::from_millis(250));
    let (here, there) = pairs(Protocol::Tcp, 1);
    let (_keep, never): (Sender<Kind>, _) = bounded(1);
    let stop = never.clone();
    let server = job(Role::Server, Protocol::Tcp, TestDirection::Send, TestLength::UntilTold);
    let other = thread::spawn(move || run(server, DataConnections::Connected(there), &stop));
    let client = job(Role::Client, Protocol::Tcp, TestDirection::Send, length);
    let phase = DataPhase::prepare(client, DataConnections::Connected(here)).unwrap();
    let mut seen = Vec::new();
    let own = phase.run(PhaseControl {
        stop: &never,
        limit: None,
        stall_timeout: None,
        interim: Some((Duration::from_millis(100), &mut |interim| seen.push(interim))),
        ending: &mut || {},
    });
    // What the peer had by then, which is no more than what was handed over.
    let total: u64 = seen.iter().map(|interim| interim.bytes).sum();
    assert!((1..=own.counters.bytes_sent).contains(&total), "{total} of {own:?}");
    // The kernel counts the end of the stream as acknowledged too.
    assert!(own.delivered - own.counters.bytes_sent <= 1, "{own:?}");
    assert!(seen.len() >= 2, "{seen:?}");
    assert_eq!(seen[1].number, 1);
    other.join().unwrap();
}

#[test]
fn a_peer_that_is_gone_ends_it_at_once_with_what_there_is() {
    let (here, there) = pairs(Protocol::Tcp, 1);
    let (tell, stop) = bounded(1);
    tell.send(Kind::Incomplete).unwrap();
    let client = job(Role::Client, Protocol::Tcp, TestDirection::Receive, TestLength::UntilTold);
    let own = run(client, DataConnections::Connected(here), &stop);
    assert_eq!(own.stopped, Some(Kind::Incomplete));
    assert!(own.elapsed < Duration::from_secs(5), "{own:?}");
    drop(there);
}

#[test]
fn what_is_asked_of_sockets_is_read_back() {
    let ask = SocketRequest {
        buffers: Buffers { send: Some(20_000), receive: Some(30_000) },
        no_delay: true,
        tos: Some(0x10),
        priority: Some(3),
        congestion_control: Some("no-such-control".into()),
        ..SocketRequest::default()
    };
    let granted = socket::granted(&tcp(LOOPBACK, &ask).unwrap());
    // The kernel doubles what it is asked for (socket(7)).
    assert_eq!((granted.send_buffer, granted.receive_buffer), (Some(40_000), Some(60_000)));
    assert!(granted.no_delay && !granted.cork);
    assert_eq!(granted.tos, Some(0x10));
    assert!(granted.congestion_control.is_some_and(|name| name != "no-such-control"));
}
