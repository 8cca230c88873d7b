//! Whether anything still moves: a peer that is stopped keeps its connections open, and its kernel
//! answers for it.
//!
//! Enters: what the workers have counted, and what the kernel knows of the data connections.
//! Leaves: that nothing has moved for too long. A slow link is no stopped peer: bytes that the
//! peer's kernel acknowledges count, however few, while a call that sends many lasts.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use socket2::Socket;

use podperf_engine::metrics::flow;

/// Longest time between two looks.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Of a link that is slow and not gone.
const MIN_BYTES_PER_SECOND: u64 = 8 << 10;

/// How long so many bytes may take over a connection that is too short-lived to be looked at.
pub(crate) const fn slow_transfer(bytes: u64) -> Duration {
    Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
}

/// What has moved: the workers' bytes sent, received and transactions; bytes that the kernel saw
/// acknowledged, and that it received.
type Moved = [u64; 5];

/// Looks at a data phase now and then.
#[derive(Debug)]
pub(super) struct StallWatch {
    timeout: Duration,
    moved: Moved,
    /// For how long that has been all.
    idle: Duration,
    last: Instant,
}

impl StallWatch {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, moved: Moved::default(), idle: Duration::ZERO, last: Instant::now() }
    }

    fn interval(&self) -> Duration {
        MAX_INTERVAL.min(self.timeout / 4)
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Instant {
        self.last + self.interval()
    }

    /// Looks. True: nothing has moved for too long.
    pub(super) fn is_stalled(&mut self, progress: [u64; 3], sockets: &[Socket]) -> bool {
        let now = Instant::now();
        // A process that was stopped itself has not seen what its peers did.
        let seen = (now - self.last).min(self.interval() * 2);
        self.last = now;
        let moved = moved(progress, sockets);
        self.idle = if moved == self.moved { self.idle + seen } else { Duration::ZERO };
        self.moved = moved;
        self.idle >= self.timeout
    }
}

fn moved([sent, received, transactions]: [u64; 3], sockets: &[Socket]) -> Moved {
    let all = sockets.iter().filter_map(|socket| flow::read(socket.as_fd()));
    all.fold([sent, received, transactions, 0, 0], |moved, info| {
        let [sent, received, transactions, acknowledged, arrived] = moved;
        [
            sent,
            received,
            transactions,
            acknowledged.wrapping_add(info.bytes_acked),
            arrived.wrapping_add(info.bytes_received),
        ]
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn bytes_of_the_kernel_count_beside_those_of_the_workers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut peer = listener.accept().unwrap().0;
        let sockets = [Socket::from(own.try_clone().unwrap())];
        let before = moved([1, 2, 3], &sockets);
        assert_eq!(before[..3], [1, 2, 3]);
        own.write_all(b"there").unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
        peer.write_all(b"back").unwrap();
        own.read_exact(&mut [0; 4]).unwrap();
        let after = moved([1, 2, 3], &sockets);
        assert_eq!([after[3] - before[3], after[4] - before[4]], [5, 4]);
    }

    #[test]
    fn what_moves_is_not_stalled_and_what_does_not_is() {
        let mut watch = StallWatch::new(Duration::ZERO);
        assert!(watch.is_stalled([0; 3], &[]));
        let mut watch = StallWatch::new(Duration::from_secs(10));
        let looks_after = |watch: &mut StallWatch, seconds, progress| {
            watch.last = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            watch.is_stalled(progress, &[])
        };
        for _ in 0..9 {
            assert!(!looks_after(&mut watch, 1, [0; 3]));
        }
        assert!(!looks_after(&mut watch, 1, [1, 0, 0]));
        // This process was stopped.
        assert!(!looks_after(&mut watch, 30, [1, 0, 0]));
        assert!(watch.due() > Instant::now());
        let stalled = (0..8).map(|_| looks_after(&mut watch, 1, [1, 0, 0]));
        assert_eq!(stalled.collect::<Vec<_>>(), [[false; 7].as_slice(), &[true]].concat());
    }
}
