//! The older records, word by word.

use super::*;
use crate::figures::{CpuPercent, EndCounters};
use podperf_model::AddressFamily;

const CPU: CpuPercent = CpuPercent {
    cpus: 2,
    util_percent: 34.5,
    user_percent: 0.0,
    system_percent: 0.0,
    iowait_percent: 0.0,
    irq_percent: 0.0,
    softirq_percent: 0.0,
    peak: None,
};

fn message(kind: u32, words: &[(usize, u32)]) -> WireMessage {
    let mut message = WireMessage::of(kind);
    for (at, word) in words {
        message.put(*at, *word);
    }
    message
}

fn asked() -> OmniRequest {
    OmniRequest {
        cpu: Some(3),
        send_buffer: Some(65_536),
        receive_buffer: Some(131_072),
        test_length: -7,
        data_port: 42_424,
        family: Some(AddressFamily::V6),
        protocol: Some(Protocol::Tcp),
        ..OmniRequest::default()
    }
}

#[test]
fn a_stream_record_has_its_words_where_netperf_has_them() {
    let request = message(
        kind::TCP_STREAM,
        &[
            (4, 3),
            (8, 65_536),
            (12, 131_072),
            (16, 4096),
            (28, 1),
            (32, 1),
            (40, (-7_i32).cast_unsigned()),
            (60, 42_424),
            (64, 6),
        ],
    );
    let expected = OmniRequest {
        receive_size: Some(4096),
        flags: NO_DELAY | MEASURE_CPU,
        direction: SERVER_RECEIVES,
        ..asked()
    };
    assert_eq!(Dialect::of(request.kind()), Some(Dialect::Stream));
    assert_eq!(Dialect::Stream.read_request(&request), expected);

    let response = Dialect::Stream.write_response(&OmniResponse {
        receive_buffer: Some(131_072),
        receive_size: Some(4096),
        send_buffer: Some(16_384),
        flags: MEASURE_CPU,
        cpu_rate: 100.0,
        data_port: 43_059,
        ..OmniResponse::default()
    });
    let words =
        [(8, 131_072), (12, 4096), (20, 1), (28, 16_384), (32, 43_059), (36, 100_f32.to_bits())];
    assert_eq!(response, message(11, &words));

    let results = Dialect::Stream.write_results(&OmniResults {
        counters: EndCounters {
            bytes_received: 89_833_472,
            receive_calls: 5483,
            ..EndCounters::default()
        },
        elapsed_seconds: 1.5,
        cpu: Some(CPU),
        receive_buffer: Some(746_908),
        send_buffer: Some(16_384),
        ..OmniResults::default()
    });
    let words = [(16, 5483), (20, 1.5_f32.to_bits()), (24, 34.5_f32.to_bits())];
    let mut expected = message(12, &words);
    expected.put(8, 89_833_472_f64);
    expected.put(32, [8, 2, 746_908, 16_384]);
    assert_eq!(results, expected);
}

#[test]
fn a_connect_record_has_its_words_where_netperf_has_them() {
    let request = message(
        kind::TCP_CC,
        &[
            (4, 3),
            (8, 131_072),
            (12, 65_536),
            (32, 1),
            (36, 1),
            (44, 1),
            (52, (-7_i32).cast_unsigned()),
            (64, 42_424),
            (68, 6),
        ],
    );
    let expected = OmniRequest {
        request_size: Some(1),
        response_size: Some(1),
        flags: MEASURE_CPU | CONNECTIONS,
        ..asked()
    };
    assert_eq!(Dialect::of(request.kind()), Some(Dialect::Connect));
    assert_eq!(Dialect::Connect.read_request(&request), expected);

    let response = Dialect::Connect.write_response(&OmniResponse {
        data_port: 999,
        send_buffer: Some(7),
        flags: NO_DELAY,
        ..OmniResponse::default()
    });
    assert_eq!(response, message(301, &[(8, u32::MAX), (12, 1), (24, 7), (28, 999)]));

    let results = Dialect::Connect.write_results(&OmniResults {
        counters: EndCounters {
            bytes_received: 5,
            receive_calls: 6,
            transactions: 12,
            ..EndCounters::default()
        },
        elapsed_seconds: 2.0,
        cpu: Some(CPU),
        ..OmniResults::default()
    });
    let words = [(8, 5), (12, 6), (16, 12), (20, 2_f32.to_bits()), (24, 34.5_f32.to_bits())];
    let mut expected = message(302, &words);
    expected.put(32, [8, 2]);
    assert_eq!(results, expected);
}
