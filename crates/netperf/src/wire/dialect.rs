//! In whose words a test is asked for and answered: those of omni tests, or the older ones of
//! TCP_SENDFILE and TCP_CC, which are read into the same forms and written out of them.

use super::ask::{CONNECTIONS, MEASURE_CPU, NO_DELAY, OmniRequest, SERVER_RECEIVES};
use super::reply::{OmniResponse, OmniResults, PROC_STAT, word};
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
    #[expect(clippy::cast_possible_truncation, reason = "the record has singles")]
    pub fn write_results(self, results: &OmniResults) -> WireMessage {
        let counters = &results.counters;
        let mut message = WireMessage::answer(self.kind() + RESULTS, results.errno);
        match self {
            Self::Omni => return results.write(),
            Self::Stream => {
                #[expect(clippy::cast_precision_loss, reason = "the record has a double")]
                message.put(8, counters.bytes_received as f64);
                message.put(16, word(counters.receive_calls));
                message.put(40, [results.receive_buffer, results.send_buffer]);
            }
            Self::Connect => {
                message.put(8, word(counters.bytes_received));
                message.put(12, word(counters.receive_calls));
                message.put(16, word(counters.transactions));
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
mod tests;
