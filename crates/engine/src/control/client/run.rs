//! Drives a prepared run: start, warm-up, window, close, stop, report.
//!
//! Whatever breaks it off, the rest is still done as far as it can be: the window is closed at
//! once, both ends are stopped, and what was measured comes home.

use std::time::{Duration, Instant};

use crossbeam_channel::{at, never, select};

use super::cancellation::Cancellation;
use super::claims::{self, MAX_ERRORS};
use super::server_peer::ServerPeer;
use super::{Hooks, opened_run};
use crate::control::message::{Edge, FromClient, FromServer};
use crate::control::timing::{DRAIN_TIMEOUT, MIN_LAST_INTERVAL};
use crate::engine::{DrainWatch, Engine, MAX_DRAIN, StandstillWatch};
use podperf_model::error::{Code, Error, Kind};
use podperf_model::plan::{Plan, StopCondition};
use podperf_model::reading::Reading;
use podperf_model::result::end_result::{EndFacts, EndResult};
use podperf_model::result::intervals::interval;
use podperf_model::result::merge::Input;
use podperf_model::result::run::Interval;

/// Readings kept of one run on one end.
const MAX_READINGS: usize = 100_000;

/// Drives a run whose ends stand at the gate, the server's with `facts`; `input` gets what comes of
/// it.
pub(super) fn drive(
    peer: ServerPeer<'_>,
    engine: Engine,
    facts: EndFacts,
    hooks: Hooks<'_>,
    input: &mut Input,
) {
    let Hooks { watch, opened, .. } = hooks;
    let plan = engine.plan().clone();
    let stall = StandstillWatch::new(engine.stall_timeout());
    let client = EndResult { facts: engine.facts().clone(), readings: Vec::new(), report: None };
    let mut run = ClientRun {
        counted: !matches!(plan.stop_condition, StopCondition::Time { .. }),
        plan,
        peer,
        engine,
        client,
        server: EndResult { facts, readings: Vec::new(), report: None },
        watch,
        errors: Vec::new(),
        broken: false,
        closed: false,
        stopping: false,
        server_closed: false,
        server_lost: false,
        server_reading_bytes: 0,
        shown: 0,
        stall,
        report_due: Instant::now(),
    };
    let begun = Instant::now();
    run.send(&FromClient::Start);
    run.client.readings.extend(run.engine.start());
    let mut open = |run: &ClientRun<'_>, input: &mut Input| {
        input.opened_at = Some(jiff::Timestamp::now().to_string());
        opened(&opened_run(input, &run.plan, &run.client.facts));
    };
    if let StopCondition::Time { window } = run.plan.stop_condition {
        run.until(begun + run.plan.warm_up, |run| run.broken);
        if !run.broken {
            input.warm_up_seconds = begun.elapsed().as_secs_f64();
            run.send(&FromClient::Open);
            run.client.readings.push(run.engine.open_window());
            open(&run, input);
            run.window(Some(window));
        }
    } else {
        open(&run, input);
        run.window(None);
    }
    run.close();
    run.finish(input);
}

/// A run under way.
struct ClientRun<'a> {
    plan: Plan,
    /// It ends by a count.
    counted: bool,
    peer: ServerPeer<'a>,
    engine: Engine,
    client: EndResult,
    server: EndResult,
    watch: &'a mut dyn FnMut(&Interval),
    errors: Vec<Error>,
    /// Something went wrong: wind up.
    broken: bool,
    /// This end has read its counters at the window's end.
    closed: bool,
    /// Both ends have been told to stop: streams end.
    stopping: bool,
    server_closed: bool,
    server_lost: bool,
    /// What the server's readings hold.
    server_reading_bytes: usize,
    shown: usize,
    stall: StandstillWatch,
    /// By when the server has to have reported, once it was told to stop.
    report_due: Instant,
}

impl ClientRun<'_> {
    /// Takes readings until the window's time is up, or until every flow is done.
    fn window(&mut self, length: Option<Duration>) {
        let opened = Instant::now();
        let end = length.map(|length| opened + length);
        let interval = self.plan.time_to_reading();
        let mut tick = opened + interval;
        loop {
            let last = end.is_some_and(|end| tick + MIN_LAST_INTERVAL > end);
            let until = if last { end.unwrap_or(tick) } else { tick };
            self.until(until, |run| run.broken || run.counted_out());
            if self.broken || last || self.counted_out() {
                return;
            }
            // A run by count has no planned length, so its readings have a cap of their own.
            if self.client.readings.len() < MAX_READINGS && !self.closed {
                self.client.readings.push(self.engine.read_counters());
                self.show();
            }
            tick += interval;
        }
    }

    /// A run by count: both ends have seen all their flows end. Where connections do not last,
    /// only the client knows.
    fn counted_out(&self) -> bool {
        self.counted
            && self.engine.all_ended()
            && (self.server_closed || self.plan.lasting_connections() == 0)
    }

    fn close(&mut self) {
        if self.client.readings.is_empty() {
            return;
        }
        if !self.server_closed {
            self.send(&FromClient::Close);
        }
        self.close_own();
        // Flows go on until the server has read its counters too.
        let until = Instant::now() + self.peer.peer_timeout;
        self.until(until, |run| run.server_lost || run.server_closed);
        self.show();
    }

    /// Reads this end's counters at the window's end.
    fn close_own(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.client.readings.push(self.engine.close_window());
        }
    }

    /// In a run by count, ends this end's window with its last payload. What a stream has sent is
    /// not there yet: its window lasts until the other end has it.
    fn close_counted(&mut self) {
        let workload = &self.plan.workload;
        let alone = self.plan.load().is_none() && (workload.is_udp() || workload.transacts());
        if self.counted && alone && self.engine.all_ended() {
            self.close_own();
        }
    }

    fn finish(mut self, input: &mut Input) {
        self.stopping = true;
        self.report_is_due();
        if self.plan.lasting_connections() == 0 {
            // The server goes on taking connections until the last transaction is over.
            self.drain();
            self.send(&FromClient::Stop);
        } else {
            self.send(&FromClient::Stop);
            self.drain();
        }
        self.client.report = Some(self.engine.stop(Duration::ZERO));
        self.report_is_due();
        let most = Instant::now() + MAX_DRAIN + self.peer.peer_timeout;
        while !self.server_lost && self.server.report.is_none() {
            let until = self.report_due.min(most);
            if Instant::now() >= until {
                break;
            }
            self.event(until);
        }
        if self.server.report.is_none() && !self.server_lost {
            let cause = "no report in time";
            let error =
                Error::new(Kind::Incomplete, "read the report of", cause).with_code(Code::Timeout);
            self.fail(error.with_peer(self.peer.address));
        }
        input.plan = self.plan;
        input.client = Some(self.client);
        input.server = Some(self.server);
        input.errors = self.errors;
    }

    /// Lets what is under way come to its end. A run that broke off has a moment for it; one that
    /// went well as long as it moves, here or, as the server says, there.
    fn drain(&mut self) {
        let most = match (self.server_lost, self.broken) {
            (true, _) => return,
            (_, true) => DRAIN_TIMEOUT,
            _ => MAX_DRAIN,
        };
        self.engine.wind_down();
        let (mut drain, errors) = (DrainWatch::new(&self.engine, most), self.errors.len());
        while drain.goes_on(&self.engine) && self.errors.len() == errors {
            let told = self.report_due;
            self.event(drain.due());
            if self.report_due != told {
                drain.note_progress();
            }
        }
    }

    /// The server has been told to stop, or says that it still drains: its report comes later.
    fn report_is_due(&mut self) {
        self.report_due = Instant::now() + DRAIN_TIMEOUT + self.peer.peer_timeout;
    }

    fn send(&mut self, message: &FromClient) {
        if self.server_lost {
            return;
        }
        if let Err(error) = self.peer.link.send(message) {
            self.lose(error);
        }
    }

    /// Handles events until `until`, or until the run is `over`.
    fn until(&mut self, until: Instant, over: fn(&Self) -> bool) {
        while !over(self) && Instant::now() < until {
            self.event(until);
        }
    }

    /// Handles one event, or returns at `until`.
    fn event(&mut self, until: Instant) {
        let Cancellation { stop, limit } = self.peer.cancellation;
        let over = limit.filter(|_| !self.broken).map_or_else(never, at);
        let signal = if self.broken { &never() } else { stop };
        select! {
            recv(self.peer.incoming) -> message => match message {
                Ok(Ok(message)) => self.handle(message),
                // Behind its last message the server may close.
                Ok(Err(_)) if self.server.report.is_some() => self.server_lost = true,
                Ok(Err(error)) => self.lose(error),
                Err(_) => self.server_lost = true,
            },
            recv(self.engine.events()) -> ended => {
                let failure = ended.ok().and_then(|ended| self.engine.note(ended));
                match failure {
                    Some(error) => self.fail(error),
                    None => self.close_counted(),
                }
            }
            recv(signal) -> kind => {
                let kind = kind.unwrap_or(Kind::Interrupted);
                let name = if kind == Kind::Terminated { "SIGTERM or SIGHUP" } else { "SIGINT" };
                self.fail(Error::new(kind, "measure", format!("ended by {name}")));
            }
            recv(over) -> _ => {
                let error = Error::new(Kind::Deadline, "measure", "the deadline has passed");
                self.fail(error.with_remedy("raise --deadline, or ask for less"));
            }
            recv(self.stall_due().map_or_else(never, at)) -> _ => {
                if self.stall.is_stalled(&self.engine) {
                    self.fail(self.stalled());
                }
            }
            recv(at(until)) -> _ => {}
        }
    }

    /// When to look the next time whether anything moves: until the run winds up.
    fn stall_due(&self) -> Option<Instant> {
        (!self.broken && !self.stopping).then(|| self.stall.due())
    }

    fn stalled(&self) -> Error {
        let seconds = self.engine.stall_timeout().as_secs_f64();
        let cause = format!("nothing moved for {seconds:.1} s, so the run was ended");
        Error::new(Kind::Incomplete, "measure with", cause)
            .with_code(Code::Stalled)
            .with_peer(self.peer.address)
            .with_remedy("look for what drops packets on the path, or raise --stall-timeout")
    }

    fn handle(&mut self, message: FromServer) {
        match message {
            FromServer::Reading { edge, reading } => self.server_reading(edge, *reading),
            FromServer::FlowEnded { flow, error } => {
                self.server_flow_ended(flow, error.map(claims::shortened));
            }
            FromServer::Report(report) => match claims::check_report(&self.plan, *report) {
                Ok(report) => {
                    self.server_closed = true;
                    self.server.report = Some(report);
                }
                Err(cause) => self.lose(self.peer.broke_protocol(cause)),
            },
            FromServer::Refused(error) => {
                self.lose(claims::shortened(error).with_peer(self.peer.address));
            }
            FromServer::Draining => self.report_is_due(),
            FromServer::Heartbeat => {}
            // All others come before the start alone.
            _ => self.lose(self.peer.broke_protocol("it did not")),
        }
    }

    /// Keeps a reading of the server, if it can be one of this run. Of more than there is memory
    /// for, that of the window's end is kept alone.
    fn server_reading(&mut self, edge: Edge, reading: Reading) {
        if self.server_closed {
            return self.lose(self.peer.broke_protocol("a reading after that of the window's end"));
        }
        if let Err(cause) = claims::check_reading(&self.plan, &reading) {
            return self.lose(self.peer.broke_protocol(cause));
        }
        let kept = (self.server.readings.len(), self.server_reading_bytes);
        let has_room =
            kept.0 < MAX_READINGS && claims::has_room(&reading, kept, &self.client.readings);
        if has_room || edge == Edge::Close {
            self.server_reading_bytes += claims::held_bytes(&reading);
            self.server.readings.push(reading);
        }
        self.server_closed |= edge == Edge::Close;
        self.show();
    }

    /// A flow came to its end at the server. Before the stop that is an error, unless the run ends
    /// by a count.
    fn server_flow_ended(&mut self, flow: u32, error: Option<Error>) {
        let peer = self.peer.address;
        if self.stopping && self.server_closed {
            // The window was measured; that the stream was cut off behind it shows in its counts.
            return;
        }
        if let Some(error) = error {
            self.fail(Error {
                operation: format!("{} (seen by the server {peer})", error.operation),
                ..error
            });
        } else if !self.counted && !self.broken && !self.stopping {
            let cause = "the stream ended before the run did";
            let error = Error::new(Kind::Incomplete, "receive at", cause)
                .with_code(Code::ConnectionLost)
                .with_peer(peer)
                .with_stream(flow);
            self.fail(error);
        }
    }

    fn fail(&mut self, mut error: Error) {
        self.broken = true;
        if error.at_seconds.is_none() {
            error.at_seconds = self.engine.window_seconds();
        }
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    fn lose(&mut self, error: Error) {
        if !self.server_lost {
            self.server_lost = true;
            self.fail(error);
        }
    }

    /// Shows each interval once both ends have read its end.
    fn show(&mut self) {
        fn pair(readings: &[Reading], number: usize) -> Option<(&Reading, &Reading)> {
            Some((readings.get(number)?, readings.get(number + 1)?))
        }
        loop {
            let client = pair(&self.client.readings, self.shown);
            let server = pair(&self.server.readings, self.shown);
            if client.is_none() || (server.is_none() && !self.server_lost) {
                return;
            }
            let opened = self.client.readings[0].at_ns;
            let whole = interval(&self.plan, client, server, opened);
            (self.watch)(&whole);
            self.shown += 1;
        }
    }
}
