//! Data connections on their way to the sessions that wait for them.
//!
//! A session reserves its streams under a 128-bit random id, which only its client is told; whoever
//! opens a connection with that id has it handed to the session.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, never, unbounded};

use super::address_limits::{AddressCounts, AddressLimits, ReachedLimit};

/// A session's 128-bit random name. Knowing it is what lets a data connection join.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Makes a fresh one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads its 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        (text.len() == 32).then_some(())?;
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// Writes it as 32 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Not printed: it is a secret while the session lasts.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What a session waits for: connections of type `T`, with what else is kept of it meanwhile.
#[derive(Debug)]
pub struct WaitingSession<T, S> {
    arrivals: Sender<(u32, T)>,
    max_streams: usize,
    /// The protocol's own state of this session.
    pub state: S,
}

impl<T, S> WaitingSession<T, S> {
    /// Hands a connection to the session. False: as many as it has reserved wait there already.
    pub fn deliver(&self, stream: u32, connection: T) -> bool {
        // Only this side adds to the queue, under the lock of all sessions.
        self.arrivals.len() < self.max_streams && self.arrivals.send((stream, connection)).is_ok()
    }
}

/// Sessions by id, and whose they are; those that take no more connections (any more) are counted
/// all the same.
#[derive(Debug)]
struct Sessions<T, S> {
    waiting: HashMap<SessionId, Option<WaitingSession<T, S>>>,
    counts: AddressCounts,
}

/// All sessions of a server that have reserved streams. Ids are 128 random bits, so the time of a
/// lookup tells an outsider nothing.
#[derive(Debug)]
pub struct Reservations<T, S> {
    sessions: Arc<Mutex<Sessions<T, S>>>,
    limits: AddressLimits,
}

/// The streams that one session has reserved; dropped, no more of them come in.
#[derive(Debug)]
pub struct StreamReservation<T, S> {
    sessions: Arc<Mutex<Sessions<T, S>>>,
    id: SessionId,
    ip: IpAddr,
    arrivals: Receiver<(u32, T)>,
}

impl<T, S> Reservations<T, S> {
    /// Makes room for as many sessions at a time as `limits` allow.
    #[must_use]
    pub fn new(limits: AddressLimits) -> Self {
        let sessions = Sessions { waiting: HashMap::new(), counts: AddressCounts::default() };
        Self { sessions: Arc::new(Mutex::new(sessions)), limits }
    }

    /// Reserves `max_streams` streams for the session `id` of a client at `ip`, and keeps `state`
    /// with them.
    ///
    /// # Errors
    /// The limit, when there are as many sessions as may be.
    pub fn reserve(
        &self,
        id: SessionId,
        ip: IpAddr,
        max_streams: usize,
        state: S,
    ) -> Result<StreamReservation<T, S>, ReachedLimit> {
        let mut sessions = lock(&self.sessions);
        sessions.counts.add(ip, &self.limits)?;
        let (sender, arrivals) = unbounded();
        sessions.waiting.insert(id, Some(WaitingSession { arrivals: sender, max_streams, state }));
        Ok(StreamReservation { sessions: Arc::clone(&self.sessions), id, ip, arrivals })
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        lock(&self.sessions).waiting.len()
    }

    /// Calls `work` with the session `id`, if it waits.
    pub fn with<R>(
        &self,
        id: SessionId,
        work: impl FnOnce(&mut WaitingSession<T, S>) -> R,
    ) -> Option<R> {
        lock(&self.sessions).waiting.get_mut(&id)?.as_mut().map(work)
    }

    /// Calls `work` with every session that waits.
    pub fn for_each(&self, work: impl FnMut(&mut WaitingSession<T, S>)) {
        lock(&self.sessions).waiting.values_mut().flatten().for_each(work);
    }
}

impl<T, S> StreamReservation<T, S> {
    /// Whose they are.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Brings each connection with its number, as it arrives.
    #[must_use]
    pub const fn arrivals(&self) -> &Receiver<(u32, T)> {
        &self.arrivals
    }

    /// Takes no more connections, and closes those that were not taken. The session still counts.
    pub fn close(&mut self) {
        lock(&self.sessions).waiting.insert(self.id, None);
        self.arrivals = never();
    }
}

impl<T, S> Drop for StreamReservation<T, S> {
    fn drop(&mut self) {
        let mut sessions = lock(&self.sessions);
        sessions.waiting.remove(&self.id);
        sessions.counts.remove(self.ip);
    }
}

/// A session that panicked has left the map whole, so poison does not matter.
fn lock<T, S>(sessions: &Mutex<Sessions<T, S>>) -> MutexGuard<'_, Sessions<T, S>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session's connections in the order of their numbers, filled as they arrive.
#[derive(Debug)]
pub struct StreamSlots<T = TcpStream> {
    slots: Vec<Option<T>>,
    missing: usize,
}

impl<T> StreamSlots<T> {
    /// Waits for the numbers 0 to `count` - 1.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self { slots: (0..count).map(|_| None).collect(), missing: count as usize }
    }

    /// How many are still to come.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Puts a connection into its slot. False: there is none of this number, or it is taken.
    pub fn fill(&mut self, stream: u32, connection: T) -> bool {
        let free = self.slots.get_mut(stream as usize).filter(|slot| slot.is_none());
        let Some(free) = free else { return false };
        *free = Some(connection);
        self.missing -= 1;
        true
    }

    /// Those that have come, by their numbers.
    #[must_use]
    pub fn into_streams(self) -> Vec<T> {
        self.slots.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;
