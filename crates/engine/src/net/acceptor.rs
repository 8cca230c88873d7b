//! Accepts connections and reads the first message of each, without ever blocking on one of them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Log;
use crate::transport::socket::plain;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// After a failed accept: descriptors may come free.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Reads a protocol's first message from a connection, which it owns and which never blocks. "First
/// message" is all that is exchanged before a connection is worth a thread.
pub trait FirstMessage: AsFd {
    /// What a whole first message says.
    type Message;

    /// Reads on without waiting.
    ///
    /// # Errors When the connection breaks, or brings something else than the protocol's first
    /// message. It is logged and the connection closed.
    fn read(&mut self) -> Result<Progress<Self::Message>>;

    /// By when what it waits for has to be there; absent: it may wait for ever.
    fn deadline(&self) -> Option<Instant>;

    /// Until when it is not to be read from; absent: it may be at once.
    fn paused_until(&self) -> Option<Instant> {
        None
    }
}

/// What reading on brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<M> {
    /// More has to come.
    Incomplete,
    /// The message is whole.
    Complete(M),
    /// The peer has closed the connection, and there is nothing to say about it.
    Closed,
}

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

/// Accepts from one listener and holds the connections that are pending.
pub struct Acceptor<'a, C> {
    listener: &'a TcpListener,
    /// Pending at one time; past it, new ones wait in the listen queue.
    max_pending: usize,
    /// Makes a reader of a connection, which does not block any more.
    open: &'a dyn Fn(TcpStream) -> io::Result<C>,
    log: Log<'a>,
    /// Those whose first message is not whole, with the address of each peer.
    pending: Vec<(C, SocketAddr)>,
}

impl<'a, C: FirstMessage> Acceptor<'a, C> {
    /// Accepts from `listener`, whose accepts do not block; `open` makes a reader of each
    /// connection. At most `max_pending` wait at one time, the others in the listen queue.
    pub const fn new(
        listener: &'a TcpListener,
        max_pending: usize,
        open: &'a dyn Fn(TcpStream) -> io::Result<C>,
        log: Log<'a>,
    ) -> Self {
        Self { listener, max_pending, open, log, pending: Vec::new() }
    }

    /// Waits for at most `timeout` until a connection comes or says more, or `beside` becomes
    /// readable; then accepts and reads all that is there. Returns those whose first message is
    /// whole.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn poll(
        &mut self,
        beside: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Vec<Accepted<C>>> {
        self.wait(beside, timeout).during("wait on the listening port")?;
        self.accept();
        Ok(self.read())
    }

    fn wait(&self, beside: Option<BorrowedFd<'_>>, timeout: Duration) -> io::Result<()> {
        let now = Instant::now();
        let mut until = now + timeout;
        let mut fds = Vec::with_capacity(self.pending.len() + 2);
        for (connection, _) in &self.pending {
            match connection.paused_until() {
                Some(pause) => until = until.min(pause),
                None => fds.push(PollFd::new(connection.as_fd(), PollFlags::POLLIN)),
            }
        }
        let listener = self.has_room().then(|| self.listener.as_fd());
        fds.extend(listener.into_iter().chain(beside).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let left = until.saturating_duration_since(now);
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether another connection may be accepted beside those that are pending.
    const fn has_room(&self) -> bool {
        self.pending.len() < self.max_pending
    }

    fn accept(&mut self) {
        while self.has_room() {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    // One that cannot be set up is gone.
                    let connection =
                        stream.set_nonblocking(true).and_then(|()| (self.open)(stream));
                    self.pending.extend(connection.ok().map(|connection| (connection, peer)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That one is gone; others may wait.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    (self.log)(&format!("accept a connection: {error}; trying again"));
                    std::thread::sleep(ACCEPT_RETRY_DELAY);
                    return;
                }
            }
        }
    }

    /// Reads on from each connection; those that need more stay pending.
    fn read(&mut self) -> Vec<Accepted<C>> {
        let mut accepted = Vec::new();
        for (mut connection, peer) in std::mem::take(&mut self.pending) {
            match read_on(&mut connection) {
                Ok(Progress::Incomplete) => self.pending.push((connection, peer)),
                Ok(Progress::Complete(message)) => {
                    accepted.push(Accepted { connection, message, peer });
                }
                Ok(Progress::Closed) => {}
                Err(error) => (self.log)(&format!("{}; dropped", error.with_peer(plain(peer)))),
            }
        }
        accepted
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
    if late && matches!(progress, Progress::Incomplete) {
        let cause = "it was not whole in time";
        let error = Error::new(Kind::Unmeasured, "read the first message of", cause);
        return Err(error.with_code(Code::Timeout));
    }
    Ok(progress)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::sync::Mutex;

    use super::*;
    use crate::net::listen;

    const SOON: Duration = Duration::from_millis(10);
    const TIMEOUT: Duration = Duration::from_millis(200);

    /// Reads a word of four letters, of which none may be a digit.
    struct Word {
        stream: TcpStream,
        letters: Vec<u8>,
        deadline: Instant,
        paused_until: Option<Instant>,
    }

    impl Word {
        fn open(stream: TcpStream) -> io::Result<Self> {
            let deadline = Instant::now() + TIMEOUT;
            Ok(Self { stream, letters: Vec::new(), deadline, paused_until: None })
        }
    }

    impl AsFd for Word {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.stream.as_fd()
        }
    }

    impl FirstMessage for Word {
        type Message = String;

        fn read(&mut self) -> Result<Progress<String>> {
            if self.paused_until.take().is_some() {
                return Ok(Progress::Complete("late".into()));
            }
            let mut letter = [0];
            while self.letters.len() < 4 {
                match self.stream.read(&mut letter) {
                    Ok(0) => return Ok(Progress::Closed),
                    Ok(_) if letter[0].is_ascii_digit() => {
                        return Err(Error::new(Kind::Unmeasured, "read a word of", "a digit"));
                    }
                    Ok(_) => self.letters.extend(letter),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        return Ok(Progress::Incomplete);
                    }
                    Err(error) => return Err(error).during("read a word of"),
                }
            }
            if self.letters == b"wait" {
                self.paused_until = Some(Instant::now() + SOON);
                return Ok(Progress::Incomplete);
            }
            Ok(Progress::Complete(String::from_utf8_lossy(&self.letters).into_owned()))
        }

        fn deadline(&self) -> Option<Instant> {
            Some(self.deadline)
        }

        fn paused_until(&self) -> Option<Instant> {
            self.paused_until
        }
    }

    /// Lets `work` play the clients of an acceptor; what it accepted and logged until `done`.
    fn accept_from(
        max_pending: usize,
        clients: impl FnOnce(&dyn Fn(&[u8]) -> TcpStream) -> Vec<TcpStream>,
        done: impl Fn(&[String], &[String]) -> bool,
    ) -> (Vec<String>, Vec<String>) {
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Mutex::new(Vec::new());
        let log = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let mut acceptor = Acceptor::new(&listener, max_pending, &Word::open, &log);
        let _clients = clients(&|bytes| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(bytes).unwrap();
            client
        });
        let mut words = Vec::new();
        let begun = Instant::now();
        while !done(&words, &lines.lock().unwrap()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{words:?} {lines:?}");
            let accepted = acceptor.poll(None, SOON).unwrap();
            words.extend(accepted.into_iter().map(|accepted| accepted.message));
            assert!(acceptor.pending.len() <= max_pending);
        }
        (words, lines.into_inner().unwrap())
    }

    #[test]
    fn silent_and_slow_connections_meet_their_deadline_and_hold_nobody_up() {
        let (words, lines) = accept_from(
            8,
            |connect| vec![connect(b""), connect(b"slo"), connect(b"fast")],
            |_, lines| lines.len() == 2,
        );
        assert_eq!(words, ["fast"]);
        assert!(lines.iter().all(|line| line.contains("not whole in time")), "{lines:?}");
    }

    #[test]
    fn what_is_no_first_message_is_logged_with_its_peer_and_an_end_is_not() {
        let (words, lines) = accept_from(
            8,
            |connect| {
                let ended = connect(b"end");
                ended.shutdown(Shutdown::Write).unwrap();
                vec![ended, connect(b"a1bc"), connect(b"wordy and more of it")]
            },
            |words, lines| words.len() == 1 && lines.len() == 1,
        );
        assert_eq!(words, ["word"]);
        assert!(lines[0].starts_with("read a word of 127.0.0.1:"), "{lines:?}");
        assert!(lines[0].ends_with(": a digit; dropped"), "{lines:?}");
    }

    #[test]
    fn connections_beyond_the_bound_wait_until_others_are_dropped() {
        let (words, lines) = accept_from(
            2,
            |connect| vec![connect(b""), connect(b""), connect(b"next")],
            |words, _| words.len() == 1,
        );
        assert_eq!((words, lines.len()), (vec!["next".to_owned()], 2));
    }

    #[test]
    fn a_paused_connection_is_read_when_its_pause_is_over() {
        let begun = Instant::now();
        let (words, _) =
            accept_from(8, |connect| vec![connect(b"wait")], |words, _| !words.is_empty());
        assert_eq!(words, ["late"]);
        assert!(begun.elapsed() >= SOON);
    }
}
