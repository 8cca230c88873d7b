//! Whether anything still moves: a peer that is stopped keeps its connections open, and its kernel
//! answers for it.
//!
//! Enters: what the workers have counted, and what the kernel knows of the data connections.
//! Leaves: for how long nothing has moved. A slow link is no stopped peer: bytes that the peer's
//! kernel acknowledges count, however few, while a call that sends many lasts. What only waits in
//! the own kernel has not moved.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::test_kind::{Protocol, TestDirection};
use podperf_model::plan::Role;
use podperf_sys::tcp_info::{self, RawTcpInfo};

use super::Job;

/// Longest time between two looks.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Of a link that is slow and not gone.
const MIN_BYTES_PER_SECOND: u64 = 8 << 10;

/// How long so many bytes may take over a connection that is too short-lived to be looked at.
pub(crate) const fn slow_transfer(bytes: u64) -> Duration {
    Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
}

/// TCP_INFO of each connection that lasts.
fn infos(sockets: &[Socket]) -> impl Iterator<Item = RawTcpInfo> {
    sockets.iter().filter_map(|socket| tcp_info::tcp_info(socket.as_fd()).ok())
}

/// Bytes that the peer's kernel has: those it acknowledged in a row, and those beyond a gap.
pub(super) fn delivered(sockets: &[Socket]) -> u64 {
    infos(sockets).map(|info| delivered_of(&info)).fold(0, u64::wrapping_add)
}

fn delivered_of(info: &RawTcpInfo) -> u64 {
    info.bytes_acked + u64::from(info.sacked) * u64::from(info.snd_mss)
}

/// Bytes that the peer has: those its kernel acknowledged in a row.
pub(super) fn acknowledged(sockets: &[Socket]) -> u64 {
    infos(sockets).map(|info| info.bytes_acked).fold(0, u64::wrapping_add)
}

/// What [`acknowledged`] will be when everything has arrived that was handed over so far. The SYN
/// of a client counts as acknowledged.
pub(super) fn handed_over(sockets: &[Socket]) -> u64 {
    let of = |info: RawTcpInfo| {
        let sent = info.bytes_sent.saturating_sub(info.bytes_retrans);
        (1 + sent + u64::from(info.notsent_bytes)).max(delivered_of(&info))
    };
    infos(sockets).map(of).fold(0, u64::wrapping_add)
}

/// Bytes that wait to be sent, or to be acknowledged.
pub(super) fn queued(sockets: &[Socket]) -> u64 {
    infos(sockets).fold(0, |all, info| {
        all + u64::from(info.notsent_bytes) + u64::from(info.unacked) * u64::from(info.snd_mss)
    })
}

/// What has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Sent in datagrams one way, of which nobody says that they arrived.
    sent: u64,
    received: u64,
    transactions: u64,
    /// What the kernel saw acknowledged, and what it received.
    delivered: u64,
    arrived: u64,
}

impl Moved {
    /// By the workers' bytes sent, bytes received and transactions, and by the kernel.
    pub(super) fn of(
        [sent, received, transactions]: [u64; 3],
        sockets: &[Socket],
        job: &Job,
    ) -> Self {
        let sends = match job.role {
            Role::Client => job.shape.direction == TestDirection::Send,
            Role::Server => job.shape.direction == TestDirection::Receive,
        };
        let counts_sent = sends && job.shape.protocol == Protocol::Udp;
        let sent = if counts_sent { sent } else { 0 };
        let moved = Self { sent, received, transactions, delivered: 0, arrived: 0 };
        infos(sockets).fold(moved, |moved, info| Self {
            delivered: moved.delivered.wrapping_add(delivered_of(&info)),
            arrived: moved.arrived.wrapping_add(info.bytes_received),
            ..moved
        })
    }
}

/// Looks at a data phase now and then.
#[derive(Debug)]
pub(super) struct StallWatch {
    /// Absent: however long nothing moves.
    timeout: Option<Duration>,
    moved: Moved,
    /// For how long that has been all.
    idle: Duration,
    last: Instant,
}

impl StallWatch {
    /// From now on, when `moved` is all so far.
    pub(super) fn new(timeout: Option<Duration>, moved: Moved) -> Self {
        Self { timeout, moved, idle: Duration::ZERO, last: Instant::now() }
    }

    fn interval(&self) -> Duration {
        self.timeout.map_or(MAX_INTERVAL, |timeout| MAX_INTERVAL.min(timeout / 4))
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Instant {
        self.last + self.interval()
    }

    /// Looks. For how long nothing had moved, where that is too long.
    pub(super) fn look(&mut self, moved: Moved) -> Option<Duration> {
        let now = Instant::now();
        // A process that was stopped itself has not seen what its peers did.
        let seen = (now - self.last).min(self.interval() * 2);
        self.last = now;
        self.idle = if moved == self.moved { self.idle + seen } else { Duration::ZERO };
        self.moved = moved;
        self.timeout.filter(|timeout| self.idle >= *timeout)
    }

    /// For how long nothing has moved, at the least.
    pub(super) const fn idle(&self) -> Duration {
        self.idle
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::data::tests::job;
    use crate::test_kind::{TestLength, TestShape};

    #[test]
    fn bytes_of_the_kernel_count_beside_those_of_the_workers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut peer = listener.accept().unwrap().0;
        let sockets = [Socket::from(own.try_clone().unwrap())];
        let job = job(Role::Client, Protocol::Tcp, TestDirection::Send, TestLength::UntilTold);
        let before = Moved::of([1, 2, 3], &sockets, &job);
        // What waits in the own kernel has gone nowhere.
        assert_eq!([before.sent, before.received, before.transactions], [0, 2, 3]);
        own.write_all(b"there").unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
        peer.write_all(b"back").unwrap();
        own.read_exact(&mut [0; 4]).unwrap();
        let after = Moved::of([1, 2, 3], &sockets, &job);
        assert_eq!([after.delivered - before.delivered, after.arrived - before.arrived], [5, 4]);
        assert_eq!(queued(&sockets), 0);
    }

    #[test]
    fn datagrams_that_nobody_answers_have_moved_when_they_are_sent() {
        let one_way = job(Role::Client, Protocol::Udp, TestDirection::Send, TestLength::UntilTold);
        assert_eq!(Moved::of([1, 2, 3], &[], &one_way).sent, 1);
        let answered = TestShape { direction: TestDirection::RequestResponse, ..one_way.shape };
        assert_eq!(Moved::of([1, 2, 3], &[], &Job { shape: answered, ..one_way }).sent, 0);
    }

    #[test]
    fn what_moves_is_not_stalled_and_what_does_not_is() {
        let moved = |received| Moved { received, ..Moved::default() };
        let watch = |timeout| StallWatch::new(Some(timeout), moved(0));
        assert!(watch(Duration::ZERO).look(moved(0)).is_some());
        let mut watch = watch(Duration::from_secs(10));
        let looks_after = |watch: &mut StallWatch, seconds, received| {
            watch.last = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            watch.look(moved(received)).is_some()
        };
        for _ in 0..9 {
            assert!(!looks_after(&mut watch, 1, 0));
        }
        assert!(watch.idle() >= Duration::from_secs(9));
        assert!(!looks_after(&mut watch, 1, 1));
        // This process was stopped.
        assert!(!looks_after(&mut watch, 30, 1));
        assert!(watch.due() > Instant::now());
        let stalled = (0..8).map(|_| looks_after(&mut watch, 1, 1));
        assert_eq!(stalled.collect::<Vec<_>>(), [[false; 7].as_slice(), &[true]].concat());
        // Where nobody minds, it is only known.
        let mut watch = StallWatch::new(None, moved(1));
        assert!(!looks_after(&mut watch, 1, 1));
        assert!(watch.idle() > Duration::ZERO);
    }
}
