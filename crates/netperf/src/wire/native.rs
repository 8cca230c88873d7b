//! What two podperfs add to netperf's records, all of it in messages of the type
//! [`kind::NATIVE`]: word 1 of a message says what it is for. A netserver that is none answers
//! [`super::UNKNOWN`] to the first of them and hears no other.

use std::io::{self, ErrorKind, Read};

use serde::{Deserialize, Serialize};

use super::{WireMessage, kind};
use crate::figures::{EndCounters, GrantedSocket};
use podperf_model::latency::LatencyWire;
use podperf_model::result::allowed_cpus::AllowedCpusChange;

/// The version of these messages.
pub const PROTOCOL: u32 = 1;
/// Most bytes of details.
const MAX_DETAILS_BYTES: usize = 4 << 20;

/// What word 1 of a message from a client says.
mod purpose {
    pub(super) const PROBE: u32 = 0;
    pub(super) const NEXT: u32 = 1;
    pub(super) const END: u32 = 2;
    pub(super) const DETAILS: u32 = 3;
    pub(super) const TOKEN: u32 = 4;
    pub(super) const JOIN: u32 = 5;
}

/// What only the ends of one test know.
pub type ConnectionToken = [u8; 16];

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMessage {
    /// Are you podperf? Answered with an [`Identity`].
    Probe,
    /// What the next test is beyond its request. Answered with [`answer`].
    Next(Extensions),
    /// The data phase is over; not answered.
    End,
    /// Tell more of the last test. Answered with [`Details`].
    Details,
    /// The data of the next test comes over the control port. Answered with [`token_answer`].
    ConnectionToken,
    /// First message of such a connection; not answered.
    Join {
        /// Whose connection it is.
        token: ConnectionToken,
        /// Which one.
        stream: u32,
    },
}

/// What a client wishes of a test that netperf's request has no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// Connections, from 1 to [`crate::test_kind::MAX_STREAMS`].
    pub streams: u32,
    /// The server's send or receive calls of a stream are timed, for [`Details::latency`].
    pub times_calls: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self { streams: 1, times_calls: false }
    }
}

impl ClientMessage {
    /// For the wire.
    #[must_use]
    pub fn write(self) -> WireMessage {
        let mut message = WireMessage::of(kind::NATIVE);
        let purpose = match self {
            Self::Probe => purpose::PROBE,
            Self::Next(extensions) => {
                message.put(8, extensions.streams);
                message.put(12, u32::from(extensions.times_calls));
                purpose::NEXT
            }
            Self::End => purpose::END,
            Self::Details => purpose::DETAILS,
            Self::ConnectionToken => purpose::TOKEN,
            Self::Join { token, stream } => {
                message.put(8, token);
                message.put(24, stream);
                purpose::JOIN
            }
        };
        message.put(4, purpose);
        message
    }

    /// From the wire; absent: of another type, or of a later version.
    #[must_use]
    pub fn read(message: &WireMessage) -> Option<Self> {
        if message.kind() != kind::NATIVE {
            return None;
        }
        Some(match message.get(4) {
            purpose::PROBE => Self::Probe,
            purpose::NEXT => Self::Next(Extensions {
                streams: message.get(8),
                times_calls: message.get::<u32>(12) != 0,
            }),
            purpose::END => Self::End,
            purpose::DETAILS => Self::Details,
            purpose::TOKEN => Self::ConnectionToken,
            purpose::JOIN => Self::Join { token: message.get(8), stream: message.get(24) },
            _ => return None,
        })
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The latest version of these messages that it knows.
    pub protocol: u32,
    /// `podperf` and its version.
    pub name: String,
}

impl Identity {
    /// This podperf's.
    #[must_use]
    pub fn own() -> Self {
        Self { protocol: PROTOCOL, name: format!("podperf {}", env!("CARGO_PKG_VERSION")) }
    }

    /// For the wire.
    #[must_use]
    pub fn write(&self) -> WireMessage {
        let mut message = answer(0);
        message.put(8, self.protocol);
        message.put_text(12, 64, &self.name);
        message
    }

    /// From the wire; absent: the answer of something else.
    #[must_use]
    pub fn read(message: &WireMessage) -> Option<Self> {
        let name = message.text(12, 64);
        let own = is_accepted(message) && name.starts_with("podperf ");
        own.then(|| Self { protocol: message.get(8), name })
    }
}

/// An answer that says no more than whether it was accepted: 0, or an errno.
#[must_use]
pub fn answer(errno: i32) -> WireMessage {
    WireMessage::answer(kind::NATIVE, errno)
}

/// Where the words of a refusal stand, and how many bytes they may take.
const WORDS_OFFSET_BYTES: usize = 200;
const MAX_WORDS_BYTES: usize = 450;
/// What they begin with; a netserver that is not podperf's leaves there whatever it had.
const WORDS_PREFIX: &str = "podperf: ";

/// The same refusal with words that say why, for a client that is podperf.
#[must_use]
pub fn with_words(mut refusal: WireMessage, words: &str) -> WireMessage {
    refusal.put_text(WORDS_OFFSET_BYTES, MAX_WORDS_BYTES, &format!("{WORDS_PREFIX}{words}"));
    refusal
}

/// The words of a refusal, as they may be shown; absent: it has none.
#[must_use]
pub fn words(refusal: &WireMessage) -> Option<String> {
    let text = refusal.text(WORDS_OFFSET_BYTES, MAX_WORDS_BYTES);
    let words = text.strip_prefix(WORDS_PREFIX).filter(|_| refusal.errno() != 0)?;
    Some(words.replace(char::is_control, " "))
}

/// What a client is told whose test waits in a queue: its place, and how long it may wait there.
/// The answer to its request comes later.
#[must_use]
pub fn queued(place: u32, longest_wait_seconds: u32) -> WireMessage {
    let mut message = answer(0);
    message.put(8, [QUEUED, place, longest_wait_seconds]);
    message
}

/// From the wire: place and seconds; absent: it is another message.
#[must_use]
pub fn read_queued(message: &WireMessage) -> Option<(u32, u32)> {
    let [mark, place, seconds]: [u32; 3] = message.get(8);
    (is_accepted(message) && mark == QUEUED).then_some((place, seconds))
}

/// Marks an answer that another one follows: "wait".
const QUEUED: u32 = 0x7761_6974;

fn is_accepted(message: &WireMessage) -> bool {
    message.kind() == kind::NATIVE && message.errno() == 0
}

/// The answer to [`ClientMessage::ConnectionToken`].
#[must_use]
pub fn token_answer(token: ConnectionToken) -> WireMessage {
    let mut message = answer(0);
    message.put(8, token);
    message
}

/// From the answer to [`ClientMessage::ConnectionToken`]; absent: it was refused.
#[must_use]
pub fn read_token(message: &WireMessage) -> Option<ConnectionToken> {
    is_accepted(message).then(|| message.get(8))
}

/// All that a server counted, without the narrow words of netperf's results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What was counted.
    pub counters: EndCounters,
    /// Of calls, where that was asked for.
    pub latency: Option<LatencyWire>,
    /// Of the first data socket, with the retransmits of all.
    pub socket: GrantedSocket,
    /// The CPUs that the server may use, where they were changed in mid-test.
    pub allowed_cpus: Option<AllowedCpusChange>,
}

impl Details {
    /// The message that announces them, and what follows it.
    ///
    /// # Errors
    /// When they are too long to be told, or no JSON can be made of them.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_DETAILS_BYTES);
        let length = length.ok_or_else(|| io::Error::from(ErrorKind::FileTooLarge))?;
        let mut head = answer(0);
        head.put(8, length);
        Ok([head.0.as_slice(), &json].concat())
    }

    /// From the wire: the answer, and what follows it.
    ///
    /// # Errors
    /// What the connection says; `NotFound` where the server has none, `InvalidData` where it talks
    /// nonsense.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let head = WireMessage::read(from)?;
        if !is_accepted(&head) {
            return Err(ErrorKind::NotFound.into());
        }
        let length = head.get::<u32>(8) as usize;
        if length > MAX_DETAILS_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut json = vec![0; length];
        from.read_exact(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

#[cfg(test)]
mod tests;
