//! Accepts connections and reads the first message of each, without ever blocking on one of them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};

use super::Log;
use super::acceptor_counts::AcceptorCounts;
use super::address_limits::ReachedLimit;
use super::first_message::{FirstMessage, Progress};
use super::listen::{LISTENER_EVENT, ListeningPort};
use super::pending::{PendingConnection, PendingLimits, PendingTable};
use crate::transport::socket::plain;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// After a failed accept: descriptors may come free.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Accepted at once, so that a flood leaves time for those that are there.
const MAX_ACCEPTS_PER_POLL: usize = 256;
/// Reported by one wait.
const MAX_EVENTS: usize = 256;
/// Between two looks at who is late.
const DEADLINE_INTERVAL: Duration = Duration::from_millis(20);
/// Between two lines about connections that had to go for newer ones.
const MIN_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// A connection whose first message is whole.
#[derive(Debug)]
pub struct Accepted<C: FirstMessage> {
    /// As its reader left it.
    pub connection: C,
    /// What it said.
    pub message: C::Message,
    /// Who is there.
    pub peer: SocketAddr,
}

/// Accepts from one port and holds the connections that are pending.
pub struct Acceptor<'a, C> {
    port: &'a ListeningPort,
    /// Makes a reader of a connection, which does not block any more.
    open: &'a dyn Fn(TcpStream) -> io::Result<C>,
    log: Log<'a>,
    pending: PendingTable<C>,
    /// Of the next connection.
    number: u64,
    events: Vec<EpollEvent>,
    /// When deadlines are looked at next.
    deadlines_due: Instant,
    evicted: Evicted,
    counts: Option<&'a AcceptorCounts>,
}

/// Connections that had to go for newer ones, and of which the log does not know yet.
#[derive(Default)]
struct Evicted {
    count: u64,
    last: Option<(SocketAddr, ReachedLimit)>,
    logged: Option<Instant>,
}

impl<'a, C: FirstMessage> Acceptor<'a, C> {
    /// Accepts from `port`; `open` makes a reader of each connection. No more are pending at one
    /// time than `limits` allow: past them, the oldest go.
    pub fn new(
        port: &'a ListeningPort,
        limits: PendingLimits,
        open: &'a dyn Fn(TcpStream) -> io::Result<C>,
        log: Log<'a>,
    ) -> Self {
        Self {
            port,
            open,
            log,
            pending: PendingTable::new(limits),
            number: 0,
            events: vec![EpollEvent::empty(); MAX_EVENTS],
            deadlines_due: Instant::now(),
            evicted: Evicted::default(),
            counts: None,
        }
    }

    /// Has what befalls connections counted.
    #[must_use]
    pub fn counted_by(mut self, counts: &'a AcceptorCounts) -> Self {
        self.counts = Some(counts);
        self
    }

    /// Waits for at most `timeout` until a connection comes or says more, or `beside` becomes
    /// readable; then accepts and reads what is there. Returns those whose first message is whole.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn poll(
        &mut self,
        beside: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Vec<Accepted<C>>> {
        let readable = self.wait(beside, timeout).during("wait on the listening port")?;
        let mut accepted = Vec::new();
        self.read(readable, &mut accepted);
        self.accept(&mut accepted);
        let now = Instant::now();
        if now >= self.deadlines_due {
            self.read(self.pending.due(now), &mut accepted);
            self.deadlines_due = now + DEADLINE_INTERVAL;
        }
        self.evicted.log(self.log);
        if let Some(counts) = self.counts {
            let (silent, begun) = self.pending.counts();
            counts.set_pending(silent, begun);
        }
        Ok(accepted)
    }

    /// Numbers of the connections that have brought more.
    fn wait(&mut self, beside: Option<BorrowedFd<'_>>, timeout: Duration) -> io::Result<Vec<u64>> {
        // poll(2) counts milliseconds: past the time rather than before it.
        let late = self.deadlines_due.saturating_duration_since(Instant::now());
        let late = late + Duration::from_millis(1);
        let timeout = if self.pending.is_empty() { timeout } else { timeout.min(late) };
        let epoll = &self.port.epoll;
        let watched = [epoll.0.as_fd()].into_iter().chain(beside);
        let mut fds: Vec<PollFd<'_>> =
            watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let count = match epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let numbers = self.events[..count].iter().map(EpollEvent::data);
        Ok(numbers.filter(|&number| number != LISTENER_EVENT).collect())
    }

    fn accept(&mut self, accepted: &mut Vec<Accepted<C>>) {
        for _ in 0..MAX_ACCEPTS_PER_POLL {
            match self.port.listener.accept() {
                Ok((stream, peer)) => {
                    let opened = stream.set_nonblocking(true).and_then(|()| (self.open)(stream));
                    // One that cannot be set up is gone.
                    let Ok(connection) = opened else { continue };
                    self.number += 1;
                    self.counts.iter().for_each(|counts| counts.accept());
                    // What has been said already is read before anything is counted.
                    let pending = PendingConnection::new(connection, peer, self.number);
                    self.read_on(pending, accepted);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That one is gone; others may wait.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if Code::of(&error) == Code::ResourceExhausted
                        && let Some(oldest) = self.pending.take_oldest()
                    {
                        self.evict(oldest, ReachedLimit::Descriptors);
                        continue;
                    }
                    (self.log)(&format!("accept a connection: {error}; trying again"));
                    std::thread::sleep(ACCEPT_RETRY_DELAY);
                    return;
                }
            }
        }
    }

    /// Reads on from the connections of these numbers.
    fn read(&mut self, numbers: Vec<u64>, accepted: &mut Vec<Accepted<C>>) {
        for number in numbers {
            if let Some(pending) = self.pending.take(number) {
                self.read_on(pending, accepted);
            }
        }
    }

    /// Reads on from one connection, which stays pending if it needs more.
    fn read_on(&mut self, mut pending: PendingConnection<C>, accepted: &mut Vec<Accepted<C>>) {
        match read_on(&mut pending.connection) {
            Ok(Progress::Incomplete) => self.keep(pending),
            Ok(Progress::Complete(message)) => {
                let PendingConnection { connection, peer, is_watched, .. } = pending;
                if is_watched {
                    // It is there: it was added and is open.
                    let _ = self.port.epoll.delete(connection.as_fd());
                }
                accepted.push(Accepted { connection, message, peer });
            }
            // Closed, it is watched no more.
            Ok(Progress::Closed) => {}
            Err(error) => self.drop_for(&error, pending.peer),
        }
    }

    fn keep(&mut self, mut pending: PendingConnection<C>) {
        // A connection in a pause is to wake nobody, whatever it sends.
        let is_paused = pending.connection.paused_until().is_some();
        if pending.is_watched == is_paused {
            let (epoll, connection) = (&self.port.epoll, pending.connection.as_fd());
            let changed = if is_paused {
                epoll.delete(connection)
            } else {
                epoll.add(connection, EpollEvent::new(EpollFlags::EPOLLIN, pending.number))
            };
            if let Err(error) = changed.during("watch the connection of") {
                return self.drop_for(&error, pending.peer);
            }
            pending.is_watched = !is_paused;
        }
        if let Some((oldest, limit)) = self.pending.insert(pending) {
            self.evict(oldest, limit);
        }
    }

    /// Closes a connection so that newer ones have room.
    fn evict(&mut self, oldest: PendingConnection<C>, limit: ReachedLimit) {
        let cause = format!(
            "connections that have not said what they want are limited: {limit}; the oldest goes"
        );
        let error = Error::new(Kind::Unmeasured, "admit the connection", cause);
        oldest
            .connection
            .refuse(error.with_code(Code::Refused).with_remedy("try again in a few seconds"));
        self.counts.iter().for_each(|counts| counts.evict(limit));
        self.evicted.count += 1;
        self.evicted.last = Some((oldest.peer, limit));
    }

    fn drop_for(&self, error: &Error, peer: SocketAddr) {
        self.counts.iter().for_each(|counts| counts.fail(error.code));
        (self.log)(&format!("{}; dropped", error.clone().with_peer(plain(peer))));
    }
}

impl Evicted {
    /// Tells of them all in one line, now and then.
    fn log(&mut self, log: Log<'_>) {
        let now = Instant::now();
        let is_due = self.logged.is_none_or(|logged| now >= logged + MIN_LOG_INTERVAL);
        let Some((peer, limit)) = self.last.take_if(|_| is_due) else { return };
        let (count, peer) = (std::mem::take(&mut self.count), plain(peer));
        self.logged = Some(now);
        log(&format!(
            "closed {count} connections that had not said what they want, so that newer ones have \
             room; the last was {peer}, the limit {limit}"
        ));
    }
}

/// Reads on from one connection, if it is time to; past its deadline it has to be through.
fn read_on<C: FirstMessage>(connection: &mut C) -> Result<Progress<C::Message>> {
    let now = Instant::now();
    if connection.paused_until().is_some_and(|pause| now < pause) {
        return Ok(Progress::Incomplete);
    }
    let progress = connection.read()?;
    let late = connection.deadline().is_some_and(|deadline| now >= deadline);
    if late && matches!(progress, Progress::Incomplete) && connection.paused_until().is_none() {
        let cause = "it was not whole in time";
        let error = Error::new(Kind::Unmeasured, "read the first message of", cause);
        return Err(error.with_code(Code::Timeout));
    }
    Ok(progress)
}

#[cfg(test)]
mod tests;
