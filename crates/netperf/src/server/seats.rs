//! Data connections over the control port: who has been told a token, and which connections have
//! come with it.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::wire::native::{ConnectionToken, MAX_STREAMS};

/// What has come for a test.
#[derive(Debug)]
struct Taken {
    /// Connections with their numbers.
    connections: Vec<(u32, TcpStream)>,
    /// Written to with each of them.
    bell: Arc<EventFd>,
}

/// All tests that wait for connections. Tokens are 128 random bits, so that a lookup tells a
/// stranger nothing by its time.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry(Arc<Mutex<HashMap<ConnectionToken, Taken>>>);

/// The place of one test; dropped, its connections are closed and no more come in.
#[derive(Debug)]
pub(super) struct Seats {
    registry: Registry,
    pub(super) token: ConnectionToken,
    bell: Arc<EventFd>,
}

impl Registry {
    /// A new place.
    ///
    /// # Errors
    /// When the system has no randomness or no descriptor.
    pub(super) fn reserve(&self) -> io::Result<Seats> {
        let mut token = ConnectionToken::default();
        getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let bell = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let taken = Taken { connections: Vec::new(), bell: Arc::clone(&bell) };
        self.lock().insert(token, taken);
        Ok(Seats { registry: self.clone(), token, bell })
    }

    /// Hands a connection to its test. False: nobody waits for it.
    pub(super) fn join(&self, token: ConnectionToken, stream: u32, connection: TcpStream) -> bool {
        match self.lock().get_mut(&token) {
            Some(taken) if taken.connections.len() < MAX_STREAMS as usize => {
                taken.connections.push((stream, connection));
                // Refused only when it has been rung 2^64 - 2 times unheard.
                let _ = taken.bell.write(1);
                true
            }
            _ => false,
        }
    }

    /// A session that panicked has left the map whole, so poison does not matter.
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionToken, Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// Connections 0 to `streams` - 1 in order, when all of them are there. Any other is closed.
    pub(super) fn all(&self, streams: u32) -> Option<Vec<TcpStream>> {
        // Silenced first: what comes from now on rings anew.
        let _ = self.bell.read();
        let mut tests = self.registry.lock();
        let taken = &mut tests.get_mut(&self.token)?.connections;
        taken.sort_by_key(|(stream, _)| *stream);
        taken.dedup_by_key(|(stream, _)| *stream);
        taken.retain(|(stream, _)| *stream < streams);
        if taken.len() < streams as usize {
            return None;
        }
        let all = tests.remove(&self.token)?;
        Some(all.connections.into_iter().map(|(_, connection)| connection).collect())
    }
}

/// Readable when a connection has come since the last look.
impl AsFd for Seats {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn connections_come_by_token_and_number_and_go_with_their_test() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let registry = Registry::default();
        let seats = registry.reserve().unwrap();
        assert!(!registry.join([0; 16], 0, connection()), "nobody's");
        for stream in [1, 7, 1] {
            assert!(registry.join(seats.token, stream, connection()));
            assert!(seats.all(2).is_none());
        }
        assert!(registry.join(seats.token, 0, connection()));
        assert_eq!(seats.all(2).unwrap().len(), 2);
        assert!(!registry.join(seats.token, 0, connection()), "all were there");
        let seats = registry.reserve().unwrap();
        let token = seats.token;
        drop(seats);
        assert!(!registry.join(token, 0, connection()), "nobody waits");
    }
}
