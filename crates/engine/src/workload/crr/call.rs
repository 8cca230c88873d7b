//! System calls on one connection, repeated while they have no result: every 100 ms where
//! they block, at once where the worker spins.

use std::io::{self, ErrorKind};

use socket2::Socket;

use super::ConnectionSetup;
use crate::transport::short_lived::not_yet;
use crate::workload::tally::Tally;
use podperf_sys::socket;

/// Repeats a call until there is an answer, or until the run is cut off.
pub(super) fn until<T>(
    setup: &ConnectionSetup,
    mut call: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if not_yet(&error) => {
                if setup.is_cut() {
                    return Err(io::Error::other("cut off"));
                }
                std::hint::spin_loop();
            }
            answer => return answer,
        }
    }
}

/// Sends all of `message`.
pub(super) fn send(
    setup: &ConnectionSetup,
    socket: &Socket,
    tally: &Tally,
    message: &[u8],
) -> io::Result<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let bytes = until(setup, || socket::send(socket, rest))?;
        tally.sent(bytes);
        rest = &rest[bytes..];
    }
    Ok(())
}

/// Fills `buffer`. False: the connection ended before its first byte.
pub(super) fn receive(
    setup: &ConnectionSetup,
    socket: &Socket,
    tally: &Tally,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match until(setup, || socket::receive(socket, &mut buffer[filled..]))? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            bytes => {
                tally.received(bytes);
                filled += bytes;
            }
        }
    }
    Ok(true)
}

/// Waits for the other end to close the connection; what else it sends is dropped.
pub(super) fn end_of_stream(setup: &ConnectionSetup, socket: &Socket) -> io::Result<()> {
    let mut discarded = [0; 64];
    while until(setup, || socket::receive(socket, &mut discarded))? > 0 {}
    Ok(())
}
