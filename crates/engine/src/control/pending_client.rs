//! The server's side of the handshake: reads what a connection says before it is worth a thread,
//! its preamble and, if it is a control connection, hello and proof.
//!
//! Enters: connections that an acceptor has accepted. Leaves: streams with the session that they
//! belong to, and clients that have proved the token.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::control::framing::{self, FrameReader, MAX_HANDSHAKE_MESSAGE_BYTES};
use crate::control::handshake::{self, TOKEN_REMEDY, unauthorized, unexpected};
use crate::control::message::{FromClient, FromServer, Hello};
use crate::control::preamble::{LENGTH_BYTES, MAX_PROBE_BYTES, Preamble, check_start};
pub use crate::control::server_identity::ServerIdentity;
use crate::control::session::State;
use crate::net::{FirstMessage, PendingStage, Progress, SessionId};
use crate::policy::{Requirement, Token};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::Role;

/// For a whole preamble.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(2);
/// From the preamble to the first message behind the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Before a wrong proof is refused, so that guessing takes time.
const WRONG_PROOF_DELAY: Duration = Duration::from_millis(300);

/// A connection on its way to a whole preamble and handshake.
pub struct PendingClient<'a> {
    stream: TcpStream,
    server: &'a ServerIdentity<'a>,
    step: PendingStep,
    deadline: Instant,
}

/// How far it has come.
enum PendingStep {
    Preamble {
        bytes: [u8; LENGTH_BYTES],
        filled: usize,
    },
    Handshake(Box<PendingHandshake>),
    /// It probes the path, and has its answer. What it sends is read, so that its end shows.
    Probe {
        left_bytes: usize,
    },
    /// It has brought a wrong proof, and is told so at a time.
    Refusal {
        error: Box<Error>,
        at: Instant,
    },
}

/// A handshake under way.
struct PendingHandshake {
    state: State,
    own: Hello,
    /// Absent: the client has not said it.
    client: Option<Hello>,
    /// The rule of the policy that it is under, once that is known.
    rule: Option<Arc<str>>,
    /// The name of the token that it has proved.
    token: Option<Arc<str>>,
    /// The client's messages.
    frame: FrameReader,
}

/// What a connection has opened with.
#[derive(Debug)]
pub enum Opening {
    /// The preamble of one stream's data connection.
    Stream {
        /// Whose.
        session: SessionId,
        /// Which.
        stream: u32,
    },
    /// The handshake of a client that is welcome: who it is.
    Client(Box<WelcomedClient>),
}

/// A client that is welcome.
#[derive(Debug)]
pub struct WelcomedClient {
    /// What it says of itself.
    pub hello: Hello,
    /// The rule of the policy that it is under; absent: there is no policy.
    pub rule: Option<Arc<str>>,
    /// What the policy calls the token that it knows; absent: nothing, or it needs none.
    pub token: Option<Arc<str>>,
    /// Silence after which it may be given up; absent: it has not said.
    pub peer_timeout: Option<Duration>,
}

impl<'a> PendingClient<'a> {
    /// Begins with a connection that says nothing yet.
    #[must_use]
    pub fn new(stream: TcpStream, server: &'a ServerIdentity<'a>) -> Self {
        let deadline = Instant::now() + PREAMBLE_TIMEOUT;
        let step = PendingStep::Preamble { bytes: [0; LENGTH_BYTES], filled: 0 };
        Self { stream, server, step, deadline }
    }

    /// The connection, which does not block.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection itself, which blocks from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        self.stream.set_nonblocking(false)?;
        Ok(self.stream)
    }

    fn read_preamble(&mut self) -> Result<Progress<Opening>> {
        let PendingStep::Preamble { bytes, filled } = &mut self.step else {
            return Ok(Progress::Incomplete);
        };
        let mut stream = &self.stream;
        let refuse = |error: String| {
            // So that a podperf of another version learns which one this is.
            let _ = (&self.stream).write(&Preamble::Control.encode());
            Error::new(Kind::Unmeasured, "read the preamble of", error).with_code(Code::Protocol)
        };
        while *filled < LENGTH_BYTES {
            match stream.read(&mut bytes[*filled..]) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(count) => *filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Incomplete);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Progress::Closed),
            }
            check_start(&bytes[..*filled]).map_err(refuse)?;
        }
        match Preamble::decode(bytes).map_err(refuse)? {
            Preamble::Data { session, stream } => {
                Ok(Progress::Complete(Opening::Stream { session, stream }))
            }
            Preamble::Probe { answer_bytes } => {
                let answer = [0; MAX_PROBE_BYTES as usize];
                // In one segment, where it fits one; and nothing of it stays behind.
                let _ = self.stream.set_nodelay(true);
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                write_now(&self.stream, &answer[..answer_bytes as usize]).during("answer")?;
                self.step = PendingStep::Probe { left_bytes: 2 * answer.len() };
                self.read_probe()
            }
            Preamble::UnknownSession { .. } => Err(unexpected("preamble")),
            Preamble::Control => {
                self.deadline = Instant::now() + HANDSHAKE_TIMEOUT;
                let _ = self.stream.set_nodelay(true);
                write_now(&self.stream, &Preamble::Control.encode()).during("greet")?;
                let ServerIdentity { token, boot_id, feature, .. } = self.server;
                let mut own = handshake::hello(*token, boot_id.clone())?;
                own.features.extend(feature.map(String::from));
                self.step = PendingStep::Handshake(Box::new(PendingHandshake {
                    state: State::New,
                    own,
                    client: None,
                    rule: None,
                    token: None,
                    frame: FrameReader::new(MAX_HANDSHAKE_MESSAGE_BYTES),
                }));
                self.read_handshake()
            }
        }
    }

    fn read_probe(&mut self) -> Result<Progress<Opening>> {
        let PendingStep::Probe { left_bytes } = &mut self.step else {
            return Ok(Progress::Incomplete);
        };
        let mut bytes = [0; 2048];
        while *left_bytes > 0 {
            match (&self.stream).read(&mut bytes) {
                Ok(count @ 1..) => *left_bytes = left_bytes.saturating_sub(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Incomplete);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        Ok(Progress::Closed)
    }

    fn read_handshake(&mut self) -> Result<Progress<Opening>> {
        let PendingStep::Handshake(handshake) = &mut self.step else {
            return Ok(Progress::Incomplete);
        };
        while handshake.state != State::Welcome {
            let message = match handshake.frame.read_from(&self.stream).during("read from")? {
                Progress::Complete(message) => message,
                Progress::Incomplete => return Ok(Progress::Incomplete),
                Progress::Closed => {
                    return Err(Error::new(Kind::Unmeasured, "read from", "the client left")
                        .with_code(Code::ConnectionLost));
                }
            };
            match handshake.answer(&self.stream, message, self.server) {
                Ok(()) => {}
                Err(error) if matches!(error.code, Code::Unauthorized | Code::Refused) => {
                    let at = Instant::now() + WRONG_PROOF_DELAY;
                    self.step = PendingStep::Refusal { error: Box::new(error), at };
                    return Ok(Progress::Incomplete);
                }
                Err(error) => return Err(error),
            }
        }
        let hello = handshake.client.take().ok_or_else(|| unexpected("hello"))?;
        let (rule, token) = (handshake.rule.take(), handshake.token.take());
        let client = WelcomedClient { hello, rule, token, peer_timeout: None };
        Ok(Progress::Complete(Opening::Client(Box::new(client))))
    }
}

impl PendingHandshake {
    /// Answers the client's next message; with a token, the client has to prove that it knows it.
    ///
    /// # Errors
    /// When the client speaks out of order; [`Code::Unauthorized`] when it cannot prove the token,
    /// [`Code::Refused`] when too many wrong proofs came from its address, or nobody from there is
    /// let in.
    fn answer(
        &mut self,
        stream: &TcpStream,
        message: FromClient,
        server: &ServerIdentity<'_>,
    ) -> Result<()> {
        let ip = stream.peer_addr().during("answer")?.ip();
        let proof = match message {
            FromClient::Hello(ref client) => {
                let needed = server.requirement(ip, client.token)?;
                let asks = needed == Some(Requirement::Token);
                self.state = self.state.after(&message, asks, false)?;
                if let Some(Requirement::Nothing(rule)) = needed {
                    self.rule = Some(rule);
                }
                self.client = Some(client.clone());
                self.own.token = asks;
                send_now(stream, &FromServer::Hello(self.own.clone()))?;
                if asks {
                    return Ok(());
                }
                None
            }
            FromClient::Prove { ref proof } => {
                self.state = self.state.after(&message, true, false)?;
                let nonce = self.client.as_ref().map_or("", |client| &client.nonce);
                let now = Instant::now();
                let mut wrong_proofs = server.wrong_proofs.borrow_mut();
                wrong_proofs.check(ip, now)?;
                let knows =
                    |token: &Token| token.verify(Role::Client, nonce, &self.own.nonce, proof);
                let Some((rule, token)) = server.proved(ip, knows)? else {
                    wrong_proofs.add(ip, now);
                    let wrong = unauthorized("authenticate with", "wrong token");
                    return Err(wrong.with_remedy(TOKEN_REMEDY));
                };
                let proof = token.token.prove(Role::Server, nonce, &self.own.nonce);
                (self.rule, self.token) = (rule, token.name);
                Some(proof)
            }
            _ => {
                self.state.after(&message, false, false)?;
                return Err(unexpected("hello"));
            }
        };
        send_now(stream, &FromServer::Welcome { proof, view: server.view(stream) })
    }
}

impl AsFd for PendingClient<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl FirstMessage for PendingClient<'_> {
    type Message = Opening;

    fn read(&mut self) -> Result<Progress<Opening>> {
        match &self.step {
            PendingStep::Preamble { .. } => self.read_preamble(),
            PendingStep::Handshake(_) => self.read_handshake(),
            PendingStep::Probe { .. } => self.read_probe(),
            PendingStep::Refusal { error, .. } => {
                let error = Error::clone(error);
                send_now(&self.stream, &FromServer::Refused(error.clone()))?;
                Err(error)
            }
        }
    }

    fn stage(&self) -> PendingStage {
        match self.step {
            // Also with a part of it, which costs nothing.
            PendingStep::Preamble { .. } | PendingStep::Probe { .. } => PendingStage::Silent,
            PendingStep::Handshake(_) | PendingStep::Refusal { .. } => PendingStage::Begun,
        }
    }

    /// By when the step under way has to be over; of a client that is welcome: by when it has to
    /// say what it wants.
    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn paused_until(&self) -> Option<Instant> {
        match &self.step {
            PendingStep::Refusal { at, .. } => Some(*at),
            PendingStep::Preamble { .. }
            | PendingStep::Handshake(_)
            | PendingStep::Probe { .. } => None,
        }
    }

    fn refuse(&self, why: Error) {
        // One that has not greeted would not know what is said to it.
        if matches!(self.step, PendingStep::Handshake(_)) {
            let _ = send_now(&self.stream, &FromServer::Refused(why));
        }
    }
}

fn send_now(stream: &TcpStream, message: &FromServer) -> Result<()> {
    framing::encode(message).and_then(|bytes| write_now(stream, &bytes)).during("answer")
}

/// Writes to a socket that does not block and has room: nothing but the handshake's few answers has
/// been written before.
fn write_now(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    match stream.write(bytes)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests;
