//! Who takes part, and what comes from them.

use std::collections::BTreeMap;
use std::time::Instant;

use crossbeam_channel::{Receiver, Select};

use super::door::Knock;
use crate::control::link::Link;
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::error::{Error, Kind, Result};

/// Where an agent is.
#[derive(Debug)]
pub(super) enum Whereabouts {
    /// It has not come yet.
    Expected,
    /// It has joined.
    Here {
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
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) at: Whereabouts,
    /// Tests it cannot take part in, and why.
    pub(super) left_out: BTreeMap<String, String>,
}

/// What happens next.
#[derive(Debug)]
pub(super) enum Event {
    Signal(Kind),
    Knock(Knock),
    /// An agent, by its number, has said something.
    Said(usize, FromAgent),
    /// An agent's connection is gone.
    Lost(usize, Error),
    Time,
}

/// All of them, in the schedule's order.
#[derive(Debug)]
pub(super) struct Guests(pub(super) Vec<Guest>);

impl Guest {
    /// Why it cannot take part in `test`; none: it can.
    pub(super) fn absence(&self, test: &str) -> Option<String> {
        match &self.at {
            Whereabouts::Expected => Some("it has not joined".into()),
            Whereabouts::Gone(cause) => Some(cause.clone()),
            Whereabouts::Here { .. } => self.left_out.get(test).cloned(),
        }
    }

    /// Nothing is known yet of its probes, or of itself.
    pub(super) const fn awaited(&self) -> bool {
        matches!(self.at, Whereabouts::Expected | Whereabouts::Here { ready: false, .. })
    }

    /// Sends it something, if it is there.
    pub(super) fn tell(&self, message: &FromCoordinator) -> Result<()> {
        match &self.at {
            Whereabouts::Here { link, .. } => link.send(message),
            Whereabouts::Expected | Whereabouts::Gone(_) => Ok(()),
        }
    }
}

impl Guests {
    pub(super) fn expect(names: &[String]) -> Self {
        let guest = |name: &String| Guest {
            name: name.clone(),
            at: Whereabouts::Expected,
            left_out: BTreeMap::new(),
        };
        Self(names.iter().map(guest).collect())
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|guest| guest.name == name)
    }

    pub(super) fn any_here(&self) -> bool {
        self.0.iter().any(|guest| matches!(guest.at, Whereabouts::Here { .. }))
    }

    /// Sleeps until something happens, at the longest until `until`.
    pub(super) fn next(
        &self,
        stop: &Receiver<Kind>,
        knocks: Option<&Receiver<Knock>>,
        until: Instant,
    ) -> Event {
        let mut select = Select::new();
        let signal = select.recv(stop);
        let door = knocks.map(|knocks| (select.recv(knocks), knocks));
        let mut lines = Vec::with_capacity(self.0.len());
        for (number, guest) in self.0.iter().enumerate() {
            if let Whereabouts::Here { incoming, .. } = &guest.at {
                lines.push((select.recv(incoming), number, incoming));
            }
        }
        let Ok(operation) = select.select_deadline(until) else { return Event::Time };
        let index = operation.index();
        if index == signal {
            return Event::Signal(operation.recv(stop).unwrap_or(Kind::Interrupted));
        }
        if let Some((_, knocks)) = door.filter(|(door, _)| *door == index) {
            // The door's thread lives as long as the door.
            return operation.recv(knocks).map_or(Event::Time, Event::Knock);
        }
        let Some((_, number, incoming)) = lines.into_iter().find(|(line, ..)| *line == index)
        else {
            unreachable!("every operation was made above");
        };
        match operation.recv(incoming) {
            Ok(Ok(message)) => Event::Said(number, message),
            Ok(Err(error)) => Event::Lost(number, error),
            Err(_) => {
                let error = Error::new(Kind::Incomplete, "listen to", "its connection is gone");
                Event::Lost(number, error.with_peer(&self.0[number].name))
            }
        }
    }
}
