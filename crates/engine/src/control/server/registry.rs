//! Who is being served: which sessions wait for streams, and how many there are in all.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::control::preamble::SessionId;

/// A stream that has named its session.
pub(super) type Joined = (u32, TcpStream);

/// Sessions by id, each with its way in while it waits for streams. Ids are 128 random bits, so a
/// lookup tells a stranger nothing by its time.
#[derive(Debug, Default)]
pub(super) struct Registry {
    sessions: Mutex<HashMap<SessionId, Option<Sender<Joined>>>>,
}

/// A session's place; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place<'a> {
    registry: &'a Registry,
    session: SessionId,
    pub(super) joining: Receiver<Joined>,
}

impl Registry {
    /// Admits a session of `streams` streams, unless `most` are there already.
    pub(super) fn admit(&self, session: SessionId, streams: u32, most: u32) -> Option<Place<'_>> {
        let mut sessions = self.lock();
        if sessions.len() >= most as usize {
            return None;
        }
        let (tell, joining) = bounded(streams as usize);
        sessions.insert(session, Some(tell));
        Some(Place { registry: self, session, joining })
    }

    /// Hands a stream to its session. False: there is no such session, or it has all its streams.
    pub(super) fn join(&self, session: SessionId, stream: Joined) -> bool {
        let waiting = self.lock().get(&session).cloned().flatten();
        waiting.is_some_and(|waiting| waiting.try_send(stream).is_ok())
    }

    /// A session that panicked has left the map whole, so poison does not matter.
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Option<Sender<Joined>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Whose it is.
    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    /// All streams are there: more of them are strangers.
    pub(super) fn close(&mut self) {
        self.registry.lock().insert(self.session, None);
        // What came twice until now is dropped with the way in.
        self.joining = crossbeam_channel::never();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.session);
    }
}
