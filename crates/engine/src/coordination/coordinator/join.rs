//! How agents join: a connection shakes hands and says its agent's name, all before anything waits
//! for it, so that nobody who has proved nothing holds the coordinator up.
//!
//! Enters: connections that an acceptor has accepted. Leaves: the names of agents that have proved
//! the token.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::control::framing::FrameReader;
use crate::control::pending_client::{Opening, PendingClient};
use crate::coordination::message::FromAgent;
use crate::net::{FirstMessage, PendingStage, Progress};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// A name and what is around it.
const MAX_JOIN_BYTES: u32 = 4 << 10;

/// A connection on its way to a name.
pub(super) struct PendingAgent<'a> {
    pub(super) client: PendingClient<'a>,
    /// The message with the name, once the handshake is over.
    pub(super) join: Option<FrameReader>,
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
