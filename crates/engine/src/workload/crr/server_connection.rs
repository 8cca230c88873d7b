//! One connection of a server's worker, from its request to its end.
//!
//! Enters: a socket that was accepted, and the sizes of request and response. Leaves: the response,
//! and how far the connection has come.

use std::io::{self, ErrorKind};
use std::time::Duration;

use socket2::Socket;

use crate::transport::short_lived::not_yet;
use crate::workload::multiplex::Interest;
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use podperf_model::plan::Close;
use podperf_sys::socket;

/// One open connection and the bytes it still has to move.
pub(super) struct ServerConnection {
    pub(super) socket: Socket,
    pub(super) missing: usize,
    pub(super) to_send: usize,
    /// It has its whole response.
    pub(super) answered: bool,
}

/// How far a connection has come.
pub(super) enum ServerProgress {
    Wait(Interest),
    Over,
}

impl ServerConnection {
    pub(super) const fn new(socket: Socket, sizes: Sizes) -> Self {
        let Sizes { request: missing, response: to_send } = sizes;
        Self { socket, missing, to_send, answered: false }
    }

    /// Has the kernel drop what its peer has not read, rather than keep it for minutes.
    pub(super) fn drop_unread(&self, sizes: Sizes) {
        if self.to_send < sizes.response {
            let _ = self.socket.set_linger(Some(Duration::ZERO));
        }
    }

    pub(super) fn go_on(
        &mut self,
        tally: &Tally,
        buffer: &mut [u8],
        message: &[u8],
        close: Close,
    ) -> io::Result<ServerProgress> {
        while self.missing > 0 {
            let most = self.missing.min(buffer.len());
            match socket::receive(&self.socket, &mut buffer[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    tally.received(bytes);
                    self.missing -= bytes;
                }
                Err(error) if not_yet(&error) => {
                    return Ok(ServerProgress::Wait(Interest::Arrivals));
                }
                Err(error) => return Err(error),
            }
        }
        while self.to_send > 0 {
            match socket::send(&self.socket, &message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if not_yet(&error) => {
                    return Ok(ServerProgress::Wait(Interest::Changes));
                }
                Err(error) => return Err(error),
            }
        }
        if close == Close::Server {
            return Ok(ServerProgress::Over);
        }
        match socket::receive(&self.socket, buffer) {
            Err(error) if not_yet(&error) => Ok(ServerProgress::Wait(Interest::Arrivals)),
            // The end, a reset, or more than was agreed.
            _ => Ok(ServerProgress::Over),
        }
    }
}
