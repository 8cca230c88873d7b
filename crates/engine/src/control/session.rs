//! The order in which a client may speak: a state machine without I/O.
//!
//! Whatever comes out of order, twice or too early is refused by name; nothing a client sends can
//! bring a session into a state that is not listed here.

use crate::control::message::FromClient;
use podperf_model::error::{Code, Error, Kind, Result};

/// How far a session has come, seen from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The client has sent nothing.
    New,
    /// The client has sent its hello, and must prove that it knows the token.
    Unproved,
    /// The client may ask for a run.
    Welcome,
    /// The plan is accepted; streams are being connected.
    Preparing,
    /// All workers stand at the gate.
    Ready,
    /// Workers run, the window is not open.
    Running,
    /// Inside the window.
    Window,
    /// Past the window; flows go on.
    Tail,
    /// Stopped; reporting.
    Stopped,
}

impl State {
    /// Computes the state after `message`. `token`: the server asks for one; `counted`: the run
    /// ends by a count, so its window opens with the start.
    ///
    /// # Errors
    /// When the message may not come now.
    pub fn after(self, message: &FromClient, token: bool, counted: bool) -> Result<Self> {
        use FromClient as M;
        Ok(match (self, message) {
            (_, M::Heartbeat) => self,
            (Self::New, M::Hello(_)) if token => Self::Unproved,
            (Self::New, M::Hello(_)) => Self::Welcome,
            (Self::Unproved, M::Prove { .. }) => Self::Welcome,
            (Self::Welcome, M::Prepare { .. }) => Self::Preparing,
            (Self::Ready, M::Start) if counted => Self::Window,
            (Self::Ready, M::Start) => Self::Running,
            (Self::Running, M::Open) => Self::Window,
            (Self::Window, M::Close) => Self::Tail,
            // A client may break off at any time after the plan is accepted.
            (
                Self::Preparing | Self::Ready | Self::Running | Self::Window | Self::Tail,
                M::Stop,
            ) => Self::Stopped,
            _ => {
                let cause = format!("{} is not expected in state {self:?}", name(message));
                return Err(Error::new(Kind::Unmeasured, "follow the control protocol", cause)
                    .with_code(Code::Protocol));
            }
        })
    }
}

/// Names the message, without what it carries.
const fn name(message: &FromClient) -> &'static str {
    match message {
        FromClient::Hello(_) => "hello",
        FromClient::Prove { .. } => "prove",
        FromClient::Prepare { .. } => "prepare",
        FromClient::Start => "start",
        FromClient::Open => "open",
        FromClient::Close => "close",
        FromClient::Stop => "stop",
        FromClient::Heartbeat => "heartbeat",
    }
}

#[cfg(test)]
mod tests;
