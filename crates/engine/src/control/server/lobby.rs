//! Accepts connections and reads their preambles, all in one thread that never blocks on any of
//! them.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::flows::Flows;
use super::registry::Registry;
use super::{Log, ServeOptions, reception};
use crate::control::preamble::{LENGTH, Preamble, PreambleError, check_start};
use crate::transport::socket::plain;
use podperf_model::error::{Error, Kind, Result};

/// For a whole preamble.
const PREAMBLE: Duration = Duration::from_secs(2);
/// Connections without a whole preamble; past it, new ones wait in the listen queue.
const KNOCKING_MOST: usize = 1024;
/// Clients that shake hands while all sessions are taken, so that they can be told so.
const SPARE_THREADS: usize = 256;
/// Between two looks at the stop channel.
const LOOK: u16 = 100;
/// After a failed accept: descriptors may come free.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A connection that has not named itself.
struct Knocking {
    stream: TcpStream,
    peer: SocketAddr,
    bytes: [u8; LENGTH],
    filled: usize,
    deadline: Instant,
}

/// What reading on brought.
enum Heard {
    NotYet,
    Preamble(Preamble),
    PreambleError(PreambleError),
    Gone,
}

/// What the lobby's helpers share.
struct Lobby<'a> {
    options: &'a ServeOptions,
    log: Log<'a>,
    registry: Registry,
    flows: &'a Flows,
    threads: AtomicUsize,
}

/// Runs the lobby until `stop`, or until one session is over with `once`.
pub(super) fn run(
    listener: &TcpListener,
    flows: &Flows,
    options: &ServeOptions,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<Option<Kind>> {
    let (registry, threads) = (Registry::default(), AtomicUsize::new(0));
    let lobby = Lobby { options, log, registry, flows, threads };
    // Dropped when the lobby ends, which every session sees.
    let (closing, closed) = bounded::<()>(0);
    let (tell_done, done) = bounded(1);
    std::thread::scope(|scope| {
        let mut knocking: Vec<Knocking> = Vec::new();
        let end = loop {
            if let Ok(kind) = stop.try_recv() {
                break Ok(Some(kind));
            }
            if options.once && done.try_recv().is_ok() {
                break Ok(None);
            }
            if let Err(error) = wait(listener, flows, &knocking) {
                break Err(Error::new(Kind::Unmeasured, "wait on the listening port", error));
            }
            flows.serve(log);
            accept(listener, &mut knocking, log);
            for waiting in std::mem::take(&mut knocking) {
                knocking.extend(lobby.hear(waiting, scope, &closed, &tell_done));
            }
        };
        drop(closing);
        end
    })
}

/// Waits until somebody knocks or says more.
fn wait(listener: &TcpListener, flows: &Flows, knocking: &[Knocking]) -> std::io::Result<()> {
    let mut fds: Vec<PollFd<'_>> =
        knocking.iter().map(|one| PollFd::new(one.stream.as_fd(), PollFlags::POLLIN)).collect();
    if knocking.len() < KNOCKING_MOST {
        fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
    }
    fds.extend(flows.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::from(LOOK)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn accept(listener: &TcpListener, knocking: &mut Vec<Knocking>, log: Log<'_>) {
    while knocking.len() < KNOCKING_MOST {
        match listener.accept() {
            Ok((stream, peer)) => {
                if stream.set_nonblocking(true).is_ok() {
                    let deadline = Instant::now() + PREAMBLE;
                    knocking.push(Knocking {
                        stream,
                        peer,
                        bytes: [0; LENGTH],
                        filled: 0,
                        deadline,
                    });
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // That one is gone; others may wait.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log(&format!("accept a connection: {error}; trying again"));
                std::thread::sleep(BACK_OFF);
                return;
            }
        }
    }
}

impl Knocking {
    fn hear(&mut self) -> Heard {
        while self.filled < LENGTH {
            match self.stream.read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Heard::Gone,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::NotYet,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Heard::Gone,
            }
            if let Err(stranger) = check_start(&self.bytes[..self.filled]) {
                return Heard::PreambleError(stranger);
            }
        }
        match Preamble::decode(&self.bytes) {
            Ok(preamble) => Heard::Preamble(preamble),
            Err(stranger) => Heard::PreambleError(stranger),
        }
    }
}

impl<'env> Lobby<'env> {
    /// Reads on; returns the connection if it has to wait for more.
    fn hear<'scope>(
        &'scope self,
        mut waiting: Knocking,
        scope: &'scope Scope<'scope, '_>,
        closed: &Receiver<()>,
        done: &Sender<()>,
    ) -> Option<Knocking>
    where
        'env: 'scope,
    {
        let peer = plain(waiting.peer);
        match waiting.hear() {
            Heard::NotYet if Instant::now() < waiting.deadline => return Some(waiting),
            Heard::NotYet => (self.log)(&format!("{peer}: said nothing in time; dropped")),
            Heard::Gone => {}
            Heard::PreambleError(stranger) => {
                (self.log)(&format!("{peer}: {stranger}; dropped"));
                // So that a podperf of another version learns which one this is.
                let _ = std::io::Write::write(&mut waiting.stream, &Preamble::Control.encode());
            }
            Heard::Preamble(_) if waiting.stream.set_nonblocking(false).is_err() => {}
            Heard::Preamble(Preamble::Data { session, stream }) => {
                if !self.registry.join(session, (stream, waiting.stream)) {
                    (self.log)(&format!("{peer}: stream {stream} of no waiting session; dropped"));
                }
            }
            Heard::Preamble(Preamble::Control) => {
                self.receive(waiting.stream, &peer, scope, closed, done);
            }
        }
        None
    }

    /// Gives a client its thread.
    fn receive<'scope>(
        &'scope self,
        stream: TcpStream,
        peer: &str,
        scope: &'scope Scope<'scope, '_>,
        closed: &Receiver<()>,
        done: &Sender<()>,
    ) where
        'env: 'scope,
    {
        let most = self.options.limits.sessions as usize + SPARE_THREADS;
        if self.threads.fetch_add(1, Ordering::Relaxed) >= most {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            return (self.log)(&format!("{peer}: too many clients; dropped"));
        }
        let (name, closed, done) = (peer.to_owned(), closed.clone(), done.clone());
        let body = move || {
            let guest = reception::Guest {
                options: self.options,
                registry: &self.registry,
                flows: self.flows,
                log: self.log,
                closed: &closed,
                peer: &name,
            };
            // What panics takes its own session with it and no other.
            let served = catch_unwind(AssertUnwindSafe(|| reception::serve(stream, &guest)));
            self.threads.fetch_sub(1, Ordering::Relaxed);
            match served {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => _ = done.try_send(()),
                Ok(Err(error)) => (self.log)(&format!("{name}: {error}")),
                Err(_) => (self.log)(&format!("{name}: the session panicked; others go on")),
            }
        };
        if let Err(error) = Builder::new().name("podperf-session".into()).spawn_scoped(scope, body)
        {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            (self.log)(&format!("{peer}: start a session's thread: {error}; dropped"));
        }
    }
}
