//! The records of TCP_SENDFILE and TCP_CC, which are older than those of omni tests: read into the
//! same forms, and written out of them.

use super::WireMessage;
use super::ask::{CONNECTIONS, MEASURE_CPU, NO_DELAY, OmniRequest, ROUTING, SERVER_RECEIVES};
use super::kind;
use super::reply::{OmniResponse, OmniResults};
use podperf_model::AddressFamily;

/// What answers a request or tells results has the request's type and so much more.
const RESPONSE: u32 = 1;
const RESULTS: u32 = 2;

/// Bytes from netperf to netserver: TCP_SENDFILE.
pub mod stream {
    use super::*;

    /// For the wire.
    #[must_use]
    pub fn write_request(request: &OmniRequest) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM);
        message.put_int(4, request.cpu);
        message.put_int(8, request.send_buffer);
        message.put_int(12, request.receive_buffer);
        message.put_int(16, request.receive_size.max(0));
        message.put(20, request.receive_ring[0]);
        message.put(24, request.receive_ring[1]);
        put_wishes(&mut message, 28, request);
        message.put_int(52, -1);
        message.put_int(56, -1);
        put_port(&mut message, 60, request);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_request(message: &WireMessage) -> OmniRequest {
        let [align, offset] = [message.word(20), message.word(24)];
        OmniRequest {
            send_buffer: message.int(8),
            receive_buffer: message.int(12),
            receive_size: chosen(message.int(16)),
            receive_ring: [align, offset, 0],
            direction: SERVER_RECEIVES,
            ..extensions(message, 28, 60)
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_response(response: &OmniResponse) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM + RESPONSE);
        message.put_int(4, response.errno);
        message.put_int(8, response.receive_buffer);
        message.put_int(12, response.receive_size);
        put_flags(&mut message, 16, response.flags);
        message.put_int(28, response.send_buffer);
        message.put(32, response.data_port.into());
        message.put_float(36, response.cpu_rate);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_response(message: &WireMessage) -> OmniResponse {
        OmniResponse {
            errno: message.int(4),
            receive_buffer: message.int(8),
            receive_size: message.int(12),
            flags: flags(message, 16),
            send_buffer: message.int(28),
            data_port: port(message, 32),
            cpu_rate: message.float(36),
            ..unsaid()
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_results(results: &OmniResults) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_STREAM + RESULTS);
        message.put_int(4, results.errno);
        #[expect(clippy::cast_precision_loss, reason = "the record has a double")]
        message.put_double(8, results.bytes_received as f64);
        message.put(16, results.receive_calls);
        put_cost(&mut message, 20, results);
        message.put_int(40, results.receive_buffer);
        message.put_int(44, results.send_buffer);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_results(message: &WireMessage) -> OmniResults {
        OmniResults {
            // A float cast stops at the integer's bounds.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
            bytes_received: message.double(8) as u64,
            receive_calls: message.word(16),
            receive_buffer: message.int(40),
            send_buffer: message.int(44),
            ..cost(message, 20)
        }
    }
}

/// Connections alone: TCP_CC.
pub mod connect {
    use super::*;

    /// For the wire.
    #[must_use]
    pub fn write_request(request: &OmniRequest) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC);
        message.put_int(4, request.cpu);
        message.put_int(8, request.receive_buffer);
        message.put_int(12, request.send_buffer);
        message.put(16, request.receive_ring[0]);
        message.put(20, request.receive_ring[1]);
        message.put(24, request.send_ring[0]);
        message.put(28, request.send_ring[1]);
        message.put_int(32, request.request_size);
        message.put_int(36, request.response_size);
        put_wishes(&mut message, 40, request);
        put_port(&mut message, 64, request);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_request(message: &WireMessage) -> OmniRequest {
        let extensions = extensions(message, 40, 64);
        OmniRequest {
            receive_buffer: message.int(8),
            send_buffer: message.int(12),
            receive_ring: [message.word(16), message.word(20), 0],
            send_ring: [message.word(24), message.word(28), 0],
            request_size: message.int(32),
            response_size: message.int(36),
            flags: extensions.flags | CONNECTIONS,
            direction: 0,
            ..extensions
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_response(response: &OmniResponse) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC + RESPONSE);
        message.put_int(4, response.errno);
        message.put_int(8, response.receive_buffer);
        put_flags(&mut message, 12, response.flags);
        message.put_int(24, response.send_buffer);
        message.put(28, response.data_port.into());
        message.put_float(32, response.cpu_rate);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_response(message: &WireMessage) -> OmniResponse {
        OmniResponse {
            errno: message.int(4),
            receive_buffer: message.int(8),
            flags: flags(message, 12),
            send_buffer: message.int(24),
            data_port: port(message, 28),
            cpu_rate: message.float(32),
            ..unsaid()
        }
    }

    /// For the wire.
    #[must_use]
    pub fn write_results(results: &OmniResults) -> WireMessage {
        let mut message = WireMessage::of(kind::TCP_CC + RESULTS);
        message.put_int(4, results.errno);
        message.put(8, u32::try_from(results.bytes_received).unwrap_or(u32::MAX));
        message.put(12, results.receive_calls);
        message.put(16, results.transactions);
        put_cost(&mut message, 20, results);
        message
    }

    /// From the wire.
    #[must_use]
    pub fn read_results(message: &WireMessage) -> OmniResults {
        OmniResults {
            bytes_received: message.word(8).into(),
            receive_calls: message.word(12),
            transactions: message.word(16),
            ..cost(message, 20)
        }
    }
}

/// TCP_NODELAY, CPU, length and copy avoidance: what both requests have, from a byte offset on.
fn put_wishes(message: &mut WireMessage, at: usize, request: &OmniRequest) {
    message.put(at, request.flags & NO_DELAY);
    message.put(at + 4, u32::from(request.flags & MEASURE_CPU != 0));
    message.put_float(at + 8, request.cpu_rate);
    message.put_int(at + 12, request.test_length);
    message.put(at + 16, request.copy_avoidance[0]);
    message.put(at + 20, request.copy_avoidance[1]);
}

fn put_port(message: &mut WireMessage, at: usize, request: &OmniRequest) {
    message.put(at, request.data_port.into());
    let family = match request.family {
        None => 0,
        Some(AddressFamily::V4) => 4,
        Some(AddressFamily::V6) => 6,
    };
    message.put(at + 4, family);
}

fn extensions(message: &WireMessage, at: usize, port_at: usize) -> OmniRequest {
    OmniRequest {
        cpu: message.int(4),
        flags: ROUTING | set(message.word(at), NO_DELAY) | set(message.word(at + 4), MEASURE_CPU),
        cpu_rate: message.float(at + 8),
        test_length: message.int(at + 12),
        copy_avoidance: [message.word(at + 16), message.word(at + 20)],
        data_port: port(message, port_at),
        family: match message.word(port_at + 4) {
            4 => Some(AddressFamily::V4),
            6 => Some(AddressFamily::V6),
            _ => None,
        },
        ..OmniRequest::default()
    }
}

/// TCP_NODELAY and CPU, from a byte offset on; the length that follows is not told.
fn put_flags(message: &mut WireMessage, at: usize, flags: u32) {
    message.put(at, flags & NO_DELAY);
    message.put(at + 4, u32::from(flags & MEASURE_CPU != 0));
}

fn flags(message: &WireMessage, at: usize) -> u32 {
    set(message.word(at), NO_DELAY) | set(message.word(at + 4), MEASURE_CPU)
}

const fn set(word: u32, flag: u32) -> u32 {
    if word == 0 { 0 } else { flag }
}

/// Time, CPU share, service demand (left out), method and CPUs, from a byte offset on.
fn put_cost(message: &mut WireMessage, at: usize, results: &OmniResults) {
    message.put_float(at, results.elapsed_seconds);
    message.put_float(at + 4, results.cpu_percent[0]);
    message.put(at + 12, results.cpu_method);
    message.put(at + 16, results.cpus);
}

fn cost(message: &WireMessage, at: usize) -> OmniResults {
    OmniResults {
        errno: message.int(4),
        elapsed_seconds: message.float(at),
        cpu_percent: [message.float(at + 4), 0.0, 0.0, 0.0, 0.0, 0.0],
        cpu_method: message.word(at + 12),
        cpus: message.word(at + 16),
        peak_cpu: -1,
        retransmits: -1,
        ..OmniResults::default()
    }
}

/// What these answers have no place for.
fn unsaid() -> OmniResponse {
    OmniResponse { priority: -1, tos: -1, send_size: -1, ..OmniResponse::default() }
}

fn port(message: &WireMessage, at: usize) -> u16 {
    u16::try_from(message.word(at)).unwrap_or(0)
}

/// Of sizes, 0 is the default here and -1 everywhere else.
const fn chosen(size: i32) -> i32 {
    if size > 0 { size } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(message.double(8), 89_833_472.0);
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
