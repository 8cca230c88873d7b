//! The records against messages that were captured between a netperf and a netserver of version
//! 2.7, and each of them there and back.

use super::ask::{MEASURE_CPU, OmniRequest, ROUTING, SERVER_RECEIVES, SERVER_SENDS};
use super::dialect::Dialect;
use super::reply::{OmniResponse, OmniResults};
use super::*;
use crate::test_kind::Protocol;
use podperf_model::AddressFamily;

/// A message out of the words of a dump, each line with its offset in front.
fn dumped(dump: &str) -> WireMessage {
    let mut message = WireMessage::default();
    for line in dump.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let mut at = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        for word in words {
            message.put(at, u32::from_str_radix(word, 16).unwrap());
            at += 4;
        }
    }
    message
}

/// TCP_STREAM, `-l 1 -c -C`.
const REQUEST: &str = "
    000 00000061 ffffffff ffffffff ffffffff
    010 00000008 00000000 00000002 ffffffff
    020 ffffffff ffffffff 00000008 00000000
    030 00000000 ffffffff 00000028 00000000
    040 00000001 00000000 00000000 ffffffff
    050 ffffffff ffffffff 00000000 00000004
    060 00000001 00000006 00000004 00000000
    098 ffffffff ffffffff";

const RESPONSE: &str = "
    000 00000062 00000000 00020000 00020000
    010 00000002 00004000 ffffffff 00000002
    020 00000008 42c80000 00000000 00000000
    030 00000000 0000a833 00000000 00000000
    040 00000000 00000000 ffffffff ffffffff";

const RESULTS: &str = "
    000 62000000 00000000 00000000 055ac000
    010 0000156b 000b659c 00000000 00000000
    020 00000000 00400000 00000000 00000000
    030 3f804157 42092492 4037c7da 41ebba8d
    040 00000000 00000000 3ff959c4 ffffffff
    050 00000008 00000002 00000001 421fffff
    114 62627200";

#[test]
fn a_request_of_netperf_is_read_and_written_as_it_was() {
    let message = dumped(REQUEST);
    let request = OmniRequest::read(&message);
    let expected = OmniRequest {
        send_ring: [8, 0, 2],
        receive_ring: [8, 0, 0],
        flags: ROUTING | MEASURE_CPU,
        test_length: 1,
        family: Some(AddressFamily::V4),
        protocol: Some(Protocol::Tcp),
        direction: SERVER_RECEIVES,
        ..OmniRequest::default()
    };
    assert_eq!(request, expected);
    assert_eq!(request.write(), message);
}

#[test]
fn a_counted_request_of_transactions_is_read() {
    let mut message = dumped(REQUEST);
    for (at, word) in [(0x18, 1_u32), (0x1c, 5), (0x30, 1), (0x34, 7), (0x38, 0x20), (0x68, 6)] {
        message.put(at, word);
    }
    message.put(0x40, 0xffff_fffd_u32);
    let request = OmniRequest::read(&message);
    assert_eq!((request.request_size, request.response_size), (Some(5), Some(7)));
    assert_eq!((request.test_length, request.flags), (-3, ROUTING));
    assert_eq!(request.direction, SERVER_RECEIVES | SERVER_SENDS);
}

#[test]
fn a_response_of_netserver_is_read_and_written_as_it_was() {
    let message = dumped(RESPONSE);
    let response = OmniResponse::read(&message);
    let expected = OmniResponse {
        receive_buffer: Some(131_072),
        receive_size: Some(131_072),
        send_buffer: Some(16_384),
        send_size: None,
        receive_width: 2,
        send_width: 2,
        flags: MEASURE_CPU,
        cpu_rate: 100.0,
        data_port: 43_059,
        priority: None,
        tos: None,
        errno: 0,
    };
    assert_eq!(response, expected);
    assert_eq!(response.write(), message);
}

#[test]
fn results_of_netserver_are_read() {
    let results = OmniResults::read(&dumped(RESULTS));
    let counters = results.counters;
    assert_eq!((results.errno, counters.bytes_received), (0, 89_833_472));
    assert_eq!((counters.receive_calls, results.receive_buffer), (5483, Some(746_908)));
    assert_eq!((counters.bytes_sent, results.send_buffer), (0, Some(4_194_304)));
    assert!((results.elapsed_seconds - 1.001_99).abs() < 1e-5);
    let cpu = results.cpu.expect("it reads /proc/stat");
    let (peak, peak_percent) = cpu.peak.expect("the busiest");
    for (found, expected) in [
        (cpu.util_percent, 34.29),
        (cpu.user_percent, 2.87),
        (cpu.system_percent, 29.47),
        (cpu.iowait_percent, 0.0),
        (cpu.irq_percent, 0.0),
        (cpu.softirq_percent, 1.95),
        (peak_percent, 40.0),
    ] {
        assert!((found - expected).abs() < 0.01, "{found}, not {expected}");
    }
    assert_eq!((cpu.cpus, peak), (2, 1));
    assert_eq!(results.congestion_control, "bbr");
    // All but the type, whose bytes netserver swaps twice, and what it never fills.
    let mut written = results.write();
    written.put(0, 0x6200_0000_u32);
    written.put(76, u32::MAX);
    assert_eq!(written, dumped(RESULTS));
}

#[test]
fn figures_that_cannot_be_are_left_out() {
    let told = |change: &dyn Fn(&mut WireMessage)| {
        let mut message = dumped(RESULTS);
        change(&mut message);
        OmniResults::read(&message)
    };
    for nonsense in [f32::NAN, f32::INFINITY, -1.0] {
        assert_eq!(told(&|message| message.put(48, nonsense)).elapsed_seconds, 0.0);
        assert_eq!(told(&|message| message.put(60, nonsense)).cpu, None);
        assert_eq!(told(&|message| message.put(92, nonsense)).cpu.unwrap().peak, None);
    }
    assert_eq!(told(&|message| message.put(52, 1e30_f32)).cpu.unwrap().util_percent, 100.0);
    assert_eq!(told(&|message| message.put(84, u32::MAX)).cpu, None);
    assert_eq!(told(&|message| message.put_text(276, 16, "a\u{1b}[2J")).congestion_control, "");
}

#[test]
fn counts_that_do_not_fit_are_the_largest_that_do() {
    let mut results = OmniResults::default();
    results.counters.send_calls = (1 << 32) + 5;
    assert_eq!(results.write().get::<u32>(32), u32::MAX);
    results.counters.transactions = u64::MAX;
    assert_eq!(Dialect::Connect.write_results(&results).get::<u32>(16), u32::MAX);
}

#[test]
fn counters_beyond_one_word_survive() {
    let mut results = OmniResults::default();
    results.counters.bytes_sent = 0x0123_4567_89ab_cdef;
    let message = results.write();
    assert_eq!(message.get::<[u32; 2]>(24), [0x0123_4567, 0x89ab_cdef]);
    assert_eq!(OmniResults::read(&message), results);
}

#[test]
fn addresses_go_as_netperf_sends_them() {
    let v4 = OmniRequest {
        family: Some(AddressFamily::V4),
        protocol: Some(Protocol::Tcp),
        client_address: Some([192, 0, 2, 7].into()),
        ..OmniRequest::default()
    };
    let message = v4.write();
    assert_eq!(message.0[120..124], [192, 0, 2, 7]);
    assert_eq!(OmniRequest::read(&message), v4);
    // ::1 was seen as three empty words and 01 00 00 00.
    let v6 = OmniRequest {
        family: Some(AddressFamily::V6),
        protocol: Some(Protocol::Tcp),
        server_address: Some(std::net::Ipv6Addr::LOCALHOST.into()),
        ..OmniRequest::default()
    };
    let message = v6.write();
    assert_eq!(message.0[136..148], [0; 12]);
    assert_eq!(message.0[148..152], [1, 0, 0, 0]);
    assert_eq!(OmniRequest::read(&message), v6);
}

#[test]
fn what_no_request_has_is_no_protocol_and_no_family() {
    let mut message = dumped(REQUEST);
    message.put(92, 7_u32);
    message.put(100, 132_u32);
    let request = OmniRequest::read(&message);
    assert_eq!((request.family, request.protocol), (None, None));
    message.put(100, 17_u32);
    assert_eq!(OmniRequest::read(&message).protocol, Some(Protocol::Udp));
}

#[test]
fn no_bytes_make_a_record_panic() {
    for byte in [0x00, 0x7f, 0x80, 0xff] {
        let message = WireMessage([byte; MESSAGE_BYTES]);
        for dialect in [Dialect::Omni, Dialect::Stream, Dialect::Connect] {
            let _ = dialect.read_request(&message);
        }
        let _ = (OmniResults::read(&message), OmniResponse::read(&message));
        let _ = (native::Identity::read(&message), native::ClientMessage::read(&message));
    }
}

#[test]
fn messages_are_whole_or_none() {
    let message = dumped(REQUEST);
    let mut bytes = Vec::new();
    message.write(&mut bytes).unwrap();
    assert_eq!(bytes.len(), MESSAGE_BYTES);
    assert_eq!(WireMessage::read(&mut bytes.as_slice()).unwrap(), message);
    let cut = WireMessage::read(&mut &bytes[..256]).unwrap_err();
    assert_eq!(cut.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn text_is_cut_so_that_a_nul_stays() {
    let mut message = WireMessage::default();
    message.put_text(160, 16, "a congestion control of great length");
    assert_eq!(message.text(160, 16), "a congestion co");
    assert_eq!(message.0[175], 0);
}
