//! A client on its way to a run: what it says until its plan is here, all before it is worth a
//! thread.
//!
//! Enters: connections that the acceptor has accepted. Leaves: streams with the session that they
//! belong to, and plans of clients that are welcome.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::control::framing::{FrameReader, MAX_PLAN_MESSAGE_BYTES};
use crate::control::message::{FromClient, Hello};
use crate::control::pending_client::{Opening, PendingClient, ServerIdentity};
use crate::control::session::State;
use crate::net::{FirstMessage, PendingStage, Progress, SessionId};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::Plan;

/// A connection on its way to a plan.
pub(super) struct PendingRun<'a> {
    client: PendingClient<'a>,
    /// Absent until the client is welcome.
    welcome: Option<Box<WelcomeClient>>,
}

/// A client that is welcome, and the message with its plan as far as it has come.
struct WelcomeClient {
    hello: Hello,
    frame: FrameReader,
}

/// What a connection wants.
#[derive(Debug)]
pub(super) enum RunOpening {
    /// To be one stream of a run.
    Stream {
        /// Whose.
        session: SessionId,
        /// Which.
        stream: u32,
    },
    /// A run.
    Run {
        /// Who asks for it.
        hello: Hello,
        /// What is to be done; not checked.
        plan: Box<Plan>,
    },
}

impl<'a> PendingRun<'a> {
    /// Begins with a connection that says nothing yet.
    pub(super) fn new(stream: TcpStream, server: &'a ServerIdentity<'a>) -> Self {
        Self { client: PendingClient::new(stream, server), welcome: None }
    }

    /// The connection itself, which blocks from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn into_stream(self) -> io::Result<TcpStream> {
        self.client.into_stream()
    }
}

impl AsFd for PendingRun<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }
}

impl FirstMessage for PendingRun<'_> {
    type Message = RunOpening;

    fn read(&mut self) -> Result<Progress<RunOpening>> {
        let mut welcome = match self.welcome.take() {
            Some(welcome) => welcome,
            None => match self.client.read()? {
                Progress::Incomplete => return Ok(Progress::Incomplete),
                Progress::Closed => return Ok(Progress::Closed),
                Progress::Complete(Opening::Stream { session, stream }) => {
                    return Ok(Progress::Complete(RunOpening::Stream { session, stream }));
                }
                Progress::Complete(Opening::Client(hello)) => {
                    let frame = FrameReader::new(MAX_PLAN_MESSAGE_BYTES);
                    Box::new(WelcomeClient { hello: *hello, frame })
                }
            },
        };
        let message = match welcome.frame.read_from(self.client.stream()).during("read from")? {
            Progress::Complete(message) => message,
            Progress::Incomplete => {
                self.welcome = Some(welcome);
                return Ok(Progress::Incomplete);
            }
            Progress::Closed => {
                return Err(Error::new(Kind::Unmeasured, "read from", "the client left")
                    .with_code(Code::ConnectionLost));
            }
        };
        // It has proved the token, where there is one.
        State::Welcome.after(&message, false, false)?;
        Ok(match message {
            FromClient::Prepare { plan } => {
                Progress::Complete(RunOpening::Run { hello: welcome.hello, plan })
            }
            // A heartbeat, where there is nothing yet to keep.
            _ => Progress::Closed,
        })
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
