//! What a connection may ask of a coordinator: to take part as an agent.

use crate::control::pending_client::WelcomedClient;
use crate::control::pending_request::Request;
use crate::coordination::message::FromAgent;
use crate::net::{Progress, SessionId};
use podperf_model::error::{Code, Error, Kind, Result};

/// The name of an agent that wants to join.
pub(super) struct JoinRequest(pub(super) String);

impl Request for JoinRequest {
    type Message = FromAgent;
    /// A name and what is around it.
    const MAX_BYTES: u32 = 4 << 10;
    const OPERATION: &'static str = "read the name of";

    fn stream(_session: SessionId, _stream: u32) -> Result<Self> {
        refused("it is a stream of a run, and no run comes here")
    }

    fn read(_client: WelcomedClient, message: FromAgent) -> Result<Progress<Self>> {
        match message {
            FromAgent::Join { agent } => Ok(Progress::Complete(Self(agent))),
            _ => refused("it said another thing than its name"),
        }
    }
}

fn refused<T>(cause: &str) -> Result<T> {
    Err(Error::new(Kind::Unmeasured, JoinRequest::OPERATION, cause).with_code(Code::Protocol))
}
