//! The agents of a schedule, and what comes from them.

use std::collections::BTreeMap;
use std::time::Instant;

use crossbeam_channel::{Receiver, Select};

use crate::control::link::Link;
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::error::{Code, Error, Kind, Result};

/// The state of an agent's connection.
#[derive(Debug)]
pub(super) enum ConnectionState {
    /// It has not come yet.
    Expected,
    /// It has joined.
    Joined {
        link: Link,
        incoming: Receiver<Result<FromAgent>>,
        /// Its probes are done.
        ready: bool,
    },
    /// It takes no part (any more); why, in words.
    Gone(String),
}

/// One agent.
#[derive(Debug)]
pub(super) struct AgentState {
    pub(super) name: String,
    pub(super) connection: ConnectionState,
    /// Tests it cannot take part in, and why.
    pub(super) left_out: BTreeMap<String, String>,
}

/// What happens next.
#[derive(Debug)]
pub(super) enum AgentEvent {
    Signal(Kind),
    /// A message of an agent, by its number.
    Message(usize, FromAgent),
    /// An agent's connection is gone.
    Lost(usize, Error),
    Time,
}

/// All of them, in the schedule's order.
#[derive(Debug)]
pub(super) struct Agents(pub(super) Vec<AgentState>);

impl AgentState {
    /// Tells why it cannot take part in `test`; none: it can.
    pub(super) fn absence(&self, test: &str) -> Option<String> {
        match &self.connection {
            ConnectionState::Expected => Some("it has not joined".into()),
            ConnectionState::Gone(cause) => Some(cause.clone()),
            ConnectionState::Joined { .. } => self.left_out.get(test).cloned(),
        }
    }

    /// Nothing is known yet of its probes, or of itself.
    pub(super) const fn is_awaited(&self) -> bool {
        matches!(
            self.connection,
            ConnectionState::Expected | ConnectionState::Joined { ready: false, .. }
        )
    }

    /// Sends it something, if it is there.
    pub(super) fn send(&self, message: &FromCoordinator) -> Result<()> {
        match &self.connection {
            ConnectionState::Joined { link, .. } => link.send(message),
            ConnectionState::Expected | ConnectionState::Gone(_) => Ok(()),
        }
    }
}

impl Agents {
    /// Expects agents of these names.
    pub(super) fn expect(names: &[String]) -> Self {
        let agent = |name: &String| AgentState {
            name: name.clone(),
            connection: ConnectionState::Expected,
            left_out: BTreeMap::new(),
        };
        Self(names.iter().map(agent).collect())
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|agent| agent.name == name)
    }

    /// Finds the number of the agent that may join by `name`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn awaited(&self, name: &str) -> Result<usize, &'static str> {
        let number = self.number(name).ok_or("the schedule has no agent of this name")?;
        match self.0[number].connection {
            ConnectionState::Expected => Ok(number),
            _ => Err("an agent of this name has joined already"),
        }
    }

    pub(super) fn any_joined(&self) -> bool {
        self.0.iter().any(|agent| matches!(agent.connection, ConnectionState::Joined { .. }))
    }

    /// Sleeps until something happens, at the longest until `until`.
    pub(super) fn next(&self, stop: &Receiver<Kind>, until: Instant) -> AgentEvent {
        let mut select = Select::new();
        select.recv(stop);
        let mut joined = Vec::with_capacity(self.0.len());
        for (number, agent) in self.0.iter().enumerate() {
            if let ConnectionState::Joined { incoming, .. } = &agent.connection {
                select.recv(incoming);
                joined.push((number, incoming));
            }
        }
        let Ok(operation) = select.select_deadline(until) else { return AgentEvent::Time };
        // Operations are numbered as they were made: the signal's, then the agents'.
        let Some(place) = operation.index().checked_sub(1) else {
            return AgentEvent::Signal(operation.recv(stop).unwrap_or(Kind::Interrupted));
        };
        let (number, incoming) = joined[place];
        match operation.recv(incoming) {
            Ok(Ok(message)) => AgentEvent::Message(number, message),
            Ok(Err(error)) => AgentEvent::Lost(number, error),
            Err(_) => {
                let error = Error::new(Kind::Incomplete, "listen to", "its connection is gone")
                    .with_code(Code::ConnectionLost);
                AgentEvent::Lost(number, error.with_peer(&self.0[number].name))
            }
        }
    }
}
