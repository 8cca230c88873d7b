//! The records of TCP_SENDFILE and TCP_CC, which are older than those of omni tests: read into the
//! same forms, and written out of them.

use super::ask::{CONNECTIONS, MEASURE_CPU, NO_DELAY, OmniRequest, ROUTING, SERVER_RECEIVES};
use super::reply::{OmniResponse, OmniResults};
use super::{Field, WireMessage, kind};

/// What answers a request or tells results has the request's type and so much more.
const RESPONSE: u32 = 1;
const RESULTS: u32 = 2;

/// Bytes from netperf to netserver: TCP_SENDFILE.
pub mod stream {
    use super::*;

    fields!(
        put_request,
        get_request,
        OmniRequest {
            cpu: 4,
            send_buffer: 8,
            receive_buffer: 12,
            cpu_rate: 36,
            test_length: 40,
            copy_avoidance: 44,
            data_port: 60,
            family: 64,
        }
    );

    fields!(
        put_response,
        get_response,
        OmniResponse {
            errno: 4,
            receive_buffer: 8,
            receive_size: 12,
            send_buffer: 28,
            data_port: 32,
            cpu_rate: 36,
        }
    );

    fields!(
        put_results,
        get_results,
        OmniResults {
            errno: 4,
            receive_calls: 16,
            elapsed_seconds: 20,
            cpu_method: 32,
            cpus: 36,
            receive_buffer: 40,
            send_buffer: 44,
        }
    );

    /// For the wire.
    #[must_use]
    pub fn write_request(request: &OmniRequest) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM);
        put_request(request, &mut message);
        request.receive_size.max(0).write(&mut message, 16);
        put_ring(&mut message, 20, request.receive_ring);
        put_flags(&mut message, 28, request.flags);
        [-1; 2].write(&mut message, 52);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_request(message: &WireMessage) -> OmniRequest {
        OmniRequest {
            receive_size: chosen(message.int(16)),
            receive_ring: ring(message, 20),
            flags: ROUTING | flags(message, 28),
            direction: SERVER_RECEIVES,
            ..get_request(message, OmniRequest::default())
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_response(response: &OmniResponse) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM + RESPONSE);
        put_response(response, &mut message);
        put_flags(&mut message, 16, response.flags);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_response(message: &WireMessage) -> OmniResponse {
        OmniResponse { flags: flags(message, 16), ..get_response(message, unsaid()) }
    }

    /// For the wire.
    #[must_use]
    pub fn write_results(results: &OmniResults) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM + RESULTS);
        put_results(results, &mut message);
        #[expect(clippy::cast_precision_loss, reason = "the record has a double")]
        (results.bytes_received as f64).write(&mut message, 8);
        results.cpu_percent[0].write(&mut message, 24);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_results(message: &WireMessage) -> OmniResults {
        OmniResults {
            // A float cast stops at the integer's bounds.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
            bytes_received: f64::read(message, 8) as u64,
            ..get_results(message, untold(message))
        }
    }
}

/// Connections alone: TCP_CC.
pub mod connect {
    use super::*;

    fields!(
        put_request,
        get_request,
        OmniRequest {
            cpu: 4,
            receive_buffer: 8,
            send_buffer: 12,
            request_size: 32,
            response_size: 36,
            cpu_rate: 48,
            test_length: 52,
            copy_avoidance: 56,
            data_port: 64,
            family: 68,
        }
    );

    fields!(
        put_response,
        get_response,
        OmniResponse { errno: 4, receive_buffer: 8, send_buffer: 24, data_port: 28, cpu_rate: 32 }
    );

    fields!(
        put_results,
        get_results,
        OmniResults {
            errno: 4,
            receive_calls: 12,
            transactions: 16,
            elapsed_seconds: 20,
            cpu_method: 32,
            cpus: 36,
        }
    );

    /// For the wire.
    #[must_use]
    pub fn write_request(request: &OmniRequest) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC);
        put_request(request, &mut message);
        put_ring(&mut message, 16, request.receive_ring);
        put_ring(&mut message, 24, request.send_ring);
        put_flags(&mut message, 40, request.flags);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_request(message: &WireMessage) -> OmniRequest {
        OmniRequest {
            receive_ring: ring(message, 16),
            send_ring: ring(message, 24),
            flags: ROUTING | CONNECTIONS | flags(message, 40),
            direction: 0,
            ..get_request(message, OmniRequest::default())
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_response(response: &OmniResponse) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC + RESPONSE);
        put_response(response, &mut message);
        put_flags(&mut message, 12, response.flags);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_response(message: &WireMessage) -> OmniResponse {
        OmniResponse { flags: flags(message, 12), ..get_response(message, unsaid()) }
    }

    /// For the wire.
    #[must_use]
    pub fn write_results(results: &OmniResults) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC + RESULTS);
        put_results(results, &mut message);
        message.put(8, u32::try_from(results.bytes_received).unwrap_or(u32::MAX));
        results.cpu_percent[0].write(&mut message, 24);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_results(message: &WireMessage) -> OmniResults {
        OmniResults {
            bytes_received: message.word(8).into(),
            ..get_results(message, untold(message))
        }
    }
}

/// Alignment and offset of a ring; its width is not told.
fn put_ring(message: &mut WireMessage, at: usize, [align, offset, _]: [u32; 3]) {
    [align, offset].write(message, at);
}

fn ring(message: &WireMessage, at: usize) -> [u32; 3] {
    [message.word(at), message.word(at + 4), 0]
}

/// TCP_NODELAY and CPU, a word each, from a byte offset on.
fn put_flags(message: &mut WireMessage, at: usize, flags: u32) {
    message.put(at, flags & NO_DELAY);
    message.put(at + 4, u32::from(flags & MEASURE_CPU != 0));
}

fn flags(message: &WireMessage, at: usize) -> u32 {
    let set = |word: u32, flag: u32| if word == 0 { 0 } else { flag };
    set(message.word(at), NO_DELAY) | set(message.word(at + 4), MEASURE_CPU)
}

/// What these answers have no place for.
fn unsaid() -> OmniResponse {
    OmniResponse { priority: -1, tos: -1, send_size: -1, ..OmniResponse::default() }
}

/// What these results have no place for; of CPU they tell one share, in the same place.
fn untold(message: &WireMessage) -> OmniResults {
    OmniResults {
        cpu_percent: [f32::read(message, 24), 0.0, 0.0, 0.0, 0.0, 0.0],
        peak_cpu: -1,
        retransmits: -1,
        ..OmniResults::default()
    }
}

/// Of sizes, 0 is the default here and -1 everywhere else.
const fn chosen(size: i32) -> i32 {
    if size > 0 { size } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use podperf_model::AddressFamily;

    fn asked() -> OmniRequest {
        OmniRequest {
            cpu: 3,
            send_buffer: 65_536,
            receive_buffer: 131_072,
            receive_size: 4096,
            flags: ROUTING | NO_DELAY | MEASURE_CPU,
            test_length: -7,
            data_port: 42_424,
            family: Some(AddressFamily::V6),
            direction: SERVER_RECEIVES,
            ..OmniRequest::default()
        }
    }

    #[test]
    fn a_stream_record_has_its_words_where_netperf_reads_them() {
        let message = stream::write_request(&asked());
        assert_eq!(message.kind(), 10);
        for (at, word) in [(4, 3), (8, 65_536), (12, 131_072), (16, 4096), (28, 1), (32, 1)] {
            assert_eq!(message.word(at), word, "byte {at}");
        }
        assert_eq!((message.int(40), message.word(60), message.word(64)), (-7, 42_424, 6));
        assert_eq!(stream::read_request(&message), asked());

        let response = OmniResponse {
            receive_buffer: 131_072,
            receive_size: 4096,
            send_buffer: 16_384,
            flags: MEASURE_CPU,
            cpu_rate: 100.0,
            data_port: 43_059,
            ..unsaid()
        };
        let message = stream::write_response(&response);
        assert_eq!((message.kind(), message.word(20), message.word(32)), (11, 1, 43_059));
        assert_eq!(stream::read_response(&message), response);

        let results = OmniResults {
            bytes_received: 89_833_472,
            receive_calls: 5483,
            elapsed_seconds: 1.5,
            cpu_percent: [34.5, 0.0, 0.0, 0.0, 0.0, 0.0],
            cpu_method: 8,
            cpus: 2,
            receive_buffer: 746_908,
            send_buffer: 16_384,
            peak_cpu: -1,
            retransmits: -1,
            ..OmniResults::default()
        };
        let message = stream::write_results(&results);
        assert_eq!(f64::read(&message, 8), 89_833_472.0);
        let words = [16, 32, 36, 40, 44].map(|at| message.word(at));
        assert_eq!(words, [5483, 8, 2, 746_908, 16_384]);
        assert_eq!(stream::read_results(&message), results);
    }

    #[test]
    fn a_size_of_nought_is_the_servers_choice() {
        let message = stream::write_request(&OmniRequest::default());
        assert_eq!(message.int(16), 0);
        assert_eq!(stream::read_request(&message).receive_size, -1);
    }

    #[test]
    fn a_connect_record_has_its_words_where_netperf_reads_them() {
        let asked = OmniRequest {
            request_size: 1,
            response_size: 1,
            receive_size: -1,
            flags: ROUTING | MEASURE_CPU | CONNECTIONS,
            direction: 0,
            ..asked()
        };
        let message = connect::write_request(&asked);
        assert_eq!(message.kind(), 300);
        let words = [8, 12, 32, 36, 40, 44, 64, 68].map(|at| message.word(at));
        assert_eq!(words, [131_072, 65_536, 1, 1, 0, 1, 42_424, 6]);
        assert_eq!(message.int(52), -7);
        assert_eq!(connect::read_request(&message), asked);

        let response = OmniResponse { data_port: 999, send_buffer: 7, ..unsaid() };
        let message = connect::write_response(&response);
        assert_eq!((message.kind(), message.word(28), message.word(24)), (301, 999, 7));
        assert_eq!(connect::read_response(&message), response);

        let results = OmniResults {
            transactions: 12,
            elapsed_seconds: 2.0,
            peak_cpu: -1,
            retransmits: -1,
            ..OmniResults::default()
        };
        let message = connect::write_results(&results);
        assert_eq!((message.word(16), message.float(20)), (12, 2.0));
        assert_eq!(connect::read_results(&message), results);
    }
}
