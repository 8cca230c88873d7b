//! In whose words a test is asked for and answered: those of omni tests, or the older ones of
//! TCP_SENDFILE and TCP_CC, which are read into the same forms and written out of them.

use super::ask::{CONNECTIONS, MEASURE_CPU, NO_DELAY, OmniRequest, SERVER_RECEIVES};
use super::reply::{OmniResponse, OmniResults, PROC_STAT};
use super::{RESPONSE, RESULTS, WireMessage, kind};
use crate::test_kind::Protocol;

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those of omni tests.
    Omni,
    /// TCP_SENDFILE's: bytes from netperf to netserver.
    Stream,
    /// TCP_CC's: connections alone.
    Connect,
}

impl Dialect {
    /// What a message of this type asks for a test in; absent: it asks for none.
    #[must_use]
    pub const fn of(kind: u32) -> Option<Self> {
        match kind {
            kind::OMNI => Some(Self::Omni),
            kind::TCP_STREAM => Some(Self::Stream),
            kind::TCP_CC => Some(Self::Connect),
            _ => None,
        }
    }

    /// The type of its requests.
    const fn kind(self) -> u32 {
        match self {
            Self::Omni => kind::OMNI,
            Self::Stream => kind::TCP_STREAM,
            Self::Connect => kind::TCP_CC,
        }
    }

    /// Reads a request.
    #[must_use]
    pub fn read_request(self, message: &WireMessage) -> OmniRequest {
        match self {
            Self::Omni => OmniRequest::read(message),
            Self::Stream => OmniRequest {
                cpu: message.get(4),
                send_buffer: message.get(8),
                receive_buffer: message.get(12),
                receive_size: message.get(16),
                flags: flags(message, 28),
                test_length: message.get(40),
                data_port: message.get(60),
                family: message.get(64),
                protocol: Some(Protocol::Tcp),
                direction: SERVER_RECEIVES,
                ..OmniRequest::default()
            },
            Self::Connect => OmniRequest {
                cpu: message.get(4),
                receive_buffer: message.get(8),
                send_buffer: message.get(12),
                request_size: message.get(32),
                response_size: message.get(36),
                flags: CONNECTIONS | flags(message, 40),
                test_length: message.get(52),
                data_port: message.get(64),
                family: message.get(68),
                protocol: Some(Protocol::Tcp),
                ..OmniRequest::default()
            },
        }
    }

    /// Writes a response.
    #[must_use]
    pub fn write_response(self, response: &OmniResponse) -> WireMessage {
        let mut message = WireMessage::answer(self.kind() + RESPONSE, response.errno);
        match self {
            Self::Omni => return response.write(),
            Self::Stream => {
                message.put(8, [response.receive_buffer, response.receive_size]);
                put_flags(&mut message, 16, response.flags);
                message.put(28, response.send_buffer);
                message.put(32, response.data_port);
                message.put(36, response.cpu_rate);
            }
            Self::Connect => {
                message.put(8, response.receive_buffer);
                put_flags(&mut message, 12, response.flags);
                message.put(24, response.send_buffer);
                message.put(28, response.data_port);
                message.put(32, response.cpu_rate);
            }
        }
        message
    }

    /// Says that a test is refused.
    #[must_use]
    pub fn refusal(self, errno: i32) -> WireMessage {
        WireMessage::answer(self.kind() + RESPONSE, errno)
    }

    /// Says that a test failed.
    #[must_use]
    pub fn failure(self, errno: i32) -> WireMessage {
        WireMessage::answer(self.kind() + RESULTS, errno)
    }

    /// Writes results.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "singles, and counts that wrap")]
    pub fn write_results(self, results: &OmniResults) -> WireMessage {
        let counters = &results.counters;
        let mut message = WireMessage::answer(self.kind() + RESULTS, results.errno);
        match self {
            Self::Omni => return results.write(),
            Self::Stream => {
                #[expect(clippy::cast_precision_loss, reason = "the record has a double")]
                message.put(8, counters.bytes_received as f64);
                message.put(16, counters.receive_calls as u32);
                message.put(40, [results.receive_buffer, results.send_buffer]);
            }
            Self::Connect => {
                message.put(8, u32::try_from(counters.bytes_received).unwrap_or(u32::MAX));
                message.put(12, counters.receive_calls as u32);
                message.put(16, counters.transactions as u32);
            }
        }
        message.put(20, results.elapsed_seconds);
        // Of CPU they tell one share.
        if let Some(cpu) = results.cpu {
            message.put(24, cpu.util_percent as f32);
            message.put(32, [PROC_STAT, cpu.cpus]);
        }
        message
    }
}

/// TCP_NODELAY and CPU, a word each, from a byte offset on.
fn put_flags(message: &mut WireMessage, at: usize, flags: u32) {
    message.put(at, [NO_DELAY, MEASURE_CPU].map(|flag| u32::from(flags & flag != 0)));
}

fn flags(message: &WireMessage, at: usize) -> u32 {
    let [no_delay, measure_cpu]: [u32; 2] = message.get(at);
    let set = |word: u32, flag: u32| if word == 0 { 0 } else { flag };
    set(no_delay, NO_DELAY) | set(measure_cpu, MEASURE_CPU)
}

#[cfg(test)]
mod tests {
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
        let words = [
            (8, 131_072),
            (12, 4096),
            (20, 1),
            (28, 16_384),
            (32, 43_059),
            (36, 100_f32.to_bits()),
        ];
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
}
