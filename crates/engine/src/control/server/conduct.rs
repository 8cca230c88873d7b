//! The server's side of a run under way: does what the client says, reads at every interval, and
//! tells at once what goes wrong.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};

use super::entrance::Entrance;
use super::reception::Guest;
use crate::control::link::Link;
use crate::control::message::{Edge, FromClient, FromServer};
use crate::control::session::State;
use crate::control::{DRAIN, EDGE};
use crate::engine::Engine;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::{Plan, StopCondition};
use podperf_model::reading::Reading;

/// What a run may take beyond what its plan says: start, edges, drain.
const GRACE: Duration = Duration::from_secs(30);

/// Serves a prepared run to its report.
pub(super) fn conduct(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    guest: &Guest<'_>,
    engine: Engine,
    entrance: Entrance<'_>,
) -> Result<()> {
    let plan = engine.plan().clone();
    let deadline = Instant::now() + longest(&plan, guest.options.limits.duration);
    let counted = !matches!(plan.stop_condition, StopCondition::Time { .. });
    let mut visit = ServerRun {
        link,
        engine,
        plan,
        state: State::Ready,
        entrance,
        counted,
        next: None,
        opened: None,
        closed: false,
    };
    let end = loop {
        select! {
            recv(incoming) -> message => match message {
                Ok(Ok(message)) => match visit.hear(&message) {
                    Ok(true) => break Ok(()),
                    Ok(false) => {}
                    Err(error) => break Err(error),
                },
                Ok(Err(error)) => break Err(error),
                Err(_) => break Err(Error::new(Kind::Incomplete, "serve", "the client left")),
            },
            recv(visit.engine.events()) -> ended => {
                if let Ok(ended) = ended
                    && let Err(error) = visit.flow_ended(ended)
                {
                    break Err(error);
                }
            }
            recv(visit.next.map_or_else(never, at)) -> _ => {
                if let Err(error) = visit.tick() {
                    break Err(error);
                }
            }
            recv(guest.closed) -> _ => {
                break Err(Error::new(Kind::Incomplete, "serve", "the server is ending"));
            }
            recv(at(deadline)) -> _ => {
                let cause = "the run outlasted its plan and the server's cap";
                break Err(Error::new(Kind::Incomplete, "serve", cause));
            }
        }
    };
    if end.is_err() {
        visit.engine.stop(Duration::ZERO);
        return end;
    }
    let report = visit.engine.stop(DRAIN);
    let received: u64 = report.flows.iter().map(|flow| flow.bytes_received).sum();
    let sent: u64 = report.flows.iter().map(|flow| flow.bytes_sent).sum();
    (guest.log)(&format!(
        "{}: done, {} MiB received, {} MiB sent",
        guest.peer,
        received >> 20,
        sent >> 20
    ));
    link.send(&FromServer::Report(Box::new(report)))
}

/// What the run may take at the most.
fn longest(plan: &Plan, cap: Duration) -> Duration {
    match plan.stop_condition {
        StopCondition::Time { window } => plan.warm_up + window + GRACE,
        StopCondition::Bytes { .. } | StopCondition::Transactions { .. } => cap,
    }
}

/// One client's run.
struct ServerRun<'a> {
    link: &'a Link,
    engine: Engine,
    plan: Plan,
    state: State,
    entrance: Entrance<'a>,
    counted: bool,
    /// When the next reading is due.
    next: Option<Instant>,
    opened: Option<Instant>,
    closed: bool,
}

impl ServerRun<'_> {
    /// Does what the client says. True: the run is over.
    fn hear(&mut self, message: &FromClient) -> Result<bool> {
        self.state = self.state.after(message, false, self.counted)?;
        match message {
            FromClient::Start => {
                self.entrance.close();
                if let Some(reading) = self.engine.start() {
                    self.opened(reading)?;
                }
            }
            FromClient::Open => {
                let reading = self.engine.open_window();
                self.opened(reading)?;
            }
            FromClient::Close => self.close()?,
            FromClient::Stop => return Ok(true),
            FromClient::Hello(_)
            | FromClient::Prove { .. }
            | FromClient::Prepare { .. }
            | FromClient::Heartbeat => {}
        }
        Ok(false)
    }

    fn opened(&mut self, reading: Reading) -> Result<()> {
        let now = Instant::now();
        self.opened = Some(now);
        self.next = Some(now + self.plan.interval);
        self.tell(Edge::Open, reading)
    }

    /// Takes an intermediate reading, unless the closing one is about to come.
    fn tick(&mut self) -> Result<()> {
        let (Some(due), Some(opened)) = (self.next, self.opened) else { return Ok(()) };
        if let StopCondition::Time { window } = self.plan.stop_condition
            && due + EDGE > opened + window
        {
            self.next = None;
            return Ok(());
        }
        self.next = Some(due + self.plan.interval);
        let reading = self.engine.read_counters();
        self.tell(Edge::Interval, reading)
    }

    fn close(&mut self) -> Result<()> {
        self.next = None;
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let reading = self.engine.close_window();
        self.tell(Edge::Close, reading)
    }

    fn tell(&self, edge: Edge, reading: Reading) -> Result<()> {
        self.link.send(&FromServer::Reading { edge, reading: Box::new(reading) })
    }

    /// Tells the client of a flow that ended by itself; where the run ends by a count, the last one
    /// closes the window.
    fn flow_ended(&mut self, ended: crate::workload::FlowEnded) -> Result<()> {
        let flow = ended.flow;
        let error = self.engine.note(ended);
        self.link.send(&FromServer::FlowEnded { flow, error })?;
        if self.counted && self.engine.all_ended() && self.opened.is_some() {
            self.close()?;
        }
        Ok(())
    }
}
