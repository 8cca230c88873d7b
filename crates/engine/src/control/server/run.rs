//! Serves a run under way: does what the client says, takes a reading at every interval, and tells
//! at once what goes wrong.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select, tick};
use jiff::Timestamp;

use super::PortContext;
use super::data_channel::DataChannel;
use super::overlap::{Overlap, RunningSession};
use crate::control::link::Link;
use crate::control::message::{Edge, FromClient, FromServer};
use crate::control::session::State;
use crate::control::timing::{MAX_STALL, MIN_LAST_INTERVAL, STALL_MARGIN};
use crate::engine::{DrainWatch, Engine, MAX_DRAIN, StandstillWatch};
use crate::policy::RunMeter;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{Plan, StopCondition};
use podperf_model::reading::Reading;
use podperf_model::result::end_result::EndReport;

/// What a step of a run may take beyond what its plan says.
const MAX_OVERTIME: Duration = Duration::from_secs(30);
/// For a client to end a run that is beyond a limit of the policy.
const MAX_TIME_OVER_LIMIT: Duration = Duration::from_secs(2);
/// For a client to end its streams when it has been told that the server is ending.
const BREAK_OFF_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two messages of a drain that goes on.
const DRAIN_INTERVAL: Duration = Duration::from_secs(1);

/// Serves a prepared run until its client ends it; returns how it ended, and what its workers bring
/// in any case.
pub(super) fn serve_run(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    context: &PortContext<'_>,
    (engine, channel): (&mut Engine, &mut DataChannel),
    meter: Option<RunMeter>,
    tells_drain: bool,
) -> (Result<()>, EndReport) {
    let plan = engine.plan().clone();
    let start_timeout = context.options.start_timeout;
    let counted = !matches!(plan.stop_condition, StopCondition::Time { .. });
    let engine_stall = engine.stall_timeout();
    let mut run = ServerRun {
        link,
        engine,
        plan,
        state: State::Ready,
        deadline: Instant::now() + start_timeout,
        start_timeout,
        channel,
        counted,
        max_duration: meter
            .as_ref()
            .and_then(RunMeter::max_time)
            .unwrap_or(context.options.limits.duration),
        meter,
        // It is the client's part to end it first.
        stall: StandstillWatch::new(engine_stall.min(MAX_STALL) + STALL_MARGIN),
        over: None,
        next: None,
        opened: None,
        closed: false,
        overlap: &context.overlap,
        session: None,
    };
    let ended = run.until_stopped(incoming, &context.closed);
    let ended = match ended {
        Ok(RunEnd::Closed) => Err(run.break_off(incoming)),
        ended => ended,
    };
    if ended.is_ok() {
        run.drain(&context.closed, tells_drain);
    }
    let mut report = run.engine.stop(Duration::ZERO);
    report.other_sessions = run.session.as_ref().map(RunningSession::others);
    if let Some(meter) = &mut run.meter {
        // What has moved since the last look.
        let [sent, received, _] = run.engine.progress();
        meter.look([sent, received], Timestamp::now(), Instant::now());
    }
    (ended.map(|_| ()), report)
}

/// What a run ended with.
enum RunEnd {
    /// Its client.
    Stopped,
    /// The server.
    Closed,
}

/// One client's run.
struct ServerRun<'a> {
    link: &'a Link,
    engine: &'a mut Engine,
    plan: Plan,
    state: State,
    /// By when the client has to go on to the next step.
    deadline: Instant,
    /// From ready to the client's start.
    start_timeout: Duration,
    channel: &'a mut DataChannel,
    counted: bool,
    /// Holds the run to the policy.
    meter: Option<RunMeter>,
    /// Of a run by count, which has no planned length.
    max_duration: Duration,
    /// Sees that it stands still.
    stall: StandstillWatch,
    /// The limit of the policy that it is beyond.
    over: Option<Error>,
    /// The time that the next reading is due.
    next: Option<Instant>,
    opened: Option<Instant>,
    closed: bool,
    overlap: &'a Overlap,
    /// From its start on.
    session: Option<RunningSession<'a>>,
}

impl ServerRun<'_> {
    /// Handles what comes until the client says that the run is over, or the server is `closed`.
    fn until_stopped(
        &mut self,
        incoming: &Receiver<Result<FromClient>>,
        closed: &Receiver<()>,
    ) -> Result<RunEnd> {
        let look = self.meter.as_ref().map_or_else(never, |_| tick(RunMeter::INTERVAL));
        while self.state != State::Stopped {
            select! {
                recv(incoming) -> message => match message {
                    Ok(message) => self.handle(&message?)?,
                    Err(_) => {
                        let left = Error::new(Kind::Incomplete, "serve", "the client left");
                        return Err(left.with_code(Code::ConnectionLost));
                    }
                },
                recv(self.engine.events()) -> ended => {
                    if let Ok(ended) = ended {
                        self.flow_ended(ended)?;
                    }
                }
                recv(self.next.map_or_else(never, at)) -> _ => self.tick()?,
                recv(look) -> _ => self.hold_to_policy()?,
                recv(at(self.stall.due())) -> _ => self.look_for_stall()?,
                recv(closed) -> _ => return Ok(RunEnd::Closed),
                recv(at(self.deadline)) -> _ => return Err(self.late()),
            }
        }
        Ok(RunEnd::Stopped)
    }

    /// Ends a run that stands still and whose client does not end it.
    fn look_for_stall(&mut self) -> Result<()> {
        let begun = !matches!(self.state, State::Preparing | State::Ready);
        let stalled = self.stall.is_stalled(self.engine);
        if !begun {
            self.stall.note_progress();
        }
        if !stalled || !begun {
            return Ok(());
        }
        let stalled = Error::new(Kind::Incomplete, "serve", "nothing moved for too long");
        Err(self.engine.at_time(stalled.with_code(Code::Stalled)))
    }

    /// Lets what is under way come to its end, as long as it moves and the server is not closed.
    fn drain(&mut self, closed: &Receiver<()>, tells: bool) {
        self.engine.wind_down();
        let mut drain = DrainWatch::new(self.engine, MAX_DRAIN);
        let mut due = Instant::now() + DRAIN_INTERVAL;
        while drain.goes_on(self.engine) {
            select! {
                recv(closed) -> _ => return,
                recv(at(drain.due())) -> _ => {}
            }
            if tells && Instant::now() >= due && drain.moves() {
                due = Instant::now() + DRAIN_INTERVAL;
                // A client that is gone does not hear it, and its streams end.
                let _ = self.link.send(&FromServer::Draining);
            }
        }
    }

    /// Ends a run whose server is ending: tells the client why, and beforehand what was counted, so
    /// that it has all that was measured. Streams go on until the client has ended them, for a
    /// short time: it is to see the reason before it sees them break.
    fn break_off(&mut self, incoming: &Receiver<Result<FromClient>>) -> Error {
        let ending = Error::new(Kind::Incomplete, "serve", "the server is ending")
            .with_code(Code::Signal)
            .with_remedy("measure again when it is there again, or give it more time by --drain");
        if self.state == State::Window {
            // A client that is gone hears neither; the log has it.
            let _ = self.close();
        }
        let _ = self.link.send(&FromServer::Refused(ending.clone()));
        let deadline = Instant::now() + BREAK_OFF_TIMEOUT;
        while Instant::now() < deadline && matches!(incoming.recv_deadline(deadline), Ok(Ok(_))) {}
        ending
    }

    /// Counts what has moved. Beyond a limit the client is told which, and has a moment to end the
    /// run as it would at its end, so that what was measured comes home; then it is cut off.
    fn hold_to_policy(&mut self) -> Result<()> {
        let Some(meter) = &mut self.meter else { return Ok(()) };
        let [sent, received, _] = self.engine.progress();
        let over = meter.look([sent, received], Timestamp::now(), Instant::now());
        let Some(refusal) = over.filter(|_| self.over.is_none()) else { return Ok(()) };
        let error = refusal.into_error(Kind::Incomplete, "go on with the run");
        let error = self.engine.at_time(error);
        self.link.send(&FromServer::FlowEnded { flow: 0, error: Some(error.clone()) })?;
        self.deadline = self.deadline.min(Instant::now() + MAX_TIME_OVER_LIMIT);
        self.over = Some(error);
        Ok(())
    }

    /// Says which step the client did not take in time.
    fn late(&self) -> Error {
        let late =
            |cause: &str| Error::new(Kind::Incomplete, "serve", cause).with_code(Code::Timeout);
        if let Some(error) = &self.over {
            return error.clone();
        }
        if self.state != State::Ready {
            return late("the run outlasted its plan and the server's cap")
                .with_remedy("ask for less, or raise --max-time there");
        }
        let seconds = self.start_timeout.as_secs_f64();
        late(&format!("the run was ready and not started within {seconds:.1} s"))
            .with_remedy("start it as soon as it is ready, or raise --start-timeout there")
    }

    /// Computes by when the step after this one has to come.
    fn next_deadline(&self) -> Instant {
        let planned = match (self.state, self.plan.stop_condition) {
            (State::Running, _) => self.plan.warm_up,
            (State::Window, StopCondition::Time { window }) => window,
            (State::Window, _) => self.max_duration,
            _ => Duration::ZERO,
        };
        Instant::now() + planned + MAX_OVERTIME
    }

    /// Does what the client says.
    fn handle(&mut self, message: &FromClient) -> Result<()> {
        let state = self.state.after(message, false, self.counted)?;
        if std::mem::replace(&mut self.state, state) != state {
            let next = self.next_deadline();
            self.deadline = if self.over.is_some() { next.min(self.deadline) } else { next };
        }
        match message {
            FromClient::Start => {
                self.channel.close();
                self.session = Some(self.overlap.begin());
                self.engine.start().map_or(Ok(()), |reading| self.opened(reading))
            }
            FromClient::Open => {
                let reading = self.engine.open_window();
                self.opened(reading)
            }
            FromClient::Close => self.close(),
            FromClient::Stop
            | FromClient::Hello(_)
            | FromClient::Prove { .. }
            | FromClient::Prepare { .. }
            | FromClient::Heartbeat => Ok(()),
        }
    }

    fn opened(&mut self, reading: Reading) -> Result<()> {
        let now = Instant::now();
        self.opened = Some(now);
        self.next = Some(now + self.plan.time_to_reading());
        self.send(Edge::Open, reading)
    }

    /// Takes an intermediate reading, unless the closing one is about to come.
    fn tick(&mut self) -> Result<()> {
        let (Some(due), Some(opened)) = (self.next, self.opened) else { return Ok(()) };
        if let StopCondition::Time { window } = self.plan.stop_condition
            && due + MIN_LAST_INTERVAL > opened + window
        {
            self.next = None;
            return Ok(());
        }
        self.next = Some(due + self.plan.time_to_reading());
        let reading = self.engine.read_counters();
        self.send(Edge::Interval, reading)
    }

    fn close(&mut self) -> Result<()> {
        self.next = None;
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let reading = self.engine.close_window();
        self.send(Edge::Close, reading)
    }

    fn send(&self, edge: Edge, reading: Reading) -> Result<()> {
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
