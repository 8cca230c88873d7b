//! How agents join: a thread accepts connections, shakes hands, and reads the name of each, so that
//! nobody who has proved nothing holds the coordinator up.
//!
//! Enters: a listener and the token. Leaves: agents that have proved the token and said a name, and
//! a line about each connection that has not.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

use crate::control::framing::FrameReader;
use crate::control::handshake;
use crate::control::pending_client::{Opening, PendingClient, ServerIdentity};
use crate::control::token::Token;
use crate::coordination::message::{COORDINATES, FromAgent};
use crate::net::{Acceptor, FirstMessage, Progress};
use crate::transport::socket::plain;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// Connections without a name; past it, others wait in the listen queue.
const MAX_PENDING_CONNECTIONS: usize = 64;
/// Between two looks at whether no more agents are to join.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A name and what is around it.
const MAX_JOIN_BYTES: u32 = 4 << 10;

/// A connection that knows the token and has said a name.
#[derive(Debug)]
pub(super) struct JoinedAgent {
    pub(super) agent: String,
    pub(super) stream: TcpStream,
    pub(super) peer: String,
}

/// What comes of a connection.
#[derive(Debug)]
pub(super) enum JoinEvent {
    Joined(JoinedAgent),
    /// A line for the log.
    Rejected(String),
}

/// Lets agents join; dropped, nobody does any more.
#[derive(Debug)]
pub(super) struct JoinListener {
    pub(super) events: Receiver<JoinEvent>,
    quit: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl JoinListener {
    /// Lets agents join through `listener`.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(super) fn start(listener: TcpListener, token: Option<Token>) -> Result<Self> {
        let (sender, events) = bounded(MAX_PENDING_CONNECTIONS);
        let (quit, quitting) = bounded(0);
        let thread = Builder::new()
            .name("podperf-join".into())
            .spawn(move || accept(&listener, token.as_ref(), &sender, &quitting))
            .during("start the thread that lets agents join")?;
        Ok(Self { events, quit: Some(quit), thread: Some(thread) })
    }
}

impl Drop for JoinListener {
    fn drop(&mut self) {
        self.quit = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    token: Option<&Token>,
    events: &Sender<JoinEvent>,
    quitting: &Receiver<()>,
) {
    let send = |event| {
        select! {
            send(events, event) -> _ => {}
            recv(quitting) -> _ => {}
        }
    };
    let hello = || {
        let mut own = handshake::hello(token, None)?;
        own.features.push(COORDINATES.into());
        Ok(own)
    };
    let identity = ServerIdentity { token, hello: &hello };
    let open =
        |stream| Ok(PendingAgent { client: PendingClient::new(stream, &identity), join: None });
    let log = |line: &str| send(JoinEvent::Rejected(line.to_owned()));
    let mut acceptor = Acceptor::new(listener, MAX_PENDING_CONNECTIONS, &open, &log);
    while quitting.try_recv() == Err(TryRecvError::Empty) {
        // What cannot be waited for comes with the next look.
        for accepted in acceptor.poll(None, POLL_INTERVAL).unwrap_or_default() {
            // One that is gone takes no part.
            if let Ok(stream) = accepted.connection.client.into_stream() {
                let (agent, peer) = (accepted.message, plain(accepted.peer));
                send(JoinEvent::Joined(JoinedAgent { agent, stream, peer }));
            }
        }
    }
}

/// A connection on its way to a name.
struct PendingAgent<'a> {
    client: PendingClient<'a>,
    /// The message with the name, once the handshake is over.
    join: Option<FrameReader>,
}

impl AsFd for PendingAgent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }
}

impl FirstMessage for PendingAgent<'_> {
    type Message = String;

    fn read(&mut self) -> Result<Progress<String>> {
        let failed = |code, cause| {
            Err(Error::new(Kind::Unmeasured, "read the name of", cause).with_code(code))
        };
        let frame = match &mut self.join {
            Some(frame) => frame,
            join => match self.client.read()? {
                Progress::Incomplete => return Ok(Progress::Incomplete),
                Progress::Closed => return Ok(Progress::Closed),
                Progress::Complete(Opening::Client(_)) => {
                    join.insert(FrameReader::new(MAX_JOIN_BYTES))
                }
                Progress::Complete(Opening::Stream { .. }) => {
                    return failed(
                        Code::Protocol,
                        "it is a stream of a run, and no run comes here",
                    );
                }
            },
        };
        match frame.read_from(self.client.stream()).during("read the name of")? {
            Progress::Complete(FromAgent::Join { agent }) => Ok(Progress::Complete(agent)),
            Progress::Complete(_) => failed(Code::Protocol, "it said another thing than its name"),
            Progress::Incomplete => Ok(Progress::Incomplete),
            Progress::Closed => failed(Code::ConnectionLost, "it left without a name"),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    fn paused_until(&self) -> Option<Instant> {
        self.client.paused_until()
    }
}
