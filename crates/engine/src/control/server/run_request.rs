//! What a connection may ask of a server: to be a stream of a run, or a run.

use std::time::Duration;

use crate::control::framing::MAX_PLAN_MESSAGE_BYTES;
use crate::control::message::FromClient;
use crate::control::pending_client::WelcomedClient;
use crate::control::pending_request::Request;
use crate::control::session::State;
use crate::net::{Progress, SessionId};
use podperf_model::error::Result;
use podperf_model::plan::Plan;

/// What a connection wants.
#[derive(Debug)]
pub(super) enum RunRequest {
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
        client: Box<WelcomedClient>,
        /// What is to be done; not checked.
        plan: Box<Plan>,
    },
}

impl Request for RunRequest {
    type Message = FromClient;
    const MAX_BYTES: u32 = MAX_PLAN_MESSAGE_BYTES;
    const OPERATION: &'static str = "read the plan of";

    fn stream(session: SessionId, stream: u32) -> Result<Self> {
        Ok(Self::Stream { session, stream })
    }

    fn read(client: WelcomedClient, message: FromClient) -> Result<Progress<Self>> {
        // It has proved the token, where there is one.
        State::Welcome.after(&message, false, false)?;
        Ok(match message {
            FromClient::Prepare { plan, peer_timeout_seconds } => {
                let seconds = peer_timeout_seconds.map(Duration::try_from_secs_f64);
                let peer_timeout = seconds.and_then(Result::ok);
                let client = Box::new(WelcomedClient { peer_timeout, ..client });
                Progress::Complete(Self::Run { client, plan })
            }
            // A heartbeat, where there is nothing yet to keep.
            _ => Progress::Closed,
        })
    }
}
