//! Data connections on their way to the sessions that wait for them.
//!
//! A session reserves its streams under a 128-bit random id, which only its client is told; whoever
//! opens a connection with that id has it handed to the session.

use std::collections::HashMap;
use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, never, unbounded};

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

/// Sessions by id; those that take no more connections (any more) are counted all the same.
type Sessions<T, S> = Mutex<HashMap<SessionId, Option<WaitingSession<T, S>>>>;

/// All sessions of a server that have reserved streams. Ids are 128 random bits, so the time of a
/// lookup tells an outsider nothing.
#[derive(Debug)]
pub struct Reservations<T, S> {
    sessions: Arc<Sessions<T, S>>,
    max_sessions: usize,
}

/// The streams that one session has reserved; dropped, no more of them come in.
#[derive(Debug)]
pub struct StreamReservation<T, S> {
    sessions: Arc<Sessions<T, S>>,
    id: SessionId,
    arrivals: Receiver<(u32, T)>,
}

impl<T, S> Reservations<T, S> {
    /// Makes room for `max_sessions` at a time.
    #[must_use]
    pub fn new(max_sessions: usize) -> Self {
        Self { sessions: Arc::default(), max_sessions }
    }

    /// Reserves `max_streams` streams for the session `id`, and keeps `state` with them. None:
    /// there are as many sessions as may be.
    pub fn reserve(
        &self,
        id: SessionId,
        max_streams: usize,
        state: S,
    ) -> Option<StreamReservation<T, S>> {
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= self.max_sessions {
            return None;
        }
        let (sender, arrivals) = unbounded();
        sessions.insert(id, Some(WaitingSession { arrivals: sender, max_streams, state }));
        Some(StreamReservation { sessions: Arc::clone(&self.sessions), id, arrivals })
    }

    /// Calls `work` with the session `id`, if it waits.
    pub fn with<R>(
        &self,
        id: SessionId,
        work: impl FnOnce(&mut WaitingSession<T, S>) -> R,
    ) -> Option<R> {
        lock(&self.sessions).get_mut(&id)?.as_mut().map(work)
    }

    /// Calls `work` with every session that waits.
    pub fn for_each(&self, work: impl FnMut(&mut WaitingSession<T, S>)) {
        lock(&self.sessions).values_mut().flatten().for_each(work);
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
        lock(&self.sessions).insert(self.id, None);
        self.arrivals = never();
    }
}

impl<T, S> Drop for StreamReservation<T, S> {
    fn drop(&mut self) {
        lock(&self.sessions).remove(&self.id);
    }
}

/// A session that panicked has left the map whole, so poison does not matter.
fn lock<T, S>(
    sessions: &Sessions<T, S>,
) -> MutexGuard<'_, HashMap<SessionId, Option<WaitingSession<T, S>>>> {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_session_id_survives_as_text(session: [u8; 16]) {
            let id = SessionId(session);
            prop_assert_eq!(SessionId::from_hex(&id.to_hex()), Some(id));
        }
    }

    fn deliver<S>(all: &Reservations<&'static str, S>, id: SessionId, stream: u32) -> bool {
        all.with(id, |waiting| waiting.deliver(stream, "a stream")).unwrap_or(false)
    }

    const A: SessionId = SessionId([1; 16]);
    const B: SessionId = SessionId([2; 16]);

    #[test]
    fn connections_go_to_their_session_until_it_has_all_it_reserved() {
        let all = Reservations::new(8);
        let mut a = all.reserve(A, 2, ()).unwrap();
        assert!(!deliver(&all, B, 0), "nobody's");
        assert!(deliver(&all, A, 1) && deliver(&all, A, 0));
        assert!(!deliver(&all, A, 0), "one too many");
        let arrived: Vec<_> = a.arrivals().try_iter().collect();
        assert_eq!((a.id(), arrived), (A, vec![(1, "a stream"), (0, "a stream")]));
        a.close();
        assert!(!deliver(&all, A, 0), "closed");
    }

    #[test]
    fn sessions_are_bounded_and_a_closed_one_counts_until_it_is_dropped() {
        let all: Reservations<&str, u8> = Reservations::new(1);
        let mut a = all.reserve(A, 1, 7).unwrap();
        assert_eq!(all.with(A, |waiting| waiting.state), Some(7));
        a.close();
        assert_eq!(all.with(A, |waiting| waiting.state), None);
        assert!(all.reserve(B, 1, 0).is_none());
        drop(a);
        let b = all.reserve(B, 1, 0).unwrap();
        all.for_each(|waiting| waiting.state += 1);
        assert_eq!(all.with(B, |waiting| waiting.state), Some(1));
        drop(b);
        assert!(!deliver(&all, B, 0), "gone");
    }

    #[test]
    fn slots_take_each_number_once() {
        let mut slots = StreamSlots::new(2);
        assert!(slots.fill(1, "b") && !slots.fill(1, "c") && !slots.fill(2, "d"));
        assert_eq!(slots.missing(), 1);
        assert!(slots.fill(0, "a"));
        assert_eq!((slots.missing(), slots.into_streams()), (0, vec!["a", "b"]));
    }
}
