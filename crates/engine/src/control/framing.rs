//! Messages on a byte stream: a four-byte big-endian length, then that much JSON.
//!
//! A length is checked before anything is allocated, and every deadline is for a whole message, so
//! that a peer that sends a byte a second gains nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::net::Progress;

/// Largest message a server takes from a client once its plan is there: the name of what it does.
pub const MAX_STEP_MESSAGE_BYTES: u32 = 4 << 10;
/// Largest message a client takes from a server: readings of thousands of flows.
pub const MAX_SERVER_MESSAGE_BYTES: u32 = 64 << 20;
/// Largest message of a handshake, either way: four times what podperf says.
pub const MAX_HANDSHAKE_MESSAGE_BYTES: u32 = 4 << 10;
/// Largest message with a plan, the first behind the handshake. A plan is some 1,000 bytes.
pub const MAX_PLAN_MESSAGE_BYTES: u32 = 16 << 10;
/// The length before each message.
const LENGTH_BYTES: usize = 4;
/// Allocated at once for a message; more only as bytes really come.
const FIRST_ALLOCATION_BYTES: usize = 64 << 10;

/// Writes one message before `deadline`.
///
/// # Errors
/// What the socket says; `TimedOut` at the deadline.
pub fn write<T: Serialize>(stream: &TcpStream, message: &T, deadline: Instant) -> io::Result<()> {
    write_bytes(stream, &encode(message)?, deadline)
}

/// Encodes one message as it goes over the wire.
///
/// # Errors
/// When it is longer than its length can say.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - LENGTH_BYTES)
        .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "message of more than 4 GiB"))?;
    bytes[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// Writes all of `bytes` before `deadline`.
///
/// # Errors
/// What the socket says; `TimedOut` at the deadline.
pub fn write_bytes(stream: &TcpStream, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match (&mut &*stream).write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads one message of at most `max_bytes`. The first byte may take until `silence`, the whole
/// message `whole` from then on. `Ok(None)`: the stream ended between two messages.
///
/// # Errors
/// What the socket says; `TimedOut` at a deadline; `InvalidData` for a length of 0 or above
/// `max_bytes`, or for JSON that is no such message; `UnexpectedEof` inside a message.
pub fn read<T: DeserializeOwned>(
    stream: &TcpStream,
    max_bytes: u32,
    silence: Instant,
    whole: Duration,
) -> io::Result<Option<T>> {
    Ok(read_with_length(stream, max_bytes, silence, whole)?.map(|(message, _)| message))
}

/// Does the same, and tells how many bytes the message had.
///
/// # Errors
/// As [`read`].
pub fn read_with_length<T: DeserializeOwned>(
    stream: &TcpStream,
    max_bytes: u32,
    silence: Instant,
    whole: Duration,
) -> io::Result<Option<(T, usize)>> {
    let mut frame = FrameReader::new(max_bytes);
    let mut deadline = silence;
    loop {
        match read_once(stream, frame.space(), deadline)? {
            0 if frame.is_empty() => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => {
                if frame.is_empty() {
                    deadline = Instant::now() + whole;
                }
                let length = frame.length.unwrap_or(0);
                if let Some(message) = frame.advance(count)? {
                    return Ok(Some((message, length)));
                }
            }
        }
    }
}

/// Puts a message together out of the bytes that have come so far, and then the next.
#[derive(Debug)]
pub struct FrameReader {
    max_bytes: u32,
    /// Of the message; absent: its length is still being read.
    length: Option<usize>,
    bytes: Vec<u8>,
    filled: usize,
}

impl FrameReader {
    /// Takes messages of at most `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: u32) -> Self {
        Self { max_bytes, length: None, bytes: vec![0; LENGTH_BYTES], filled: 0 }
    }

    /// Nothing of the message has come.
    const fn is_empty(&self) -> bool {
        self.length.is_none() && self.filled == 0
    }

    /// Where the next bytes go; never empty.
    fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Counts bytes that were put into `space`; the message, once it is whole.
    fn advance<T: DeserializeOwned>(&mut self, count: usize) -> io::Result<Option<T>> {
        self.filled += count;
        if self.filled < self.bytes.len() {
            return Ok(None);
        }
        let length = match self.length {
            Some(length) => length,
            None => self.take_length()?,
        };
        let missing = length - self.filled;
        if missing == 0 {
            let message = serde_json::from_slice(&self.bytes);
            *self = Self::new(self.max_bytes);
            return message.map(Some).map_err(|error| invalid(format!("message: {error}")));
        }
        let chunk = missing.min(self.filled.max(FIRST_ALLOCATION_BYTES));
        self.bytes.try_reserve(chunk).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        self.bytes.resize(self.filled + chunk, 0);
        Ok(None)
    }

    fn take_length(&mut self) -> io::Result<usize> {
        let length = self.bytes.iter().fold(0, |length, byte| length << 8 | u32::from(*byte));
        if length == 0 || length > self.max_bytes {
            let max = self.max_bytes;
            return Err(invalid(format!("message of {length} bytes; 1 to {max} are allowed")));
        }
        self.bytes.clear();
        self.filled = 0;
        Ok(*self.length.insert(length as usize))
    }

    /// Reads on from a socket that does not block.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read_from<T: DeserializeOwned>(
        &mut self,
        mut stream: &TcpStream,
    ) -> io::Result<Progress<T>> {
        loop {
            match stream.read(self.space()) {
                Ok(0) if self.is_empty() => return Ok(Progress::Closed),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    if let Some(message) = self.advance(count)? {
                        return Ok(Progress::Complete(message));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Incomplete);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What comes otherwise than from a socket.
#[cfg(feature = "testing")]
impl FrameReader {
    /// Takes bytes as a socket would have brought them, and adds what is whole to `messages`.
    ///
    /// # Errors
    /// As [`read`].
    pub fn take<T: DeserializeOwned>(
        &mut self,
        mut bytes: &[u8],
        messages: &mut Vec<T>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = bytes.len().min(self.space().len());
            let (next, rest) = bytes.split_at(count);
            self.space()[..count].copy_from_slice(next);
            messages.extend(self.advance(count)?);
            bytes = rest;
        }
        Ok(())
    }

    /// Bytes of memory that the message under way has.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

fn invalid(cause: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, cause)
}

/// Reads once, successfully, before `deadline`; 0: the stream ended.
///
/// # Errors
/// As [`read`].
pub fn read_once(stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match (&mut &*stream).read(buffer) {
            Ok(count) => return Ok(count),
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Computes the time left, or `TimedOut`. Socket timeouts are in microseconds and 0 would mean
/// none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_micros(1) {
        return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
    }
    Ok(left)
}

/// Whether one call met its timeout; the deadline decides whether there is another.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
