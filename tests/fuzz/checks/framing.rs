//! Messages on a byte stream, however it is cut into pieces.

use podperf_engine::control::framing::{
    FrameReader, MAX_HANDSHAKE_MESSAGE_BYTES, MAX_PLAN_MESSAGE_BYTES, MAX_SERVER_MESSAGE_BYTES,
    MAX_STEP_MESSAGE_BYTES, encode,
};
use serde_json::Value;

/// Allocated for a message before any of it is there.
const FIRST_ALLOCATION_BYTES: usize = 64 << 10;

/// Checks a stream: the first byte says how it is cut and how long messages may be.
pub fn check(data: &[u8]) {
    let Some((&how, stream)) = data.split_first() else { return };
    let max_bytes = [
        MAX_HANDSHAKE_MESSAGE_BYTES,
        MAX_PLAN_MESSAGE_BYTES,
        MAX_STEP_MESSAGE_BYTES,
        MAX_SERVER_MESSAGE_BYTES,
    ][usize::from(how & 3)];
    let piece = usize::from(how >> 2).max(1);
    let in_pieces = read(stream.chunks(piece), max_bytes);
    let at_once = read(std::iter::once(stream), max_bytes);
    assert_eq!(in_pieces, at_once, "cut into pieces of {piece} bytes");
    for message in &at_once.0 {
        let bytes = encode(message).expect("what was read can be written");
        let (again, failed) = read(std::iter::once(bytes.as_slice()), u32::MAX);
        assert_eq!((again.as_slice(), failed), (std::slice::from_ref(message), false));
    }
}

/// The messages up to the first that is none, and whether there was one.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, max_bytes: u32) -> (Vec<Value>, bool) {
    let mut frame = FrameReader::new(max_bytes);
    let (mut messages, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        taken += piece.len();
        if frame.take(piece, &mut messages).is_err() {
            return (messages, true);
        }
        let (allowed, allocated) = (taken * 2 + FIRST_ALLOCATION_BYTES, frame.allocated_bytes());
        assert!(allocated <= allowed, "{allocated} bytes of memory for {taken} that came");
    }
    (messages, false)
}
