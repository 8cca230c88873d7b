//! `podperf coordinate`: has agents carry out a schedule, and logs what they bring.
//!
//! Enters: a schedule, and agents that join. Leaves: records on standard output, in the
//! schedule's order; for every agent of every step either its result or why there is none. While
//! a step runs it sleeps, but for a heartbeat every two seconds.

mod agents;
mod join;
mod run_log;
mod step;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::control::framing;
use crate::control::link::Link;
use crate::control::token::Token;
use crate::coordination::message::{FromAgent, FromCoordinator, JOIN_TIMEOUT, Probed};
use crate::net::{Log, listen, wildcard};
use agents::{AgentEvent, AgentState, Agents, ConnectionState};
use join::{JoinEvent, JoinListener, JoinedAgent};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::Expect;
use podperf_model::run_log::LogRecord;
use podperf_model::schedule::{Schedule, Step};
use run_log::{HEARTBEAT_INTERVAL, RunLog, StepStatus, short};

/// For agents to take the last message and leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How to coordinate.
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

/// Carries out the schedule: records go to `output`, talk to `log`; a message on `stop` ends it
/// with what there is. Returns the exit status.
///
/// # Errors
/// When the port cannot be opened, or `output` takes no more.
pub fn coordinate(
    options: &CoordinateOptions,
    output: &mut dyn Write,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<u8> {
    let asked = SocketAddr::new(options.bind.unwrap_or_else(wildcard), options.port);
    let listener = listen(asked, false)?;
    let address = listener.local_addr().during("look up the listening port")?;
    log(&format!("coordinating on {address}, podperf {}", env!("CARGO_PKG_VERSION")));
    if options.token.is_none() && !address.ip().is_loopback() {
        log("warning: anybody who reaches this port can take part; \
             set a token with --token-file or PODPERF_TOKEN");
    }
    let schedule = &options.schedule;
    let steps = u32::try_from(schedule.steps.len()).unwrap_or(u32::MAX);
    let run_log = RunLog::open(output, steps)?;
    let joining = JoinListener::start(listener, options.token.clone())?;
    let agents = Agents::expect(&schedule.agents);
    let peer_timeout = options.peer_timeout;
    let heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
    Coordinator { schedule, agents, run_log, log, stop, peer_timeout, heartbeat_due }
        .carry_out(joining)
}

/// A schedule under way.
struct Coordinator<'a> {
    schedule: &'a Schedule,
    agents: Agents,
    run_log: RunLog<'a>,
    log: Log<'a>,
    stop: &'a Receiver<Kind>,
    /// How long an agent may be silent.
    peer_timeout: Duration,
    /// The time that the next heartbeat is due.
    heartbeat_due: Instant,
}

impl Coordinator<'_> {
    fn carry_out(mut self, joining: JoinListener) -> Result<u8> {
        let mut signal = self.wait_for_agents(&joining)?;
        // Nobody else is waited for, and connections are not to cost anything while a step runs.
        drop(joining);
        let all_joined = self.agents.0.iter().all(|agent| agent.absence("").is_none());
        let none_joined = !self.agents.any_joined();
        let schedule = self.schedule;
        for (number, step) in (1..).zip(&schedule.steps) {
            match signal {
                None => signal = self.step(number, step)?,
                Some(kind) => self.leave_out((number, step), &ended_by(kind))?,
            }
        }
        let cause = match signal {
            Some(kind) => Some(ended_by(kind)),
            None if none_joined => Some(self.nobody_joined()),
            None if !self.agents.any_joined() => Some("no agent is left".to_owned()),
            None => None,
        };
        self.run_log.finish(cause)?;
        self.dismiss();
        let status = self.run_log.exit_status();
        Ok(match signal {
            Some(kind) => kind.exit_status(),
            None if none_joined => Kind::Unmeasured.exit_status(),
            // A schedule may consist of probes alone.
            None if status == 0 && !all_joined => Kind::Incomplete.exit_status(),
            None => status,
        })
    }

    fn nobody_joined(&self) -> String {
        format!("no agent joined within {} s", self.schedule.join_seconds)
    }

    /// Waits until all agents have joined and probed, or their time is up. The signal that ended
    /// it, if one did.
    fn wait_for_agents(&mut self, joining: &JoinListener) -> Result<Option<Kind>> {
        let seconds = self.schedule.join_seconds;
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        while self.agents.0.iter().any(AgentState::is_awaited) {
            match self.event(Some(&joining.events), deadline, None)? {
                AgentEvent::Signal(kind) => return Ok(Some(kind)),
                AgentEvent::Time => break,
                AgentEvent::Join(JoinEvent::Rejected(line)) => (self.log)(&line),
                AgentEvent::Join(JoinEvent::Joined(joined)) => self.admit(joined)?,
                AgentEvent::Message(number, FromAgent::Probed(probed)) => {
                    self.probed(number, probed)?
                }
                AgentEvent::Message(number, FromAgent::Ready) => {
                    if let ConnectionState::Joined { ready, .. } =
                        &mut self.agents.0[number].connection
                    {
                        *ready = true;
                    }
                }
                AgentEvent::Message(..) => {}
                AgentEvent::Lost(number, error) => self.lose(number, &error.to_string())?,
            }
        }
        for number in 0..self.agents.0.len() {
            let agent = &mut self.agents.0[number];
            match agent.connection {
                ConnectionState::Expected => {
                    agent.connection =
                        ConnectionState::Gone(format!("did not join within {seconds} s"));
                    (self.log)(&format!("{}: did not join within {seconds} s", agent.name));
                }
                ConnectionState::Joined { ready: false, .. } => {
                    let cause = format!("did not finish its probes within {seconds} s");
                    let error =
                        Error::new(Kind::Unmeasured, "take part", &cause).with_code(Code::Timeout);
                    let _ = agent.send(&FromCoordinator::Refused(error));
                    self.lose(number, &cause)?;
                }
                ConnectionState::Joined { .. } | ConnectionState::Gone(_) => {}
            }
        }
        Ok(None)
    }

    /// Lets an agent in, once, if it is expected.
    fn admit(&mut self, joined: JoinedAgent) -> Result<()> {
        let JoinedAgent { agent, stream, peer } = joined;
        let found = self.agents.number(&agent);
        let refused = match found.map(|number| &self.agents.0[number].connection) {
            Some(ConnectionState::Expected) => None,
            Some(_) => Some("an agent of this name has joined already"),
            None => Some("the schedule has no agent of this name"),
        };
        let deadline = Instant::now() + JOIN_TIMEOUT;
        if let Some(cause) = refused {
            (self.log)(&format!("{peer}: refused as '{}': {cause}", short(&agent)));
            let error = Error::new(Kind::Unmeasured, "take part", cause).with_code(Code::Refused);
            // One that has left does not hear it; the log has it.
            let _ = framing::write(&stream, &FromCoordinator::Refused(error), deadline);
            return Ok(());
        }
        let Some(number) = found else { return Ok(()) };
        let welcomed = framing::write(&stream, &FromCoordinator::Welcome, deadline)
            .during("welcome")
            .and_then(|()| {
                let name = format!("{agent} ({peer})");
                Link::start::<FromAgent, FromCoordinator>(stream, &name, self.peer_timeout)
            });
        match welcomed {
            Ok((link, incoming)) => {
                self.agents.0[number].connection =
                    ConnectionState::Joined { link, incoming, ready: false };
                (self.log)(&format!("{peer}: joined as {agent}"));
                self.run_log.write(&LogRecord::Joined { agent })
            }
            // It may come again.
            Err(error) => {
                (self.log)(&format!("{peer}: {error}"));
                Ok(())
            }
        }
    }

    /// Logs what came of a probe, and leaves out the tests that depend on it.
    fn probed(&mut self, number: usize, probed: Probed) -> Result<()> {
        let Probed { path, address, expect, met, seconds, cause, tests } = probed;
        let (path, address) = (short(&path), short(&address));
        let agent = &mut self.agents.0[number];
        if !met && expect == Expect::Answer {
            let why = cause.as_deref().map(short).unwrap_or_default();
            for test in tests {
                let text = format!("its path {path} to {address} does not answer: {why}");
                agent.left_out.entry(test).or_insert(text);
            }
        }
        let agent = agent.name.clone();
        let cause = cause.map(|cause| short(&cause));
        let outcome = if met { "as expected" } else { "not as expected" };
        let words = cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        (self.log)(&format!("{agent}: path {path} to {address} is {outcome}{words}"));
        self.run_log.write(&LogRecord::Probed { agent, path, address, expect, met, seconds, cause })
    }

    /// Waits for the next event, with heartbeats as they are due.
    fn event(
        &mut self,
        joining: Option<&Receiver<JoinEvent>>,
        until: Instant,
        now: Option<&StepStatus>,
    ) -> Result<AgentEvent> {
        loop {
            let event = self.agents.next(self.stop, joining, until.min(self.heartbeat_due));
            let early = matches!(event, AgentEvent::Time) && Instant::now() < until;
            if !early {
                return Ok(event);
            }
            if Instant::now() >= self.heartbeat_due {
                self.run_log.heartbeat(now)?;
                self.heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
            }
        }
    }

    /// Notes that an agent is gone.
    fn lose(&mut self, number: usize, cause: &str) -> Result<()> {
        let agent = &mut self.agents.0[number];
        agent.connection = ConnectionState::Gone(format!("the agent is lost: {cause}"));
        let agent = agent.name.clone();
        (self.log)(&format!("{agent}: lost: {cause}"));
        self.run_log.write(&LogRecord::Lost { agent, cause: short(cause) })
    }

    /// Logs a step that is not carried out.
    fn leave_out(&mut self, (number, step): (u32, &Step), cause: &str) -> Result<()> {
        for agent in &step.agents {
            self.run_log.outcome((number, step), agent, Err(cause.to_owned()))?;
        }
        Ok(())
    }

    /// Tells everybody that it is over, and waits for them to leave first: closing while their
    /// heartbeats are unread would reset the connection and with it the last message.
    fn dismiss(&mut self) {
        for agent in &self.agents.0 {
            // One that is gone need not hear it.
            let _ = agent.send(&FromCoordinator::Done);
        }
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while self.agents.any_joined() && Instant::now() < deadline {
            let none = crossbeam_channel::never();
            if let AgentEvent::Lost(number, _) = self.agents.next(&none, None, deadline) {
                self.agents.0[number].connection = ConnectionState::Gone("it has left".into());
            }
        }
    }
}

fn ended_by(kind: Kind) -> String {
    let name = if kind == Kind::Terminated { "SIGTERM" } else { "SIGINT" };
    format!("the coordinator was ended by {name}")
}
