//! The records of the control connection, which are netperf's.
//!
//! Every message, both ways, is 656 bytes: a type, a word of its own meaning, and data. Words are
//! big-endian. Unused bytes hold whatever the sender had there.

/// Defines how a record is written and read: each field at its byte offset. What is not named stays
/// as it is.
macro_rules! fields {
    ($write:ident, $read:ident, $record:ident { $($field:ident: $at:literal),* $(,)? }) => {
        fn $write(record: &$record, message: &mut $crate::wire::WireMessage) {
            $($crate::wire::Field::write(&record.$field, message, $at);)*
        }

        fn $read(message: &$crate::wire::WireMessage, mut record: $record) -> $record {
            $(record.$field = $crate::wire::Field::read(message, $at);)*
            record
        }
    };
}

pub mod ask;
pub mod classic;
pub mod native;
pub mod reply;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use podperf_model::AddressFamily;

use crate::test_kind::Protocol;

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 656;

/// Message types.
pub mod kind {
    /// Tell more, or tell less.
    pub const DEBUG_ON: u32 = 1;
    /// See [`DEBUG_ON`].
    pub const DEBUG_OFF: u32 = 2;
    /// The answer to both.
    pub const DEBUG_OK: u32 = 3;
    /// Measure the CPU rate.
    pub const CPU_CALIBRATE: u32 = 5;
    /// A passphrase; not answered.
    pub const PASSPHRASE: u32 = 6;
    /// The test TCP_SENDFILE is asked for by.
    pub const TCP_STREAM: u32 = 10;
    /// A test of any shape.
    pub const OMNI: u32 = 97;
    /// The answer to [`OMNI`].
    pub const OMNI_RESPONSE: u32 = 98;
    /// The results of [`OMNI`].
    pub const OMNI_RESULTS: u32 = 99;
    /// The test TCP_CC.
    pub const TCP_CC: u32 = 300;
    /// Facts of the system.
    pub const SYSINFO: u32 = 600;
    /// The answer to [`SYSINFO`].
    pub const SYSINFO_RESPONSE: u32 = 601;
    /// Are you podperf? "podp"; netserver answers [`super::UNKNOWN`] to it.
    pub const NATIVE: u32 = 0x706f_6470;
}

/// What a netserver answers to a type that it does not know.
pub const UNKNOWN: i32 = 998;

/// One message.
#[derive(Clone, PartialEq, Eq)]
pub struct WireMessage(pub [u8; MESSAGE_BYTES]);

impl Default for WireMessage {
    fn default() -> Self {
        Self([0; MESSAGE_BYTES])
    }
}

impl std::fmt::Debug for WireMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Message {{ kind: {}, word: {} }}", self.kind(), self.int(4))
    }
}

impl WireMessage {
    /// An empty one of a type.
    #[must_use]
    pub fn of(kind: u32) -> Self {
        let mut message = Self::default();
        message.put(0, kind);
        message
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.word(0)
    }

    /// The unsigned word at a byte offset.
    ///
    /// # Panics
    /// When it is not inside the message: offsets are constants of the format.
    #[must_use]
    pub fn word(&self, at: usize) -> u32 {
        let bytes = self.0[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    }

    /// The signed word at a byte offset.
    #[must_use]
    pub fn int(&self, at: usize) -> i32 {
        self.word(at).cast_signed()
    }

    /// The IEEE single at a byte offset.
    #[must_use]
    pub fn float(&self, at: usize) -> f32 {
        f32::from_bits(self.word(at))
    }

    /// Text that ends at a NUL or after `most` bytes.
    #[must_use]
    pub fn text(&self, at: usize, most: usize) -> String {
        let bytes = &self.0[at..at + most];
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(most);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// Writes a word.
    pub fn put(&mut self, at: usize, word: u32) {
        self.0[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }

    /// Writes a signed word.
    pub fn put_int(&mut self, at: usize, word: i32) {
        self.put(at, word.cast_unsigned());
    }

    /// Writes an IEEE single.
    pub fn put_float(&mut self, at: usize, value: f32) {
        self.put(at, value.to_bits());
    }

    /// Writes text, cut so that a NUL stays behind it.
    pub fn put_text(&mut self, at: usize, most: usize, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(most - 1)];
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// What the connection says; `UnexpectedEof` where it ends first.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut message = Self::default();
        from.read_exact(&mut message.0)?;
        Ok(message)
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the connection says.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.0)
    }
}

/// A value with a place in a message, which takes whole words.
pub(crate) trait Field: Sized {
    /// Bytes that it takes.
    const BYTES: usize = 4;

    fn read(message: &WireMessage, at: usize) -> Self;

    fn write(&self, message: &mut WireMessage, at: usize);
}

/// Implements [`Field`] of numbers for their big-endian bytes.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            const BYTES: usize = size_of::<$number>();

            fn read(message: &WireMessage, at: usize) -> Self {
                let bytes = &message.0[at..at + Self::BYTES];
                Self::from_be_bytes(bytes.try_into().expect("offsets are inside the message"))
            }

            fn write(&self, message: &mut WireMessage, at: usize) {
                message.0[at..at + Self::BYTES].copy_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(i32, u32, u64, f32, f64);

impl<T: Field, const COUNT: usize> Field for [T; COUNT] {
    fn read(message: &WireMessage, at: usize) -> Self {
        std::array::from_fn(|index| T::read(message, at + index * T::BYTES))
    }

    fn write(&self, message: &mut WireMessage, at: usize) {
        for (index, value) in self.iter().enumerate() {
            value.write(message, at + index * T::BYTES);
        }
    }
}

/// A port in a word of its own; 0 where it is none.
impl Field for u16 {
    fn read(message: &WireMessage, at: usize) -> Self {
        Self::try_from(message.word(at)).unwrap_or(0)
    }

    fn write(&self, message: &mut WireMessage, at: usize) {
        message.put(at, (*self).into());
    }
}

impl Field for Option<AddressFamily> {
    fn read(message: &WireMessage, at: usize) -> Self {
        match message.word(at) {
            4 => Some(AddressFamily::V4),
            6 => Some(AddressFamily::V6),
            _ => None,
        }
    }

    fn write(&self, message: &mut WireMessage, at: usize) {
        let family = match self {
            None => 0,
            Some(AddressFamily::V4) => 4,
            Some(AddressFamily::V6) => 6,
        };
        message.put(at, family);
    }
}

impl Field for Option<Protocol> {
    fn read(message: &WireMessage, at: usize) -> Self {
        match message.word(at) {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            _ => None,
        }
    }

    fn write(&self, message: &mut WireMessage, at: usize) {
        let protocol = match self {
            None => 0,
            Some(Protocol::Tcp) => 6,
            Some(Protocol::Udp) => 17,
        };
        message.put(at, protocol);
    }
}
