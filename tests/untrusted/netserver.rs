//! Clients of netserver that cut, talk nonsense, wait, vanish or ask for too much: none disturbs
//! another, and none leaves anything behind.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use podperf_netperf::wire::ask::{CONNECTIONS, OmniRequest};
use podperf_netperf::wire::native::{ClientMessage, Extensions, Identity, read_token};
use podperf_netperf::wire::reply::OmniResponse;
use podperf_netperf::wire::{MESSAGE_BYTES, UNKNOWN, WireMessage, kind};

use crate::support::netserver::{Client, Netserver, datagrams, netperf, stream, transactions};
use crate::support::process::Client as Process;
use crate::support::wire::connect;
use crate::support::{TIMEOUT, eventually, free_port};

/// How long a client goes on that does not listen to answers.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_is_out_of_bounds_is_refused_by_its_errno_and_the_connection_goes_on() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let large = (64 << 20) + 1;
    for (request, errno) in [
        (OmniRequest { receive_size: Some(large), ..stream(4) }, libc::EINVAL),
        (OmniRequest { send_size: Some(i32::MAX.unsigned_abs()), ..stream(2) }, libc::EINVAL),
        (transactions(large, 1), libc::EINVAL),
        (OmniRequest { request_size: None, ..transactions(1, 1) }, libc::EINVAL),
        (OmniRequest { test_length: 7 * 86_400 + 1, ..stream(4) }, libc::EINVAL),
        (stream(0), libc::EINVAL),
        (stream(77), libc::EINVAL),
        (datagrams(transactions(65_508, 1)), libc::EMSGSIZE),
        (datagrams(stream(2)), libc::EINVAL),
        (OmniRequest { protocol: None, ..stream(4) }, UNKNOWN),
        (OmniRequest { flags: CONNECTIONS, ..stream(4) }, libc::EOPNOTSUPP),
    ] {
        assert_eq!(client.refusal(&request), errno, "{request:?}");
    }
    let mut rds = stream(4).write();
    rds.put(92, 7_u32);
    assert_eq!(OmniResponse::read(&client.ask(&rds)).errno, UNKNOWN);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let data_port = taken.local_addr().unwrap().port();
    let busy = OmniRequest { data_port, ..stream(4) };
    assert_eq!(client.refusal(&busy), libc::EADDRINUSE);
    // Enormous buffers are the kernel's to cut down; files are not a client's to name.
    let (response, data) = client.begin(&OmniRequest {
        receive_buffer: Some(i32::MAX.unsigned_abs()),
        send_buffer: Some(i32::MAX.unsigned_abs()),
        fill_file: "/etc/passwd".to_owned(),
        ..stream(4)
    });
    assert!(response.receive_buffer > Some(0));
    client.finish(data);
    server.wait_for_log("file to fill buffers from is ignored");
    for byte in [0x00, 0x7f, 0x80, 0xff] {
        let mut message = WireMessage([byte; MESSAGE_BYTES]);
        for kind in [kind::OMNI, kind::TCP_STREAM, kind::TCP_CC] {
            message.put(0, kind);
            // All bytes are whatever they are: it may be a test that waits for its data.
            let mut other = server.client();
            other.send(&message);
            drop(other);
        }
    }
    server.assert_serves();
}

#[test]
fn clients_that_cut_talk_nonsense_or_flood_are_dropped_and_disturb_nobody() {
    let server = Netserver::start(&[]).measured();
    let idle: Vec<Client> = (0..50).map(|_| server.client()).collect();
    // A netperf before 2.6 says 256 bytes and waits.
    let mut old = server.client();
    old.0.write_all(&[0; 256]).unwrap();
    for bytes in [1, 4, 100, 655] {
        let mut cut = server.client();
        cut.0.write_all(&vec![0xa5; bytes]).unwrap();
        cut.0.shutdown(Shutdown::Write).unwrap();
        assert!(cut.dropped(), "{bytes} bytes");
    }
    let flood = |mut client: Client| {
        // Answers are not read, until the server takes no more.
        let message = WireMessage::of(7777);
        let until = Instant::now() + SOON;
        while Instant::now() < until && message.write(&mut client.0).is_ok() {}
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = server.client();
            client.0.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            flood(client);
        });
        server.assert_serves();
    });
    assert!(old.dropped());
    server.wait_for_log("netperf before 2.6");
    drop(idle);
    server.assert_all_freed();
    server.assert_no_panic();
    server.assert_serves();
}

#[test]
fn a_client_that_goes_takes_its_test_with_it_at_once() {
    let server = Netserver::start(&[]).measured();
    for request in [
        OmniRequest { test_length: 600, ..stream(4) },
        OmniRequest { test_length: 600, ..stream(2) },
        OmniRequest { test_length: 0, ..transactions(1, 1) },
        OmniRequest { flags: CONNECTIONS, test_length: 600, ..transactions(1, 1) },
    ] {
        let mut client = server.client();
        let (_, data) = client.begin(&request);
        std::thread::sleep(Duration::from_millis(100));
        // Its data connection stays.
        drop(client);
        server.assert_all_freed();
        drop(data);
        // Before any data.
        let mut client = server.client();
        assert_eq!(client.response(&request).errno, 0);
        drop(client);
        server.assert_all_freed();
    }
    server.assert_serves();
}

#[test]
fn a_test_in_which_nothing_moves_any_more_gives_its_place_back_however_long_it_was_to_be() {
    let server = Netserver::start(&["--stall-timeout", "2", "--idle-timeout", "3"]).measured();
    let week = |request: OmniRequest| OmniRequest { test_length: 7 * 86_400, ..request };
    let requests = [
        week(stream(4)),
        week(stream(2)),
        week(transactions(5, 7)),
        week(transactions(1, 8 << 20)),
        OmniRequest { flags: CONNECTIONS, ..week(transactions(1, 1)) },
        OmniRequest { test_length: 0, ..stream(4) },
        OmniRequest { test_length: i32::MIN, ..transactions(1, 1) },
    ];
    let mut stopped = Vec::new();
    for request in &requests {
        let mut client = server.client();
        let (_, mut data) = client.begin(request);
        // A request that is answered, or the beginning of a stream; and then no more of either.
        data.write_all(b"12345").unwrap();
        stopped.push((client, data));
    }
    // UDP: the first datagram, and no more.
    let mut client = server.client();
    let asked = client.response(&week(datagrams(transactions(1, 1))));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"1", ("127.0.0.1", asked.data_port)).unwrap();
    for _ in 0..=requests.len() {
        server.assert_serves();
    }
    server.assert_all_freed();
    for ((mut client, _data), request) in stopped.into_iter().zip(&requests) {
        assert_eq!(client.results().errno, libc::ETIMEDOUT, "{request:?}");
    }
    assert_eq!(client.results().errno, libc::ETIMEDOUT);
    server.wait_for_log("nothing moved in its test any more (--stall-timeout)");
    server.assert_no_panic();
}

#[test]
fn a_slow_client_is_no_stopped_one() {
    let server = Netserver::start(&["--stall-timeout", "3"]).measured();
    let mut sender = server.client();
    let (_, mut sent) = sender.begin(&OmniRequest { test_length: 600, ..stream(4) });
    // One call sends more than this client takes: its bytes are counted by nobody but the kernel.
    let mut reader = server.client();
    let reading = OmniRequest { test_length: 600, send_size: Some(32 << 20), ..stream(2) };
    let (_, mut received) = reader.begin(&reading);
    let mut bytes = vec![0; 256 << 10];
    for _ in 0..16 {
        sent.write_all(b"x").unwrap();
        received.read_exact(&mut bytes).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(sender.finish(sent).counters.bytes_received, 16);
    let log = server.log.lock().unwrap().clone();
    assert!(!log.iter().any(|line| line.contains("nothing moved")), "{log:#?}");
    drop((reader, received, sender));
    server.assert_all_freed();
}

#[test]
fn a_netperf_that_is_stopped_is_given_up() {
    let server = Netserver::start(&["--stall-timeout", "2"]).measured();
    for test in ["TCP_STREAM", "TCP_MAERTS", "TCP_RR", "TCP_CRR"] {
        let port = server.port.to_string();
        let args = ["-H", "127.0.0.1", "-p", &port, "-t", test, "-l", "600"];
        let tests = || server.count_in_log("test of ");
        let before = tests();
        let client = Process::launch(netperf(&[]), &args);
        assert!(eventually(TIMEOUT, || tests() > before), "{test} does not begin");
        std::thread::sleep(Duration::from_millis(500));
        client.signal(Signal::SIGSTOP);
        server.assert_all_freed();
        server.assert_serves();
    }
}

#[test]
fn a_test_whose_data_does_not_come_gives_its_place_back_however_long_it_was_to_be() {
    let server = Netserver::start(&["--idle-timeout", "3"]).measured();
    let week = |request: OmniRequest| OmniRequest { test_length: 7 * 86_400, ..request };
    let begin = |request: &OmniRequest| {
        let mut client = server.client();
        assert_eq!(client.response(request).errno, 0, "{request:?}");
        client
    };
    let mut waiting: Vec<Client> = [
        week(stream(4)),
        week(stream(2)),
        week(transactions(5, 7)),
        OmniRequest { flags: CONNECTIONS, ..week(transactions(1, 1)) },
        week(datagrams(stream(4))),
        week(datagrams(transactions(1, 1))),
        OmniRequest { test_length: 0, ..stream(4) },
        OmniRequest { test_length: i32::MIN, ..transactions(1, 1) },
    ]
    .iter()
    .map(begin)
    .collect();
    // Two of three connections come, over the control port and to a port of their own.
    let next = ClientMessage::Next(Extensions { streams: 3, times_calls: false }).write();
    let mut data = Vec::new();
    for reserved in [true, false] {
        let mut client = server.client();
        assert_eq!(client.ask(&next).errno(), 0);
        let token = reserved.then(|| client.ask(&ClientMessage::ConnectionToken.write()));
        let token = token.map(|answer| read_token(&answer).expect("a token"));
        let port = client.response(&week(stream(4))).data_port;
        for stream in 0..2 {
            let mut connection = connect(port);
            if let Some(token) = token {
                ClientMessage::Join { token, stream }.write().write(&mut connection).unwrap();
            }
            data.push(connection);
        }
        waiting.push(client);
    }
    for mut client in waiting {
        assert_eq!(client.results().errno, libc::ETIMEDOUT);
        assert!(client.dropped());
    }
    drop(data);
    server.assert_all_freed();
    server.assert_serves();
}

#[test]
fn what_a_client_says_beside_sizes_is_bounded_too() {
    let server = Netserver::start(&["--allow-client-affinity"]).measured();
    let most = i32::MAX.unsigned_abs();
    for request in [
        OmniRequest { cpu: Some(most), ..stream(4) },
        OmniRequest { pace: [u32::MAX; 2], ..stream(2) },
        OmniRequest { test_length: i32::MIN, send_size: Some(64 << 20), ..stream(2) },
        OmniRequest { send_ring: [u32::MAX; 3], receive_ring: [u32::MAX; 3], ..stream(4) },
        OmniRequest { priority: Some(most), tos: Some(most), ..stream(4) },
        OmniRequest { flags: !CONNECTIONS, ..transactions(1, 1) },
    ] {
        let mut client = server.client();
        let response = client.response(&request);
        if response.errno == 0 {
            drop(connect(response.data_port));
            // Whatever it is, there is an answer.
            client.results();
        }
        drop(client);
        server.assert_all_freed();
    }
    server.assert_no_panic();
    server.assert_serves();
}

#[test]
fn a_passphrase_is_needed_first_and_exactly() {
    let server = Netserver::start(&["-Z", "open sesame"]);
    let said = |text: &str| {
        let mut client = server.client();
        let mut message = WireMessage::of(kind::PASSPHRASE);
        message.put_text(8, 648, text);
        client.send(&message);
        client
    };
    let mut friend = said("open sesame");
    assert!(Identity::read(&friend.ask(&ClientMessage::Probe.write())).is_some());
    assert!(said("open sesam").dropped());
    assert!(said("").dropped());
    let mut hasty = server.client();
    hasty.send(&ClientMessage::Probe.write());
    assert!(hasty.dropped());
}

#[test]
fn who_is_silent_is_given_up_and_one_at_a_time_means_it() {
    let server = Netserver::start(&["-f", "--idle-timeout", "1"]).measured();
    let mut first = server.client();
    assert!(Identity::read(&first.ask(&ClientMessage::Probe.write())).is_some());
    let mut second = server.client();
    second.send(&ClientMessage::Probe.write());
    second.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(WireMessage::read(&mut second.0).is_err(), "the first is still there");
    second.0.set_read_timeout(Some(TIMEOUT)).unwrap();
    // The first says nothing more; then it is the second's turn.
    assert!(Identity::read(&second.receive()).is_some());
    assert!(first.dropped());
    let silent = server.client();
    assert!(silent.dropped());
    server.assert_all_freed();
}

#[test]
fn data_ports_come_out_of_the_range() {
    let port = free_port();
    let server = Netserver::start(&["--data-port", &port.to_string()]);
    let mut client = server.client();
    assert_eq!(client.response(&stream(4)).data_port, port);
    assert_eq!(server.client().refusal(&stream(4)), libc::EADDRINUSE, "the only one is taken");
    client.finish(connect(port));
    assert_eq!(server.client().response(&stream(4)).data_port, port);
}

#[test]
fn many_clients_at_once_are_all_served() {
    let server = Netserver::start(&[]).measured();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| server.assert_serves());
        }
    });
    server.assert_all_freed();
}

/// The end may come before a worker has begun. It was never told then, once in some 30 tests, and
/// netserver waited for it for a minute.
#[test]
fn tests_that_are_ended_as_they_begin_end_at_once() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    for request in [transactions(1, 1), transactions(100, 3)] {
        // Until told, so that nothing but the client's word ends it.
        let request = OmniRequest { test_length: 0, ..request };
        for number in 0..200 {
            let begun = Instant::now();
            let (_, data) = client.begin(&request);
            client.send(&ClientMessage::End.write());
            drop(data);
            assert_eq!(client.results().errno, 0, "test {number}");
            assert!(begun.elapsed() < SOON, "test {number} took {:?}", begun.elapsed());
        }
    }
    server.assert_serves();
}
