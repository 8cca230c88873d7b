//! `podperf coordinate`: has agents carry out a schedule, and logs what they bring.
//!
//! Enters: a schedule, and agents that join. Leaves: records on standard output, in the
//! schedule's order; for every agent of every step either its result or why there is none. While
//! a step runs it sleeps, but for a heartbeat every two seconds.

mod agents;
mod join_request;
mod run_log;
mod step;

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::control::framing;
use crate::control::link::Link;
use crate::control::pending_client::ServerIdentity;
use crate::control::pending_request::PendingRequest;
use crate::coordination::message::{COORDINATES, FromAgent, FromCoordinator, JOIN_TIMEOUT, Probed};
use crate::net::{Acceptor, ListeningPort, Log, PendingLimits, listen, wildcard};
use crate::policy::Token;
use crate::transport::socket::plain;
use agents::{AgentEvent, AgentState, Agents, ConnectionState};
use join_request::JoinRequest;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::Expect;
use podperf_model::run_log::LogRecord;
use podperf_model::schedule::{Schedule, Step};
use run_log::{HEARTBEAT_INTERVAL, RunLog, StepStatus, short};

/// Between two looks at who says more, while agents join and nothing happens.
const JOIN_POLL_INTERVAL: Duration = Duration::from_millis(10);
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
    let port = listen(asked, false)?;
    let address = port.local_addr().during("look up the listening port")?;
    log(&format!("coordinating on {address}, podperf {}", env!("CARGO_PKG_VERSION")));
    if options.token.is_none() && !address.ip().is_loopback() {
        log("warning: anybody who reaches this port can take part; \
             set a token with --token-file or PODPERF_TOKEN");
    }
    let agents = Agents::expect(&options.schedule.agents);
    let steps = u32::try_from(options.schedule.steps.len()).unwrap_or(u32::MAX);
    let run_log = RunLog::open(output, steps)?;
    let heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
    Coordinator { options, agents, run_log, log, stop, heartbeat_due }.carry_out(port)
}

/// A schedule under way.
struct Coordinator<'a> {
    options: &'a CoordinateOptions,
    agents: Agents,
    run_log: RunLog<'a>,
    log: Log<'a>,
    stop: &'a Receiver<Kind>,
    /// The time that the next heartbeat is due.
    heartbeat_due: Instant,
}

impl Coordinator<'_> {
    fn carry_out(mut self, port: ListeningPort) -> Result<u8> {
        let mut signal = self.let_agents_join(&port)?;
        // Nobody else is waited for, and connections are not to cost anything while a step runs.
        drop(port);
        if signal.is_none() {
            self.give_up_awaited()?;
        }
        let all_joined = self.agents.0.iter().all(|agent| agent.absence("").is_none());
        let none_joined = !self.agents.any_joined();
        for (number, step) in (1..).zip(&self.options.schedule.steps) {
            match signal {
                None => signal = self.step(number, step)?,
                Some(kind) => {
                    self.leave_out((number, step), vec![ended_by(kind); step.agents.len()])?;
                }
            }
        }
        let status = self.run_log.exit_status();
        let (cause, status) = match signal {
            Some(kind) => (Some(ended_by(kind)), kind.exit_status()),
            None if none_joined => {
                let seconds = self.options.schedule.join_seconds;
                let cause = format!("no agent joined within {seconds} s");
                (Some(cause), Kind::Unmeasured.exit_status())
            }
            None => {
                let cause = (!self.agents.any_joined()).then(|| "no agent is left".to_owned());
                // A schedule may consist of probes alone.
                let lacking = status == 0 && !all_joined;
                (cause, if lacking { Kind::Incomplete.exit_status() } else { status })
            }
        };
        self.run_log.finish(cause)?;
        self.dismiss();
        Ok(status)
    }

    /// Waits until all agents have joined and probed, or their time is up. The signal that ended
    /// it, if one did.
    fn let_agents_join(&mut self, port: &ListeningPort) -> Result<Option<Kind>> {
        let mut identity = ServerIdentity::new(self.options.token.as_ref(), None);
        identity.feature = Some(COORDINATES);
        let open = |stream| Ok(PendingRequest::<JoinRequest>::new(stream, &identity));
        let mut acceptor = Acceptor::new(port, PendingLimits::of_this_process(), &open, self.log);
        let limit = Duration::from_secs(self.options.schedule.join_seconds.into());
        let deadline = Instant::now() + limit;
        // What is there already is not waited for.
        let mut wait = Duration::ZERO;
        while self.agents.0.iter().any(AgentState::is_awaited) && Instant::now() < deadline {
            for accepted in acceptor.poll(None, wait)? {
                // One that is gone takes no part.
                if let Ok(stream) = accepted.connection.into_stream() {
                    self.admit(accepted.message.0, stream, &plain(accepted.peer))?;
                }
            }
            wait = Duration::ZERO;
            match self.event(Instant::now(), None)? {
                AgentEvent::Signal(kind) => return Ok(Some(kind)),
                AgentEvent::Time => wait = JOIN_POLL_INTERVAL,
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
        Ok(None)
    }

    /// Leaves out the agents that have not joined or probed in time.
    fn give_up_awaited(&mut self) -> Result<()> {
        let seconds = self.options.schedule.join_seconds;
        for number in 0..self.agents.0.len() {
            let agent = &mut self.agents.0[number];
            match agent.connection {
                ConnectionState::Expected => {
                    let cause = format!("did not join within {seconds} s");
                    (self.log)(&format!("{}: {cause}", agent.name));
                    agent.connection = ConnectionState::Gone(cause);
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
        Ok(())
    }

    /// Lets an agent in, once, if it is expected.
    fn admit(&mut self, agent: String, stream: TcpStream, peer: &str) -> Result<()> {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        let number = match self.agents.awaited(&agent) {
            Ok(number) => number,
            Err(cause) => {
                (self.log)(&format!("{peer}: refused as '{}': {cause}", short(&agent)));
                let error =
                    Error::new(Kind::Unmeasured, "take part", cause).with_code(Code::Refused);
                // One that has left does not hear it; the log has it.
                let _ = framing::write(&stream, &FromCoordinator::Refused(error), deadline);
                return Ok(());
            }
        };
        let welcomed = framing::write(&stream, &FromCoordinator::Welcome, deadline)
            .during("welcome")
            .and_then(|()| {
                let name = format!("{agent} ({peer})");
                Link::start::<FromAgent, FromCoordinator>(stream, &name, self.options.peer_timeout)
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
                let text = format!("its path {path} to {address} cannot be measured: {why}");
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
    fn event(&mut self, until: Instant, now: Option<&StepStatus>) -> Result<AgentEvent> {
        loop {
            if Instant::now() >= self.heartbeat_due {
                self.run_log.heartbeat(now)?;
                self.heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
            }
            let event = self.agents.next(self.stop, until.min(self.heartbeat_due));
            if !matches!(event, AgentEvent::Time) || Instant::now() >= until {
                return Ok(event);
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

    /// Logs a step that is not carried out, with the cause for each of its agents.
    fn leave_out(&mut self, (number, step): (u32, &Step), causes: Vec<String>) -> Result<()> {
        for (agent, cause) in step.agents.iter().zip(causes) {
            self.run_log.outcome((number, step), agent, Err(cause))?;
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
            if let AgentEvent::Lost(number, _) = self.agents.next(&none, deadline) {
                self.agents.0[number].connection = ConnectionState::Gone("it has left".into());
            }
        }
    }
}

fn ended_by(kind: Kind) -> String {
    let name = if kind == Kind::Terminated { "SIGTERM or SIGHUP" } else { "SIGINT" };
    format!("the coordinator was ended by {name}")
}
