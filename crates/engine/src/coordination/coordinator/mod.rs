//! `podperf coordinate`: tells agents whose turn it is, and logs what they bring.
//!
//! Enters: a schedule, and agents at the door. Leaves: records on standard output, in the
//! schedule's order; for every agent of every step either its result or why there is none. While
//! a step runs it sleeps, but for a beat every two seconds.

mod door;
mod guests;
mod ledger;
mod turn;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::control::framing;
use crate::control::link::Link;
use crate::control::server::{Log, listen, wildcard};
use crate::control::token::Token;
use crate::coordination::WORD;
use crate::coordination::message::{FromAgent, FromCoordinator, Probed};
use door::{Arrival, Door, Knock};
use guests::{Event, Guests, Whereabouts};
use ledger::{Ledger, Now, short};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Expect;
use podperf_model::run_log::LogRecord;
use podperf_model::schedule::{Schedule, Step};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// For agents to take the last message and leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// How to conduct.
#[derive(Debug, Clone)]
pub struct CoordinateOptions {
    /// Address to listen on; absent: all, IPv6 and IPv4.
    pub bind: Option<IpAddr>,
    /// Port for agents; 0: any free one.
    pub port: u16,
    /// The shared secret; absent: whoever knows an agent's name may be it.
    pub token: Option<Token>,
    /// Silence after which an agent counts as lost.
    pub peer_timeout: Duration,
    /// Who takes part, and what is measured.
    pub schedule: Schedule,
}

/// Carries out the schedule: records go to `to`, talk to `log`; a message on `stop` ends it with
/// what there is. Returns the exit status.
///
/// # Errors
/// When the port cannot be opened, or `to` takes no more.
pub fn coordinate(
    options: &CoordinateOptions,
    to: &mut dyn Write,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<u8> {
    let asked = SocketAddr::new(options.bind.unwrap_or_else(wildcard), options.port);
    let listener = listen(asked, false)?;
    let address = listener
        .local_addr()
        .map_err(|error| Error::new(Kind::Unmeasured, "look up the listening port", error))?;
    log(&format!("coordinating on {address}, podperf {}", env!("CARGO_PKG_VERSION")));
    if options.token.is_none() && !address.ip().is_loopback() {
        log("warning: anybody who reaches this port can take part; \
             set a token with --token-file or PODPERF_TOKEN");
    }
    let schedule = &options.schedule;
    let steps = u32::try_from(schedule.steps.len()).unwrap_or(u32::MAX);
    let ledger = Ledger::open(to, steps)?;
    let door = Door::open(listener, options.token.clone())?;
    let guests = Guests::expect(&schedule.agents);
    let patience = options.peer_timeout;
    let beat = Instant::now() + BEAT;
    Coordinator { schedule, guests, ledger, log, stop, patience, beat }.carry_out(door)
}

/// A schedule under way.
struct Coordinator<'a> {
    schedule: &'a Schedule,
    guests: Guests,
    ledger: Ledger<'a>,
    log: Log<'a>,
    stop: &'a Receiver<Kind>,
    /// How long an agent may be silent.
    patience: Duration,
    /// When the next beat is due.
    beat: Instant,
}

impl Coordinator<'_> {
    fn carry_out(mut self, door: Door) -> Result<u8> {
        let mut signal = self.gather(&door)?;
        // Nobody else is waited for, and strangers are not to cost anything while a step runs.
        drop(door);
        let all_came = self.guests.0.iter().all(|guest| guest.absence("").is_none());
        let nobody = !self.guests.any_here();
        let schedule = self.schedule;
        for (number, step) in (1..).zip(&schedule.steps) {
            match signal {
                None => signal = self.step(number, step)?,
                Some(kind) => self.leave_out((number, step), &ended_by(kind))?,
            }
        }
        let cause = match signal {
            Some(kind) => Some(ended_by(kind)),
            None if nobody => Some(self.nobody_came()),
            None if !self.guests.any_here() => Some("no agent is left".to_owned()),
            None => None,
        };
        self.ledger.finish(cause)?;
        self.dismiss();
        let status = self.ledger.exit_status();
        Ok(match signal {
            Some(kind) => kind.exit_status(),
            None if nobody => Kind::Unmeasured.exit_status(),
            // A schedule may consist of probes alone.
            None if status == 0 && !all_came => Kind::Incomplete.exit_status(),
            None => status,
        })
    }

    fn nobody_came(&self) -> String {
        format!("no agent joined within {} s", self.schedule.join_seconds)
    }

    /// Waits until all agents have joined and probed, or their time is up. The signal that ended
    /// it, if one did.
    fn gather(&mut self, door: &Door) -> Result<Option<Kind>> {
        let seconds = self.schedule.join_seconds;
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        while self.guests.0.iter().any(guests::Guest::awaited) {
            match self.event(Some(&door.knocks), deadline, None)? {
                Event::Signal(kind) => return Ok(Some(kind)),
                Event::Time => break,
                Event::Knock(Knock::Turned(line)) => (self.log)(&line),
                Event::Knock(Knock::Arrived(arrival)) => self.admit(arrival)?,
                Event::Said(number, FromAgent::Probed(probed)) => self.probed(number, probed)?,
                Event::Said(number, FromAgent::Ready) => {
                    if let Whereabouts::Here { ready, .. } = &mut self.guests.0[number].at {
                        *ready = true;
                    }
                }
                Event::Said(..) => {}
                Event::Lost(number, error) => self.lose(number, &error.to_string())?,
            }
        }
        for number in 0..self.guests.0.len() {
            let guest = &mut self.guests.0[number];
            match guest.at {
                Whereabouts::Expected => {
                    guest.at = Whereabouts::Gone(format!("did not join within {seconds} s"));
                    (self.log)(&format!("{}: did not join within {seconds} s", guest.name));
                }
                Whereabouts::Here { ready: false, .. } => {
                    let cause = format!("did not finish its probes within {seconds} s");
                    let error = Error::new(Kind::Unmeasured, "take part", &cause);
                    let _ = guest.tell(&FromCoordinator::Refused(error));
                    self.lose(number, &cause)?;
                }
                Whereabouts::Here { .. } | Whereabouts::Gone(_) => {}
            }
        }
        Ok(None)
    }

    /// Lets an agent in, once, if it is expected.
    fn admit(&mut self, arrival: Arrival) -> Result<()> {
        let Arrival { agent, stream, peer } = arrival;
        let found = self.guests.number(&agent);
        let refused = match found.map(|number| &self.guests.0[number].at) {
            Some(Whereabouts::Expected) => None,
            Some(_) => Some("an agent of this name has joined already"),
            None => Some("the schedule has no agent of this name"),
        };
        let deadline = Instant::now() + WORD;
        if let Some(cause) = refused {
            (self.log)(&format!("{peer}: refused as '{}': {cause}", short(&agent)));
            let error = Error::new(Kind::Unmeasured, "take part", cause);
            // One that has left does not hear it; the log has it.
            let _ = framing::write(&stream, &FromCoordinator::Refused(error), deadline);
            return Ok(());
        }
        let Some(number) = found else { return Ok(()) };
        let welcomed = framing::write(&stream, &FromCoordinator::Welcome, deadline)
            .map_err(|error| Error::new(Kind::Unmeasured, "welcome", error))
            .and_then(|()| {
                let name = format!("{agent} ({peer})");
                Link::start::<FromAgent, FromCoordinator>(stream, &name, self.patience)
            });
        match welcomed {
            Ok((link, incoming)) => {
                self.guests.0[number].at = Whereabouts::Here { link, incoming, ready: false };
                (self.log)(&format!("{peer}: joined as {agent}"));
                self.ledger.say(&LogRecord::Joined { agent })
            }
            // It may come again.
            Err(error) => {
                (self.log)(&format!("{peer}: {error}"));
                Ok(())
            }
        }
    }

    /// Logs what came of a probe, and leaves out what hangs on it.
    fn probed(&mut self, number: usize, probed: Probed) -> Result<()> {
        let Probed { path, address, expect, met, seconds, cause, tests } = probed;
        let (path, address) = (short(&path), short(&address));
        let guest = &mut self.guests.0[number];
        if !met && expect == Expect::Answer {
            let why = cause.as_deref().map(short).unwrap_or_default();
            for test in tests {
                let text = format!("its path {path} to {address} does not answer: {why}");
                guest.left_out.entry(test).or_insert(text);
            }
        }
        let agent = guest.name.clone();
        let cause = cause.map(|cause| short(&cause));
        let outcome = if met { "as expected" } else { "not as expected" };
        let words = cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        (self.log)(&format!("{agent}: path {path} to {address} is {outcome}{words}"));
        self.ledger.say(&LogRecord::Probed { agent, path, address, expect, met, seconds, cause })
    }

    /// The next event, with beats as they are due.
    fn event(
        &mut self,
        knocks: Option<&Receiver<Knock>>,
        until: Instant,
        now: Option<&Now>,
    ) -> Result<Event> {
        loop {
            let event = self.guests.next(self.stop, knocks, until.min(self.beat));
            let early = matches!(event, Event::Time) && Instant::now() < until;
            if !early {
                return Ok(event);
            }
            if Instant::now() >= self.beat {
                self.ledger.beat(now)?;
                self.beat = Instant::now() + BEAT;
            }
        }
    }

    /// An agent is gone.
    fn lose(&mut self, number: usize, cause: &str) -> Result<()> {
        let guest = &mut self.guests.0[number];
        guest.at = Whereabouts::Gone(format!("the agent is lost: {cause}"));
        let agent = guest.name.clone();
        (self.log)(&format!("{agent}: lost: {cause}"));
        self.ledger.say(&LogRecord::Lost { agent, cause: short(cause) })
    }

    /// A step that is not carried out.
    fn leave_out(&mut self, (number, step): (u32, &Step), cause: &str) -> Result<()> {
        for agent in &step.agents {
            self.ledger.outcome((number, step), agent, Err(cause.to_owned()))?;
        }
        Ok(())
    }

    /// Tells everybody that it is over, and waits for them to leave first: closing while their
    /// heartbeats are unread would reset the connection and with it the last message.
    fn dismiss(&mut self) {
        for guest in &self.guests.0 {
            // One that is gone need not hear it.
            let _ = guest.tell(&FromCoordinator::Done);
        }
        let deadline = Instant::now() + FAREWELL;
        while self.guests.any_here() && Instant::now() < deadline {
            let none = crossbeam_channel::never();
            if let Event::Lost(number, _) = self.guests.next(&none, None, deadline) {
                self.guests.0[number].at = Whereabouts::Gone("it has left".into());
            }
        }
    }
}

fn ended_by(kind: Kind) -> String {
    let name = if kind == Kind::Terminated { "SIGTERM" } else { "SIGINT" };
    format!("the coordinator was ended by {name}")
}
