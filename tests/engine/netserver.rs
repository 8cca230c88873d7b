//! podperf as netserver: tests of each shape, what podperf adds, and how it starts and ends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use podperf_model::latency::Latencies;
use podperf_netperf::wire::ask::{CONNECTIONS, MEASURE_CPU, OmniRequest};
use podperf_netperf::wire::native::{ClientMessage, Details, Extensions, Identity, read_token};
use podperf_netperf::wire::reply::OmniResponse;
use podperf_netperf::wire::{UNKNOWN, WireMessage, kind};

use crate::support::netserver::{
    Client, Netserver, datagrams, netperf, netserver, stream, transactions,
};
use crate::support::process::send;
use crate::support::wire::{connect, is_dropped};
use crate::support::{TIMEOUT, eventually, free_port, histogram_at};
use serde_json::Value;

#[test]
fn streams_both_ways_are_counted_to_the_byte() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let (response, mut data) = client.begin(&OmniRequest {
        flags: MEASURE_CPU,
        receive_size: Some(4096),
        receive_buffer: Some(65_536),
        ..stream(4)
    });
    assert_eq!((response.receive_size, response.send_size), (Some(4096), None));
    assert_eq!((response.flags & MEASURE_CPU, response.cpu_rate), (MEASURE_CPU, 100.0));
    assert_eq!(response.receive_buffer, Some(131_072), "the kernel doubles what is asked for");
    data.write_all(&vec![7; 3_000_000]).unwrap();
    // /proc/stat counts in hundredths of a second.
    std::thread::sleep(Duration::from_millis(200));
    let results = client.finish(data);
    assert_eq!((results.counters.bytes_received, results.counters.bytes_sent), (3_000_000, 0));
    assert!(results.counters.receive_calls >= 3_000_000 / 4096, "{results:?}");
    assert!(results.elapsed_seconds >= 0.1 && results.elapsed_seconds < 20.0, "{results:?}");
    let cpu = results.cpu.expect("it reads /proc/stat");
    assert!(cpu.cpus > 0 && (0.0..=100.0).contains(&cpu.util_percent), "{cpu:?}");
    assert!(!results.congestion_control.is_empty(), "{results:?}");
    assert!(results.retransmits.is_some(), "{results:?}");

    // The next test on the same connection; CPU was not asked for.
    let (response, mut data) =
        client.begin(&OmniRequest { test_length: -1_000_000, send_size: Some(1000), ..stream(2) });
    assert_eq!((response.send_size, response.flags & MEASURE_CPU), (Some(1000), 0));
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 1_000_000);
    assert!(bytes.chunks(8).all(|part| part == b"netperf\0"), "the payload is netperf's");
    data.shutdown(Shutdown::Write).unwrap();
    let results = client.results();
    assert_eq!((results.errno, results.counters.bytes_sent), (0, 1_000_000));
    assert_eq!(results.cpu, None);
}

#[test]
fn a_sender_ends_a_little_before_its_time_and_a_client_that_had_enough_is_no_failure() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let began = Instant::now();
    let (_, mut data) = client.begin(&stream(2));
    let bytes = std::io::copy(&mut data, &mut std::io::sink()).unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(10), "{took:?}");
    drop(data);
    let results = client.results();
    assert_eq!((results.errno, results.counters.bytes_sent), (0, bytes));
    // Later only where the machine is busy: then all of it took as long.
    let took = began.elapsed();
    assert!(results.elapsed_seconds < 1.0 || took > Duration::from_secs(1), "{results:?}");

    let (_, mut data) = client.begin(&OmniRequest { test_length: 30, ..stream(2) });
    data.read_exact(&mut [0; 100]).unwrap();
    // Unread bytes: this is a reset.
    drop(data);
    let results = client.results();
    assert_eq!(results.errno, 0, "{results:?}");
    assert!(results.elapsed_seconds < 20.0, "{results:?}");
}

#[test]
fn transactions_of_any_size_are_answered_and_counted() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let (response, mut data) = client.begin(&transactions(5, 7));
    assert_eq!((response.receive_size, response.send_size), (Some(5), Some(7)));
    for _ in 0..3 {
        data.write_all(b"netpe").unwrap();
        let mut answer = [0; 7];
        data.read_exact(&mut answer).unwrap();
    }
    let results = client.finish(data);
    assert_eq!(
        (
            results.counters.transactions,
            results.counters.bytes_received,
            results.counters.bytes_sent
        ),
        (3, 15, 21)
    );
    server.assert_serves();
}

#[test]
fn connections_end_by_the_server_and_the_test_soon_after_its_time_or_by_a_word() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let request = OmniRequest { flags: CONNECTIONS, ..transactions(1, 1) };
    let transact = |port: u16| {
        let mut data = connect(port);
        data.write_all(b"n").unwrap();
        let mut answer = Vec::new();
        data.read_to_end(&mut answer).expect("the server closes");
        assert_eq!(answer.len(), 1);
    };
    let response = client.response(&request);
    // The clock starts with the first connection.
    std::thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    (0..5).for_each(|_| transact(response.data_port));
    let results = client.results();
    assert_eq!((results.errno, results.counters.transactions), (0, 5));
    let took = began.elapsed().as_secs_f32();
    assert!((0.9..took).contains(&results.elapsed_seconds), "{results:?} in {took} s");

    // By count, and by podperf's word for it.
    let response = client.response(&OmniRequest { test_length: -4, ..request.clone() });
    (0..4).for_each(|_| transact(response.data_port));
    assert_eq!(client.results().counters.transactions, 4);
    let response = client.response(&OmniRequest { test_length: 600, ..request });
    transact(response.data_port);
    client.send(&ClientMessage::End.write());
    assert_eq!(client.results().counters.transactions, 1);

    // Connections alone, in the older record.
    let mut request = WireMessage::of(kind::TCP_CC);
    request.put(52, -3);
    request.put(68, 4);
    let response = client.ask(&request);
    assert_eq!((response.kind(), response.errno()), (kind::TCP_CC + 1, 0));
    let port: u16 = response.get(28);
    for _ in 0..3 {
        assert!(is_dropped(&mut connect(port)));
    }
    let results = client.receive();
    assert_eq!((results.kind(), results.get::<u32>(16)), (kind::TCP_CC + 2, 3));
    server.assert_serves();
}

/// It waited for a minute for the end of a connection that nobody needs any more.
#[test]
fn a_test_that_its_client_says_is_over_ends_soon_though_its_connection_stays_open() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    for request in [OmniRequest { test_length: 600, ..stream(2) }, transactions(1, 1)] {
        let (_, mut data) = client.begin(&OmniRequest { test_length: 600, ..request.clone() });
        if request.request_size.is_some() {
            data.write_all(b"n").unwrap();
        }
        data.read_exact(&mut [0]).expect("it has begun");
        let begun = Instant::now();
        client.send(&ClientMessage::End.write());
        let results = client.results();
        assert_eq!(results.errno, 0, "{results:?}");
        assert!(results.counters.bytes_sent > 0, "{results:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    server.assert_serves();
}

#[test]
fn datagrams_end_by_an_empty_one_or_by_the_time() {
    let server = Netserver::start(&["--allow-udp-send"]);
    let mut client = server.client();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let to = |response: &OmniResponse| SocketAddr::from(([127, 0, 0, 1], response.data_port));
    let response = client.response(&datagrams(stream(4)));
    for _ in 0..10 {
        socket.send_to(&[1; 1000], to(&response)).unwrap();
    }
    for _ in 0..3 {
        socket.send_to(&[], to(&response)).unwrap();
    }
    let results = client.results();
    assert_eq!(
        (results.errno, results.counters.bytes_received, results.retransmits),
        (0, 10_000, None)
    );

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let began = Instant::now();
    let response = client.response(&datagrams(transactions(3, 4)));
    for _ in 0..5 {
        socket.send_to(b"net", to(&response)).unwrap();
        assert_eq!(socket.recv(&mut [0; 100]).expect("a response"), 4);
    }
    // No empty ones.
    let results = client.results();
    assert_eq!((results.errno, results.counters.transactions), (0, 5));
    let took = began.elapsed().as_secs_f32();
    assert!((0.9..took).contains(&results.elapsed_seconds), "{results:?} in {took} s");

    // The server sends, to the client alone.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let client_port = socket.local_addr().unwrap().port();
    let request = datagrams(OmniRequest { client_port, send_size: Some(500), ..stream(2) });
    let third = OmniRequest { client_address: Some([192, 0, 2, 1].into()), ..request.clone() };
    assert_eq!(client.refusal(&third), libc::EACCES);
    assert_eq!(client.response(&request).errno, 0);
    assert_eq!(socket.recv(&mut [0; 2000]).expect("a datagram"), 500);
    assert!(client.results().counters.bytes_sent >= 500);
    server.assert_serves();
}

#[test]
fn the_older_stream_record_is_served() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let mut request = WireMessage::of(kind::TCP_STREAM);
    request.put(40, 1);
    request.put(64, 4);
    let response = client.ask(&request);
    assert_eq!((response.kind(), response.errno()), (kind::TCP_STREAM + 1, 0));
    let mut data = connect(response.get(32));
    data.write_all(&[1; 50_000]).unwrap();
    data.shutdown(Shutdown::Write).unwrap();
    assert_eq!(data.read(&mut [0]).unwrap(), 0);
    let results = client.receive();
    assert_eq!((results.kind(), results.get::<f64>(8)), (kind::TCP_STREAM + 2, 50_000.0));
}

#[test]
fn messages_beside_tests_are_answered_and_unknown_ones_say_so() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let rate = client.ask(&WireMessage::of(kind::CPU_CALIBRATE));
    assert_eq!((rate.kind(), rate.errno(), rate.get::<f32>(8)), (5, 0, 100.0));
    assert!(rate.get::<u32>(12) > 0);
    assert_eq!(client.ask(&WireMessage::of(kind::DEBUG_ON)).kind(), kind::DEBUG_OK);
    assert_eq!(client.ask(&WireMessage::of(kind::SYSINFO)).kind(), kind::SYSINFO_RESPONSE);
    // Nobody asks for a passphrase here, so it is passed over without an answer.
    client.send(&WireMessage::of(kind::PASSPHRASE));
    for kind in [7777, 0, u32::MAX, kind::OMNI_RESPONSE] {
        let answer = client.ask(&WireMessage::of(kind));
        assert_eq!((answer.kind(), answer.errno()), (0, UNKNOWN));
    }
    let identity =
        Identity::read(&client.ask(&ClientMessage::Probe.write())).expect("it is podperf");
    assert_eq!(identity, Identity::own());
}

#[test]
fn podperf_has_many_streams_over_the_control_port_and_all_its_figures() {
    let server = Netserver::start(&[]);
    let mut client = server.client();
    let next = |streams| ClientMessage::Next(Extensions { streams, times_calls: true }).write();
    assert_eq!(client.ask(&next(0)).errno(), libc::EINVAL);
    assert_eq!(client.ask(&next(10_001)).errno(), libc::EINVAL);
    assert_eq!(client.ask(&ClientMessage::Details.write()).errno(), libc::ENODATA);
    assert_eq!(client.ask(&next(3)).errno(), 0);
    let token = read_token(&client.ask(&ClientMessage::ConnectionToken.write())).expect("a token");
    let response = client.response(&stream(4));
    assert_eq!((response.errno, response.data_port), (0, server.port));
    let join = |token, stream| {
        let mut data = connect(server.port);
        ClientMessage::Join { token, stream }.write().write(&mut data).unwrap();
        data
    };
    assert!(is_dropped(&mut join([0; 16], 0)), "an untrusted peer's connection was kept");
    let streams: Vec<TcpStream> = [2, 0, 1].map(|stream| join(token, stream)).into();
    for mut data in &streams {
        data.write_all(&[1; 10_000]).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
    }
    for mut data in &streams {
        assert_eq!(data.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(client.results().counters.bytes_received, 30_000);
    client.send(&ClientMessage::Details.write());
    let details = Details::read(&mut client.0).expect("details");
    assert_eq!(details.counters.bytes_received, 30_000);
    assert!(details.socket.receive_buffer.is_some());
    let timed = Latencies::from_wire(&details.latency.expect("calls were to be timed")).unwrap();
    assert_eq!(timed.count(), details.counters.receive_calls);
    assert!(is_dropped(&mut join(token, 0)), "its test is over");
    // Only the next test had three.
    drop(client);
    server.assert_serves();

    // Several to a port of their own.
    let mut client = server.client();
    client.ask(&next(2));
    let response = client.response(&stream(4));
    let streams = [connect(response.data_port), connect(response.data_port)];
    for mut data in &streams {
        data.write_all(&[1; 5_000]).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        assert_eq!(data.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(client.results().counters.bytes_received, 10_000);
}

#[test]
fn the_document_has_the_histograms_of_both_ends() {
    let server = Netserver::start(&[]);
    let port = server.port.to_string();
    let document = |words: &[&str]| -> Value {
        let mut run = netperf(&[&["-H", "127.0.0.1", "-p", &port, "--json"], words].concat());
        let run = run.output().expect("start netperf");
        assert!(run.status.success(), "{run:?}");
        serde_json::from_slice(&run.stdout).expect("JSON")
    };
    let counted = |latency: &Value| {
        let counted = histogram_at(latency, "/histogram_ns").len();
        assert_eq!(latency["count"], counted);
        counted
    };
    for test in ["TCP_STREAM", "TCP_MAERTS"] {
        // By a count: of a time, the last call may come behind the end.
        let document = document(&["-t", test, "-l", "-50000000"]);
        assert!(document["latency"].is_null(), "no transactions: {document}");
        let [local, remote] = [&document["local"], &document["remote"]];
        let calls = |end: &Value, key: &str| end[key].as_u64().expect("calls");
        for end in [local, remote] {
            let made = calls(end, "send_calls") + calls(end, "receive_calls");
            assert_eq!(counted(&end["call_latency"]), made, "{test}: {end}");
        }
    }
    let document = document(&["-t", "TCP_RR", "-l", "-1000"]);
    assert_eq!(counted(&document["latency"]), 1000);
    assert!(document["local"]["call_latency"].is_null(), "{document}");
    assert!(document["remote"]["call_latency"].is_null(), "{document}");
}

#[test]
fn it_starts_as_netserver_does_and_ends_by_a_signal() {
    let port = free_port().to_string();
    let started = netserver().args(["-L", "127.0.0.1", "-4", "-p", &port]).output().unwrap();
    let said = String::from_utf8(started.stdout).unwrap();
    let place = format!("'127.0.0.1' port '{port}' and family AF_INET");
    assert_eq!(said, format!("Starting netserver with host {place}\n"));
    assert!(started.status.success());
    // The port is open once the first process has ended.
    let mut client = Client(connect(port.parse().unwrap()));
    assert!(Identity::read(&client.ask(&ClientMessage::Probe.write())).is_some());
    let daemon = listener_of(port.parse().unwrap());

    let busy = netserver().args(["-L", "127.0.0.1", "-4", "-p", &port]).output().unwrap();
    let said = String::from_utf8(busy.stderr).unwrap();
    assert_eq!(
        (said, busy.status.code()),
        (format!("Unable to start netserver with  {place}\n"), Some(1))
    );
    assert!(busy.stdout.is_empty());

    let status = std::fs::read_to_string(format!("/proc/{daemon}/comm")).unwrap();
    assert_eq!(status.trim(), "podperf", "the executable's name, which argv[0] does not change");
    send(daemon, nix::sys::signal::Signal::SIGTERM);
    assert!(client.dropped(), "a server that ends takes its clients along");
    let output = format!("/proc/{daemon}/fd/1");
    assert!(eventually(TIMEOUT, || !std::path::Path::new(&output).exists()));
}

/// The process that listens on a port, by the socket's inode.
fn listener_of(port: u16) -> u32 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let address = format!(":{port:04X} 00000000:0000 0A");
    let line = table.lines().find(|line| line.contains(&address)).expect("it listens");
    let inode = line.split_whitespace().nth(9).unwrap();
    let link = format!("socket:[{inode}]");
    let holds = |pid: &u32| {
        std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
            fds.flatten().any(|fd| {
                std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy() == link)
            })
        })
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(holds).expect("a process of this user's")
}
