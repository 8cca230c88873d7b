//! Where agents come in. Whoever knocks gets a thread of his own until he has named himself or his
//! time is up, so that strangers cost a descriptor for a few seconds and hold nobody up.
//!
//! Enters: a listener and the token. Leaves: those who have proved the token and said a name, and a
//! line about each that has not.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::control::preamble::{LENGTH, Preamble, check_start};
use crate::control::token::Token;
use crate::control::{framing, handshake};
use crate::coordination::COORDINATES;
use crate::coordination::message::FromAgent;
use crate::transport::socket::plain;
use podperf_model::error::{Error, Kind, Result};

/// For a whole preamble.
const PREAMBLE: Duration = Duration::from_secs(2);
/// For the handshake and the name behind it.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Who has not named himself; past it, others wait in the listen queue.
const KNOCKING_MOST: usize = 64;
/// Between two looks at whether the door is to be closed.
const LOOK: u16 = 100;
/// After a failed accept, and while all places are taken.
const BACK_OFF: Duration = Duration::from_millis(50);
/// A name and what is around it.
const JOIN_MOST: u32 = 4 << 10;

/// Somebody who knows the token and has said a name.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) agent: String,
    pub(super) stream: TcpStream,
    pub(super) peer: String,
}

/// What comes of a connection.
#[derive(Debug)]
pub(super) enum Knock {
    Arrived(Arrival),
    /// A line for the log.
    Turned(String),
}

/// An open door; dropped, it is closed, and nobody comes in any more.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) knocks: Receiver<Knock>,
    quit: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Lets agents in through `listener`.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(super) fn open(listener: TcpListener, token: Option<Token>) -> Result<Self> {
        let (tell, knocks) = bounded(KNOCKING_MOST);
        let (quit, quitting) = bounded(0);
        let thread = Builder::new()
            .name("podperf-door".into())
            .spawn(move || attend(&listener, token.as_ref(), &tell, &quitting))
            .map_err(|error| Error::new(Kind::Unmeasured, "start the door's thread", error))?;
        Ok(Self { knocks, quit: Some(quit), thread: Some(thread) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.quit = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A place among those who knock; dropped, it is free again.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn attend(
    listener: &TcpListener,
    token: Option<&Token>,
    tell: &Sender<Knock>,
    quitting: &Receiver<()>,
) {
    let knocking: Arc<AtomicUsize> = Arc::default();
    while quitting.try_recv() == Err(TryRecvError::Empty) {
        if knocking.load(Ordering::Relaxed) >= KNOCKING_MOST {
            std::thread::sleep(BACK_OFF);
            continue;
        }
        let mut wait = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut wait, PollTimeout::from(LOOK)), Ok(0)) {
            continue;
        }
        let Ok((stream, peer)) = listener.accept() else {
            std::thread::sleep(BACK_OFF);
            continue;
        };
        knocking.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&knocking));
        let (token, tell) = (token.cloned(), tell.clone());
        // A thread that cannot be started drops the connection and the place with its body.
        let _ =
            Builder::new().name("podperf-knock".into()).stack_size(256 << 10).spawn(move || {
                let knock = hear(stream, peer, token.as_ref());
                // Before it is told: where it goes next is not this door's concern.
                drop(place);
                let _ = tell.send(knock);
            });
    }
}

fn hear(stream: TcpStream, peer: SocketAddr, token: Option<&Token>) -> Knock {
    let peer = plain(peer);
    match introduction(&stream, token) {
        Ok(agent) => Knock::Arrived(Arrival { agent, stream, peer }),
        Err(error) => Knock::Turned(format!("{peer}: {error}; dropped")),
    }
}

/// From the first byte to the name.
fn introduction(stream: &TcpStream, token: Option<&Token>) -> Result<String> {
    let failed =
        |cause: &dyn std::fmt::Display| Error::new(Kind::Unmeasured, "let an agent in", cause);
    stream.set_nonblocking(false).map_err(|error| failed(&error))?;
    let _ = stream.set_nodelay(true);
    preamble(stream)?;
    let deadline = Instant::now() + HANDSHAKE;
    let mut own = handshake::hello(token, None)?;
    own.features.push(COORDINATES.into());
    handshake::server(stream, token, &own, deadline)?;
    let left = deadline.saturating_duration_since(Instant::now());
    match framing::read(stream, JOIN_MOST, deadline, left) {
        Ok(Some(FromAgent::Join { agent })) => Ok(agent),
        Ok(Some(_)) => Err(failed(&"it said another thing than its name")),
        Ok(None) => Err(failed(&"it left without a name")),
        Err(error) => Err(failed(&error)),
    }
}

/// Reads the preamble, recognising a stranger by its first bytes.
fn preamble(stream: &TcpStream) -> Result<()> {
    let deadline = Instant::now() + PREAMBLE;
    let greet = |cause: &dyn std::fmt::Display| Error::new(Kind::Unmeasured, "greet", cause);
    let (mut bytes, mut filled) = ([0; LENGTH], 0);
    while filled < LENGTH {
        match framing::read_once(stream, &mut bytes[filled..], deadline) {
            Ok(0) => return Err(greet(&"it left without a word")),
            Ok(count) => filled += count,
            Err(error) => return Err(greet(&error)),
        }
        if let Err(stranger) = check_start(&bytes[..filled]) {
            return Err(greet(&stranger));
        }
    }
    match Preamble::decode(&bytes) {
        Ok(Preamble::Control) => Ok(()),
        Ok(Preamble::Data { .. }) => Err(greet(&"a stream of a run; no run comes in here")),
        Err(stranger) => {
            // So that a podperf of another version learns which one this is.
            let _ = (&mut &*stream).write(&Preamble::Control.encode());
            Err(greet(&stranger))
        }
    }
}
