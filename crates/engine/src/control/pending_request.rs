//! A client on its way to its first message behind the handshake, which is read before it is worth
//! a thread: of a server the plan, of a coordinator the name of the agent.
//!
//! Enters: connections that an acceptor has accepted. Leaves: what each of them asks for.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::control::framing::FrameReader;
use crate::control::pending_client::{Opening, PendingClient, ServerIdentity, WelcomedClient};
use crate::net::{FirstMessage, PendingStage, Progress, SessionId};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// What a connection may ask of a server.
pub trait Request: Sized {
    /// The message that asks for it.
    type Message: DeserializeOwned;
    /// Most of that message.
    const MAX_BYTES: u32;
    /// What reading it is called in an error.
    const OPERATION: &'static str;

    /// A connection that is one stream of a run.
    ///
    /// # Errors
    /// When no run comes here.
    fn stream(session: SessionId, stream: u32) -> Result<Self>;

    /// What a client asks for that is welcome.
    ///
    /// # Errors
    /// When it says something else.
    fn read(client: WelcomedClient, message: Self::Message) -> Result<Progress<Self>>;
}

/// A connection on its way to a request.
pub struct PendingRequest<'a, R> {
    client: PendingClient<'a>,
    /// Absent until the client is welcome.
    welcome: Option<Box<WelcomeClient>>,
    /// Names the request, which is not here yet.
    request: std::marker::PhantomData<fn() -> R>,
}

/// A client that is welcome, and its message as far as it has come.
struct WelcomeClient {
    client: WelcomedClient,
    frame: FrameReader,
}

impl<'a, R> PendingRequest<'a, R> {
    /// Begins with a connection that says nothing yet.
    #[must_use]
    pub fn new(stream: TcpStream, server: &'a ServerIdentity<'a>) -> Self {
        let client = PendingClient::new(stream, server);
        Self { client, welcome: None, request: std::marker::PhantomData }
    }

    /// The connection itself, which blocks from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        self.client.into_stream()
    }
}

impl<R> AsFd for PendingRequest<'_, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }
}

impl<R: Request> FirstMessage for PendingRequest<'_, R> {
    type Message = R;

    fn read(&mut self) -> Result<Progress<R>> {
        let mut welcome = match self.welcome.take() {
            Some(welcome) => welcome,
            None => match self.client.read()? {
                Progress::Incomplete => return Ok(Progress::Incomplete),
                Progress::Closed => return Ok(Progress::Closed),
                Progress::Complete(Opening::Stream { session, stream }) => {
                    return R::stream(session, stream).map(Progress::Complete);
                }
                Progress::Complete(Opening::Client(client)) => {
                    let frame = FrameReader::new(R::MAX_BYTES);
                    Box::new(WelcomeClient { client: *client, frame })
                }
            },
        };
        match welcome.frame.read_from(self.client.stream()).during(R::OPERATION)? {
            Progress::Complete(message) => R::read(welcome.client, message),
            Progress::Incomplete => {
                self.welcome = Some(welcome);
                Ok(Progress::Incomplete)
            }
            Progress::Closed => Err(Error::new(Kind::Unmeasured, R::OPERATION, "it left")
                .with_code(Code::ConnectionLost)),
        }
    }

    fn stage(&self) -> PendingStage {
        self.client.stage()
    }

    fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    fn paused_until(&self) -> Option<Instant> {
        self.client.paused_until()
    }

    fn refuse(&self, why: Error) {
        self.client.refuse(why);
    }
}
