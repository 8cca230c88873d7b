//! The records of the control connection, which are netperf's.
//!
//! Every message, both ways, is 656 bytes: a type, a word of its own meaning, and data. Words are
//! big-endian. Unused bytes hold whatever the sender had there.

/// Defines how the fields of a record are written and read, each at its byte offset.
macro_rules! fields {
    ($record:ident { $($field:ident: $at:literal),* $(,)? }) => {
        impl $record {
            fn put_fields(&self, message: &mut $crate::wire::WireMessage) {
                $(message.put($at, self.$field);)*
            }

            fn with_fields(mut self, message: &$crate::wire::WireMessage) -> Self {
                $(self.$field = message.get($at);)*
                self
            }
        }
    };
}

pub mod ask;
pub mod dialect;
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
    pub const OMNI_RESPONSE: u32 = OMNI + super::RESPONSE;
    /// The results of [`OMNI`].
    pub const OMNI_RESULTS: u32 = OMNI + super::RESULTS;
    /// The test TCP_CC.
    pub const TCP_CC: u32 = 300;
    /// Facts of the system.
    pub const SYSINFO: u32 = 600;
    /// The answer to [`SYSINFO`].
    pub const SYSINFO_RESPONSE: u32 = 601;
    /// Are you podperf? "podp"; netserver answers [`super::UNKNOWN`] to it.
    pub const NATIVE: u32 = 0x706f_6470;
}

/// What answers a request or tells results has the request's type and so much more.
const RESPONSE: u32 = 1;
const RESULTS: u32 = 2;

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
        write!(formatter, "Message {{ kind: {}, word: {} }}", self.kind(), self.errno())
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

    /// An answer that says no more than whether it was accepted: 0, or an errno.
    #[must_use]
    pub fn answer(kind: u32, errno: i32) -> Self {
        let mut message = Self::of(kind);
        message.put(4, errno);
        message
    }

    /// The refusal of a request of a type by an errno.
    #[must_use]
    pub fn refusal(request: u32, errno: i32) -> Self {
        let is_own_answer = [kind::NATIVE, kind::CPU_CALIBRATE].contains(&request);
        Self::answer(if is_own_answer { request } else { request.wrapping_add(RESPONSE) }, errno)
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.get(0)
    }

    /// The errno of an answer, 0 where it was accepted.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.get(4)
    }

    /// The value at a byte offset.
    ///
    /// # Panics
    /// When it is not inside the message: offsets are constants of the format.
    #[must_use]
    pub fn get<T: Field>(&self, at: usize) -> T {
        T::read(self, at)
    }

    /// Writes a value at a byte offset.
    ///
    /// # Panics
    /// As of [`Self::get`].
    pub fn put(&mut self, at: usize, value: impl Field) {
        value.write(self, at);
    }

    /// Text that ends at a NUL or after `most` bytes.
    #[must_use]
    pub fn text(&self, at: usize, most: usize) -> String {
        let bytes = &self.0[at..at + most];
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(most);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// A name that may be shown as it is, whoever sent it; empty where it is anything else.
    #[must_use]
    pub fn name(&self, at: usize, most: usize) -> String {
        let text = self.text(at, most);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.bytes().all(plain) { text } else { String::new() }
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

/// A value with a place in a message.
pub trait Field: Sized {
    /// Bytes that it takes.
    const BYTES: usize = 4;

    /// Reads it at a byte offset.
    fn read(message: &WireMessage, at: usize) -> Self;

    /// Writes it at a byte offset.
    fn write(self, message: &mut WireMessage, at: usize);
}

/// Implements [`Field`] of numbers for their big-endian bytes.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            const BYTES: usize = size_of::<$number>();

            fn read(message: &WireMessage, at: usize) -> Self {
                let bytes = &message.0[at..at + Self::BYTES];
                Self::from_be_bytes(bytes.try_into().expect("as many bytes"))
            }

            fn write(self, message: &mut WireMessage, at: usize) {
                message.0[at..at + Self::BYTES].copy_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(u8, i32, u32, u64, f32, f64);

impl<T: Field, const COUNT: usize> Field for [T; COUNT] {
    fn read(message: &WireMessage, at: usize) -> Self {
        std::array::from_fn(|index| message.get(at + index * T::BYTES))
    }

    fn write(self, message: &mut WireMessage, at: usize) {
        for (index, value) in self.into_iter().enumerate() {
            message.put(at + index * T::BYTES, value);
        }
    }
}

/// A port in a word of its own; 0 where it is none.
impl Field for u16 {
    fn read(message: &WireMessage, at: usize) -> Self {
        Self::try_from(message.get::<u32>(at)).unwrap_or(0)
    }

    fn write(self, message: &mut WireMessage, at: usize) {
        message.put(at, u32::from(self));
    }
}

/// A signed word, below 0 where it is absent. Of numbers that do not fit, the largest that does.
impl Field for Option<u32> {
    fn read(message: &WireMessage, at: usize) -> Self {
        u32::try_from(message.get::<i32>(at)).ok()
    }

    fn write(self, message: &mut WireMessage, at: usize) {
        message.put(at, self.map_or(-1, |number| i32::try_from(number).unwrap_or(i32::MAX)));
    }
}

/// Implements [`Field`] of what has a number in a word; another one, and 0, stand for none of it.
macro_rules! numbered {
    ($type:ident { $($variant:ident: $number:literal),* }) => {
        impl Field for Option<$type> {
            fn read(message: &WireMessage, at: usize) -> Self {
                match message.get::<u32>(at) {
                    $($number => Some($type::$variant),)*
                    _ => None,
                }
            }

            fn write(self, message: &mut WireMessage, at: usize) {
                let number: u32 = match self {
                    $(Some($type::$variant) => $number,)*
                    None => 0,
                };
                message.put(at, number);
            }
        }
    };
}

numbered!(AddressFamily { V4: 4, V6: 6 });
numbered!(Protocol { Tcp: 6, Udp: 17 });
