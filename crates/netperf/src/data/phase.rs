//! Conducts one end's engine from the start to the totals.

use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};
use socket2::Socket;

use super::interim::{InterimCounts, InterimTimer};
use super::socket::granted;
use super::stall::{
    Moved, StallWatch, acknowledged, delivered, handed_over, queued, slow_transfer,
};
use super::{DataConnections, Job, PhaseControl, Totals, cpu, memory_needed, plan};
use crate::figures::EndCounters;
use crate::test_kind::{Protocol, TestDirection};
use podperf_engine::engine::{Engine, EngineSetup};
use podperf_engine::metrics::memory_limits::memory_budget;
use podperf_engine::metrics::roots::Roots;
use podperf_engine::workload::crr::ConnectionSource;
use podperf_model::error::{Code, During as _, Error, Kind, Result};
use podperf_model::facts::HostFacts;
use podperf_model::latency::Latencies;
use podperf_model::plan::Role;
use podperf_model::reading::Reading;
use podperf_model::result::allowed_cpus::AllowedCpusChange;
use podperf_model::result::end_result::{EndReport, FlowReport};
use podperf_model::result::run::SocketFacts;
use podperf_sys::tcp_info;

/// For what is under way when the time is over, streams to be read to their end and responses to
/// come, beyond what it takes over a slow link.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// After which it is given up where nothing moves any more.
pub const DRAIN_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The same where nothing ever arrived: TCP has sent its first bytes four times by then.
const UNREACHED_STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The same on a server whose client has said that the test is over.
const ENDED_STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// For datagrams and connections, where nothing is owed.
const UNACKNOWLEDGED_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// One end, ready to start.
#[derive(Debug)]
pub struct DataPhase {
    job: Job,
    engine: Engine,
    /// The data sockets once more, to be read when the engine has done with its own.
    sockets: Vec<Socket>,
}

impl DataPhase {
    /// Prepares the workers; nothing moves yet.
    ///
    /// # Errors
    /// When a worker cannot be prepared.
    pub fn prepare(job: Job, ends: DataConnections) -> Result<Self> {
        if job.role == Role::Client {
            // A server has reserved it.
            let remedy = "allow this process more memory";
            let needed = memory_needed(&job, None);
            memory_budget(&Roots::default()).check(needed, 0, remedy)?;
        }
        let (sockets, connection_source) = match ends {
            DataConnections::Connected(sockets) => (sockets, None),
            DataConnections::Dial(dial) => {
                let peer = dial.to;
                (Vec::new(), Some((ConnectionSource::Connect(dial), peer)))
            }
            DataConnections::Listen(listener, peer) => {
                (Vec::new(), Some((ConnectionSource::Listen(listener), peer)))
            }
        };
        let copies = sockets.iter().map(Socket::try_clone).collect::<std::io::Result<_>>();
        let copies = copies.during("keep hold of a data socket")?;
        let engine = Engine::prepare(EngineSetup {
            plan: plan::of(&job),
            role: job.role,
            granted: vec![SocketFacts::default(); sockets.len()],
            sockets,
            connection_source,
            host: HostFacts::default(),
            same_machine: true,
            compat: plan::compat(&job),
        })?;
        Ok(Self { job, engine, sockets: copies })
    }

    /// Runs it to its end.
    pub fn run(mut self, control: PhaseControl<'_>) -> Totals {
        let delivered_before = handed_over(&self.sockets);
        let before = self.engine.start().unwrap_or_default();
        let began = Instant::now();
        let mut run = PhaseState {
            timer: self.job.length.time().map(|time| began + time),
            limit: control.limit.map(|limit| began + limit),
            stall: StallWatch::new(control.stall_timeout, self.moved()),
            interim: control.interim.map(|(every, watch)| {
                InterimTimer::new(every, began, self.awaits_transactions(), watch)
            }),
            began,
            delivered_before,
            ended: None,
            is_told: false,
            late: None,
            ending: control.ending,
            totals: Totals::default(),
        };
        while !self.engine.all_ended() && self.step(&mut run, control.stop) {}
        self.finish(run, &before)
    }

    /// Waits for whatever comes first. False: it is broken off.
    fn step(&mut self, run: &mut PhaseState<'_>, stop: &Receiver<Kind>) -> bool {
        let next = |time: Option<Instant>| time.map_or_else(never, at);
        let tick = next(run.interim.as_ref().map(InterimTimer::due));
        let ending = run.ended.is_some();
        let (timer, late) = (next(run.timer.filter(|_| !ending)), next(run.late));
        let (limit, look) = (next(run.limit), at(run.stall.due()));
        let stop = if ending { &never() } else { stop };
        select! {
            recv(self.engine.events()) -> ended => {
                if let Ok(ended) = ended {
                    // Whatever part this end had, it is over: the peer waits for that.
                    if let Some(socket) = self.sockets.get(ended.flow as usize) && self.lasts() {
                        let _ = socket.shutdown(Shutdown::Write);
                    }
                    run.totals.errors.extend(self.engine.note(ended));
                    // Without one of its streams a test is not what was asked for.
                    return self.job.role == Role::Server || run.totals.errors.is_empty();
                }
            }
            recv(tick) -> _ => {
                let progress = self.progress(run.delivered_before);
                if let Some(interim) = &mut run.interim { interim.take(progress, Instant::now()) }
            }
            recv(look) -> _ => {
                if let Some(idle) = run.stall.look(self.moved()) {
                    // What its client does not want any more is not missed.
                    run.totals.stalled = Some(idle).filter(|_| !run.is_told);
                    return false;
                }
            }
            recv(timer) -> _ => self.end(run),
            recv(stop) -> kind => {
                let kind = kind.unwrap_or(Kind::Incomplete);
                run.totals.stopped = Some(kind);
                if kind == Kind::Incomplete {
                    return false;
                }
                run.is_told = self.job.role == Role::Server;
                self.end(run);
            }
            recv(late) -> _ => {
                // Datagrams have no end that anybody waits for.
                if self.owes() && !run.is_told {
                    let ended = run.ended.unwrap_or(run.began);
                    run.totals.errors.push(unfinished(ended.elapsed()));
                }
                return false;
            }
            recv(limit) -> _ => {
                run.totals.errors.push(unfinished(run.began.elapsed()));
                return false;
            }
        }
        true
    }

    /// The time is over. Of transactions and datagrams it is the end of the window.
    fn end(&mut self, run: &mut PhaseState<'_>) {
        let now = Instant::now();
        run.ended = Some(now);
        // What a server counts after its time counts for something all the same: for a policy.
        if let Some(interim) = run.interim.take_if(|_| self.job.role == Role::Client) {
            interim.last(self.progress(run.delivered_before), now);
        }
        run.totals.idle = self.idle(run);
        let drain = if self.owes() {
            let patience = self.drain_patience(run);
            run.stall = StallWatch::new(Some(patience), self.moved());
            DRAIN_TIMEOUT + slow_transfer(queued(&self.sockets))
        } else if self.lasts() && self.job.role == Role::Client {
            self.job.drain_timeout
        } else {
            UNACKNOWLEDGED_DRAIN_TIMEOUT
        };
        run.late = Some(now + drain);
        self.engine.wind_down();
        (run.ending)();
    }

    /// For how long nothing may move of what is owed.
    fn drain_patience(&self, run: &PhaseState<'_>) -> Duration {
        let [_, received, _] = self.engine.progress();
        if run.is_told {
            ENDED_STALL_TIMEOUT
        } else if received == 0 && acknowledged(&self.sockets) <= run.delivered_before {
            self.job.drain_timeout.min(UNREACHED_STALL_TIMEOUT)
        } else {
            self.job.drain_timeout
        }
    }

    /// For how long nothing had moved, as far as that was looked at.
    fn idle(&self, run: &mut PhaseState<'_>) -> Duration {
        run.stall.look(self.moved());
        run.stall.idle()
    }

    fn moved(&self) -> Moved {
        Moved::of(self.engine.progress(), &self.sockets, &self.job)
    }

    /// What an interim result is of. Of a stream that is sent, it is what the peer's kernel has:
    /// a send buffer takes megabytes at once, and then nothing for as long as they are on the way.
    fn progress(&self, delivered_before: u64) -> InterimCounts {
        let [sent, received, transactions] = self.engine.progress();
        let sent = if self.sends_stream() {
            delivered(&self.sockets).saturating_sub(delivered_before)
        } else {
            sent
        };
        InterimCounts { bytes: sent + received, transactions }
    }

    /// A client's transactions.
    fn awaits_transactions(&self) -> bool {
        self.job.role == Role::Client && self.job.shape.direction.transacts()
    }

    /// A client's stream to its server.
    fn sends_stream(&self) -> bool {
        let shape = self.job.shape;
        self.job.role == Role::Client && self.lasts() && shape.direction == TestDirection::Send
    }

    /// Connections that last come to an end that both ends know.
    fn lasts(&self) -> bool {
        self.job.shape.protocol == Protocol::Tcp && self.job.shape.direction.lasts()
    }

    /// What is under way has to come to an end: but for a receiver, whose sender ends it.
    fn owes(&self) -> bool {
        let receives = match self.job.role {
            Role::Client => self.job.shape.direction == TestDirection::Receive,
            Role::Server => self.job.shape.direction == TestDirection::Send,
        };
        self.lasts() && !receives
    }

    /// Streams end when their last byte is there, all else when it was told to end.
    fn finish(mut self, mut run: PhaseState<'_>, before: &Reading) -> Totals {
        let now = Instant::now();
        let end = match run.ended {
            Some(ended) if !self.lasts() || self.job.shape.direction.transacts() => ended,
            _ => now,
        };
        if run.ended.is_none() {
            run.totals.idle = self.idle(&mut run);
        }
        let mut totals = run.totals;
        totals.elapsed = end - run.began;
        if let Some(interim) = run.interim {
            let progress = self.progress(run.delivered_before);
            match self.job.role {
                Role::Client => interim.last(progress, end),
                Role::Server => interim.rest(progress, end),
            }
        }
        let after = self.engine.read_counters();
        totals.cpu = cpu::between(before, &after);
        totals.allowed_cpus = AllowedCpusChange::of(&[before.clone(), after], None);
        totals.end = self.sockets.first().map(granted).unwrap_or_default();
        let resent = self.sockets.iter().filter_map(|socket| granted(socket).retransmits);
        totals.end.retransmits = resent.reduce(u32::saturating_add);
        let first = self.sockets.first();
        totals.tcp_info = first.and_then(|socket| tcp_info::tcp_info(socket.as_fd()).ok());
        totals.delivered = acknowledged(&self.sockets).saturating_sub(run.delivered_before);
        let [_, _, transactions] = self.engine.progress();
        let report = self.engine.stop(Duration::ZERO);
        totals.counters = counters(&report, transactions, &self.job);
        totals.connected = report.connect_time.is_some_and(|times| times.max_ns > 0);
        totals.latency = report.latency.and_then(|latency| Latencies::from_wire(&latency).ok());
        totals.errors.extend(report.errors);
        totals
    }
}

/// What is kept while it runs.
struct PhaseState<'a> {
    began: Instant,
    timer: Option<Instant>,
    limit: Option<Instant>,
    stall: StallWatch,
    interim: Option<InterimTimer<'a>>,
    /// What the peer's kernel had before the start.
    delivered_before: u64,
    /// When it was told to come to an end.
    ended: Option<Instant>,
    /// A server's client has said that it is over, or may have no more.
    is_told: bool,
    /// When it has to have come to it.
    late: Option<Instant>,
    ending: &'a mut dyn FnMut(),
    totals: Totals,
}

fn unfinished(after: Duration) -> Error {
    let cause = format!("the data phase did not come to its end within {} s", after.as_secs());
    Error::new(Kind::Incomplete, "end the test", cause).with_code(Code::Timeout)
}

/// Counts that the workers brought home, and the transactions that this end completed.
fn counters(report: &EndReport, completed: u64, job: &Job) -> EndCounters {
    let EndReport {
        flows,
        lost_transactions,
        failed_sends,
        connections,
        // No counts, or of what netperf has not got.
        latency: _,
        service_time: _,
        schedule: _,
        connect_time: _,
        pacing: _,
        datagrams: _,
        send: _,
        receive: _,
        transient_errors: _,
        other_sessions: _,
        errors: _,
    } = report;
    let mut counters = EndCounters {
        failed_sends: failed_sends.unwrap_or(0),
        transactions: completed,
        lost_transactions: lost_transactions.unwrap_or(0),
        ..EndCounters::default()
    };
    for flow in flows {
        let FlowReport {
            bytes_sent,
            bytes_received,
            send_calls,
            receive_calls,
            id: _,
            first_step_ns: _,
            drained: _,
            datagrams: _,
        } = flow;
        counters.bytes_sent += bytes_sent;
        counters.bytes_received += bytes_received;
        counters.send_calls += send_calls;
        counters.receive_calls += receive_calls;
    }
    // Who answers counts no transactions by itself.
    if job.role == Role::Server && job.shape.direction.transacts() {
        counters.transactions = match connections {
            Some(connections) => connections.connections,
            None if job.response_bytes > 0 => counters.bytes_sent / u64::from(job.response_bytes),
            None => 0,
        };
    }
    counters
}
