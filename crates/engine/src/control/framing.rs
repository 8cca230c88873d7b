//! Messages on a byte stream: a four-byte big-endian length, then that much JSON.
//!
//! A length is checked before anything is allocated, and every deadline is for a whole message, so
//! that a peer that sends a byte a second gains nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest message a server takes from a client. A plan is a few hundred bytes.
pub const CLIENT_MESSAGE_MAX: u32 = 256 << 10;
/// Largest message a client takes from a server: samples of thousands of flows.
pub const SERVER_MESSAGE_MAX: u32 = 64 << 20;
/// Allocated at once for a message; more only as bytes really come.
const FIRST_ALLOCATION: usize = 64 << 10;

/// Writes one message before `deadline`.
///
/// # Errors
/// What the socket says; `TimedOut` at the deadline.
pub fn write<T: Serialize>(stream: &TcpStream, message: &T, deadline: Instant) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len())
        .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "message of more than 4 GiB"))?;
    let mut bytes = Vec::with_capacity(json.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&json);
    write_bytes(stream, &bytes, deadline)
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

/// Reads one message of at most `most` bytes. The first byte may take until `silence`, the whole
/// message `whole` from then on. `Ok(None)`: the stream ended between two messages.
///
/// # Errors
/// What the socket says; `TimedOut` at a deadline; `InvalidData` for a length of 0 or above
/// `most`, or for JSON that is no such message; `UnexpectedEof` inside a message.
pub fn read<T: DeserializeOwned>(
    stream: &TcpStream,
    most: u32,
    silence: Instant,
    whole: Duration,
) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    if !read_some(stream, &mut head[..1], silence)? {
        return Ok(None);
    }
    let deadline = Instant::now() + whole;
    read_exact(stream, &mut head[1..], deadline)?;
    let length = u32::from_be_bytes(head);
    if length == 0 || length > most {
        let text = format!("message of {length} bytes; 1 to {most} are allowed");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let length = length as usize;
    let mut json = Vec::new();
    while json.len() < length {
        let start = json.len();
        let chunk = (length - start).min(start.max(FIRST_ALLOCATION));
        json.try_reserve(chunk).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        json.resize(start + chunk, 0);
        read_exact(stream, &mut json[start..], deadline)?;
    }
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("message: {error}")))
}

/// Fills `buffer` before `deadline`.
///
/// # Errors
/// As [`read`].
pub fn read_exact(stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_once(stream, &mut buffer[filled..], deadline)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// Reads something into `buffer`. False: the stream ended.
fn read_some(stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<bool> {
    read_once(stream, buffer, deadline).map(|count| count > 0)
}

/// One successful read before `deadline`; 0: the stream ended.
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

/// Time left, or `TimedOut`. Socket timeouts are in microseconds and 0 would mean none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_micros(1) {
        return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
    }
    Ok(left)
}

/// The timeout of one call; the deadline decides whether there is another.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn read_text(stream: &TcpStream, ms: u64) -> io::Result<Option<String>> {
        let wait = Duration::from_millis(ms);
        read(stream, 1000, Instant::now() + wait, wait)
    }

    #[test]
    fn messages_arrive_whole_and_the_end_is_told() {
        let (one, other) = pair();
        let deadline = Instant::now() + Duration::from_secs(5);
        write(&one, &"a", deadline).unwrap();
        write(&one, &"b".repeat(900), deadline).unwrap();
        drop(one);
        assert_eq!(read_text(&other, 5_000).unwrap().unwrap(), "a");
        assert_eq!(read_text(&other, 5_000).unwrap().unwrap().len(), 900);
        assert!(read_text(&other, 5_000).unwrap().is_none());
    }

    #[test]
    fn bad_lengths_and_bad_json_are_refused() {
        for bytes in [&[0, 0, 0, 0][..], &[0xff; 4], &[0, 0, 0, 2, b'{', b'!']] {
            let (one, other) = pair();
            (&mut &one).write_all(bytes).unwrap();
            let error = read_text(&other, 5_000).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[test]
    fn a_message_cut_short_is_an_error() {
        let (one, other) = pair();
        (&mut &one).write_all(&[0, 0, 0, 9, b'"']).unwrap();
        drop(one);
        assert_eq!(read_text(&other, 5_000).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_slow_peer_meets_the_deadline_of_the_whole_message() {
        let (one, other) = pair();
        (&mut &one).write_all(&[0, 0]).unwrap();
        assert_eq!(read_text(&other, 50).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
