//! Accepts connections and hears the first message of each, in one thread that never blocks on any
//! of them: a stranger costs a descriptor. Who has said something gets a thread, or is handed to
//! the test whose data connection it is.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::control::{ControlChannel, ReadOutcome};
use super::session::{self, ServerContext};
use crate::wire::native::ClientMessage;
use crate::wire::{WireMessage, kind};
use podperf_model::error::{Error, Kind, Result};

/// Clients at one time; more are closed at once.
const CLIENTS_MOST: usize = 1024;
/// Connections that have said nothing yet; past it, new ones wait in the listen queue.
const KNOCKING_MOST: usize = 1024;
/// For the passphrase, where one is needed.
const PASSPHRASE: Duration = Duration::from_secs(20);
/// Between two looks at the stop channel.
const LOOK: u16 = 100;
/// After a failed accept: descriptors may come free.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A connection that has said nothing whole.
struct Knocking {
    control: ControlChannel,
    /// By when it has to have.
    deadline: Option<Instant>,
}

/// A client that has said its first message.
type Guest = (ControlChannel, WireMessage);

struct Lobby<'a> {
    context: ServerContext<'a>,
    threads: AtomicUsize,
}

/// Runs until `stop`; the kind of the signal that ended it. Sessions end when `closing` of the
/// house becomes readable, which is the caller's part.
///
/// # Errors
/// When the port breaks.
pub(super) fn run<'env>(
    listener: &TcpListener,
    context: ServerContext<'env>,
    stop: &Receiver<Kind>,
    close: impl FnOnce(),
) -> Result<Kind> {
    let lobby = Lobby { context, threads: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        let mut knocking: Vec<Knocking> = Vec::new();
        // With one test at a time, the others' turn comes later.
        let mut waiting: VecDeque<Guest> = VecDeque::new();
        let end = loop {
            if let Ok(kind) = stop.try_recv() {
                break Ok(kind);
            }
            if let Err(error) = wait(listener, &knocking, !waiting.is_empty()) {
                break Err(Error::new(Kind::Unmeasured, "wait on the listening port", error));
            }
            lobby.accept(listener, &mut knocking);
            for one in std::mem::take(&mut knocking) {
                if let Some(guest) = lobby.read(one, &mut knocking) {
                    waiting.push_back(guest);
                }
            }
            while !waiting.is_empty() && lobby.has_room() {
                if let Some(guest) = waiting.pop_front() {
                    lobby.receive(guest, scope);
                }
            }
            while waiting.len() > CLIENTS_MOST {
                waiting.pop_back();
            }
        };
        close();
        end
    })
}

/// Waits until somebody knocks or says more; not for long where others wait for their turn.
fn wait(listener: &TcpListener, knocking: &[Knocking], turns: bool) -> std::io::Result<()> {
    let mut fds: Vec<PollFd<'_>> =
        knocking.iter().map(|one| PollFd::new(one.control.fd(), PollFlags::POLLIN)).collect();
    if knocking.len() < KNOCKING_MOST {
        fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
    }
    match poll(&mut fds, PollTimeout::from(if turns { LOOK / 10 } else { LOOK })) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl<'env> Lobby<'env> {
    fn log(&self, line: &str) {
        (self.context.log)(line);
    }

    fn accept(&self, listener: &TcpListener, knocking: &mut Vec<Knocking>) {
        while knocking.len() < KNOCKING_MOST {
            match listener.accept() {
                Ok((stream, _)) => {
                    let options = self.context.options;
                    let patience =
                        options.passphrase.as_ref().map_or(options.idle_timeout, |_| PASSPHRASE);
                    let deadline = Instant::now().checked_add(patience);
                    // One that cannot be looked at is gone.
                    let control = ControlChannel::new(stream).ok();
                    knocking.extend(control.map(|control| Knocking { control, deadline }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That one is gone; others may wait.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.log(&format!("accept a connection: {error}; trying again"));
                    std::thread::sleep(BACK_OFF);
                    return;
                }
            }
        }
    }

    /// Reads on: a client that has said something whole, or `knocking` gets it back, or it is
    /// dropped.
    fn read(&self, mut one: Knocking, knocking: &mut Vec<Knocking>) -> Option<Guest> {
        match one.control.read() {
            Ok(ReadOutcome::NotYet) => {
                if one.deadline.is_none_or(|deadline| Instant::now() < deadline) {
                    knocking.push(one);
                } else {
                    self.log(&format!("{}: said nothing in time; dropped", one.control.name()));
                }
                None
            }
            Ok(ReadOutcome::End) => None,
            Ok(ReadOutcome::Message(message)) => self.greet(one.control, message),
            Err(error) => {
                self.log(&error.to_string());
                None
            }
        }
    }

    /// The first message decides whose the connection is.
    fn greet(&self, control: ControlChannel, message: WireMessage) -> Option<Guest> {
        if let Some(ClientMessage::Join { token, stream }) = ClientMessage::read(&message) {
            let name = control.name();
            if !self.context.registry.join(token, stream, control.into_stream()) {
                self.log(&format!("{name}: a data connection of no test that waits; dropped"));
            }
            return None;
        }
        if let Some(passphrase) = &self.context.options.passphrase {
            let said = message.kind() == kind::PASSPHRASE && message.text(8, 648) == *passphrase;
            if !said {
                self.log(&format!("{}: does not know the passphrase; dropped", control.name()));
                return None;
            }
        }
        Some((control, message))
    }

    fn has_room(&self) -> bool {
        let threads = self.threads.load(Ordering::Relaxed);
        threads == 0 || !self.context.options.one_at_a_time
    }

    /// Gives a client its thread.
    fn receive<'scope>(&'scope self, guest: Guest, scope: &'scope Scope<'scope, '_>)
    where
        'env: 'scope,
    {
        let (control, first) = guest;
        let name = control.name();
        if self.threads.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MOST {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            return self.log(&format!("{name}: too many clients; dropped"));
        }
        let peer = name.clone();
        let body = move || {
            // What panics takes its own session with it and no other.
            let served =
                catch_unwind(AssertUnwindSafe(|| session::serve(self.context, control, first)));
            self.threads.fetch_sub(1, Ordering::Relaxed);
            match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.log(&error.to_string()),
                Err(_) => self.log(&format!("{name}: the session panicked; others go on")),
            }
        };
        if let Err(error) = Builder::new().name("netserver-client".into()).spawn_scoped(scope, body)
        {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            self.log(&format!("{peer}: start a session's thread: {error}; dropped"));
        }
    }
}
