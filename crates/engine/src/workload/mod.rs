//! What one worker does with its flows, from the gate to the end.
//!
//! Enters: the run's shared state and the flows of this worker. Leaves: tallies as
//! it goes, an [`FlowEnded`] for every flow that comes to an end by itself, and one
//! [`WorkerReport`]. Inside the loops: the measured system call, one read of the phase, one update
//! of the flow's own tally, and for rr one clock read. Nothing else.

pub mod compat;
pub mod crr;
pub mod gate;
pub mod multiplex;
mod pace;
pub mod rr;
mod schedule;
mod send_timer;
mod sizes;
pub mod stream;
pub mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transactions;
mod transient;
mod udp;
mod unfinished;
mod worker_ring;

use std::io;

use crossbeam_channel::Sender;
use socket2::Socket;

use crate::transport::buffer::Buffer;
use compat::CompatOptions;
use crr::ConnectionSetup;
use gate::Gate;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::latency::Latencies;
use podperf_model::plan::{FlowRole, Plan, StopCondition, Wait, Workload};
use podperf_model::result::end_result::{
    ConnectionUse, DatagramUse, FlowDatagrams, ReceiveUse, ScheduleAdherence, SendUse,
};
use podperf_model::result::run::Multiplexing;
use podperf_model::result::transient::TransientCount;
pub use schedule::Pacing;
use stream::auto::MethodChoice;
use tally::Tally;

/// What all workers of one end share.
#[derive(Debug)]
pub struct Shared {
    /// What to do.
    pub plan: Plan,
    /// When to do it.
    pub gate: Gate,
    /// One connected socket a flow, by flow id; none where connections do not last.
    pub sockets: Vec<Socket>,
    /// Where connections that do not last are made.
    pub connections: Option<ConnectionSetup>,
    /// One tally a flow, by flow id.
    pub tallies: Vec<Tally>,
    /// Receives an event for each flow that ends.
    pub events: Sender<FlowEnded>,
    /// How this end's streams are sent, where that is found out during the warm-up.
    pub choice: MethodChoice,
    /// Departures from the usual, for other programs.
    pub compat: CompatOptions,
}

/// The flows of one worker, all of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFlows {
    /// What the worker does on each of them.
    pub role: FlowRole,
    /// Their ids.
    pub ids: Vec<usize>,
}

/// A flow that came to an end, as planned or not.
#[derive(Debug)]
pub struct FlowEnded {
    /// Flow id.
    pub flow: u32,
    /// Why, when it was not planned.
    pub failure: Option<FlowFailure>,
}

/// Why a flow ended that was not to end. It is boxed, because every step of a loop may return one.
#[derive(Debug)]
pub struct FlowFailure(Box<Error>);

impl FlowFailure {
    /// Kept out of the measuring loops, whose calls stay small enough to be inlined.
    #[cold]
    #[inline(never)]
    #[expect(clippy::needless_pass_by_value, reason = "it is dropped here, outside the loops")]
    fn new(operation: &'static str, error: io::Error) -> Self {
        Error::system(Kind::Incomplete, operation, &error).into()
    }

    /// For `map_err`: a system call of `operation` ("send to") failed.
    pub fn of(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::new(operation, error)
    }

    /// For `map_err`: sending failed.
    #[must_use]
    pub fn send(error: io::Error) -> Self {
        Self::new("send to", error)
    }

    /// For `map_err`: receiving failed.
    #[must_use]
    pub fn receive(error: io::Error) -> Self {
        Self::new("receive from", error)
    }

    /// The system's error number, where a system call failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// The failure, of which the engine knows flow and peer.
    #[must_use]
    pub fn into_error(self) -> Error {
        *self.0
    }
}

impl From<Error> for FlowFailure {
    fn from(error: Error) -> Self {
        Self(Box::new(error.with_kind(Kind::Incomplete)))
    }
}

/// What a worker has measured, reported once at its end.
#[derive(Debug, Default)]
pub struct WorkerReport {
    /// Latencies of transactions that ended in the window.
    pub latency: Option<Latencies>,
    /// Open loop: latencies from the real send.
    pub service_time: Option<Latencies>,
    /// Times to open a connection, of transactions in the window.
    pub connect_time: Option<Latencies>,
    /// Connections that the worker opened or accepted.
    pub connections: Option<ConnectionUse>,
    /// Open loop: how the schedule was kept.
    pub schedule: Option<ScheduleAdherence>,
    /// How evenly the schedule was kept.
    pub pacing: Option<Pacing>,
    /// Requests without a response in time.
    pub lost_transactions: Option<u64>,
    /// Unframed datagrams that the kernel refused to send.
    pub failed_sends: Option<u64>,
    /// How datagrams were sent or received.
    pub datagrams: Option<DatagramUse>,
    /// What became of the datagrams of each flow, by flow id.
    pub flow_datagrams: Vec<(usize, FlowDatagrams)>,
    /// How a sender of streams handed its bytes over.
    pub send: Option<SendUse>,
    /// How a receiver of streams took them.
    pub receive: Option<ReceiveUse>,
    /// Errors that its flows outlived.
    pub transient_errors: Vec<TransientCount>,
}

/// What a worker reports when it is ready: all that it needs is allocated, registered and probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReady {
    /// How it waits for its flows.
    pub multiplexing: Multiplexing,
    /// Why it does not work as asked, where something was refused that has a substitute.
    pub fallback: Option<String>,
}

impl WorkerReady {
    /// Ready as asked.
    #[must_use]
    pub const fn by(multiplexing: Multiplexing) -> Self {
        Self { multiplexing, fallback: None }
    }
}

/// One worker's view of the run.
#[derive(Clone, Copy)]
pub struct Worker<'a> {
    /// What all share.
    pub shared: &'a Shared,
    /// The worker's own flows.
    pub flows: &'a WorkerFlows,
    /// Called once, when everything is prepared or something was refused; returns when the gate
    /// opens (false: refused, or stopped before that).
    pub ready: &'a dyn Fn(Result<WorkerReady>) -> bool,
}

impl<'a> Worker<'a> {
    /// The sockets of the worker's flows.
    #[must_use]
    pub fn sockets(&self) -> Vec<&'a Socket> {
        self.flows.ids.iter().map(|&flow| &self.shared.sockets[flow]).collect()
    }

    /// The tallies of the worker's flows.
    #[must_use]
    pub fn tallies(&self) -> Vec<&'a Tally> {
        self.flows.ids.iter().map(|&flow| &self.shared.tallies[flow]).collect()
    }

    /// The socket of the worker's flow number `index`.
    #[must_use]
    pub fn socket(&self, index: usize) -> &'a Socket {
        &self.shared.sockets[self.flows.ids[index]]
    }

    /// What the worker sends: `length` bytes of the payload that was asked for, or of podperf's
    /// pattern.
    ///
    /// # Errors
    /// When there is no memory for them to be had.
    pub fn outgoing(&self, length: usize) -> Result<Buffer> {
        Buffer::filled(length, self.shared.compat.payload.as_deref().unwrap_or_default())
    }

    /// How the worker waits for requests or responses.
    #[must_use]
    pub fn wait(&self) -> Wait {
        match self.flows.role {
            FlowRole::Request => self.shared.plan.client.wait,
            FlowRole::Respond => self.shared.plan.server.wait,
            FlowRole::Send | FlowRole::Receive => Wait::Block,
        }
    }

    /// The tally of the worker's flow number `index`.
    #[must_use]
    pub fn tally(&self, index: usize) -> &'a Tally {
        &self.shared.tallies[self.flows.ids[index]]
    }

    /// The gate.
    #[must_use]
    pub const fn gate(&self) -> &'a Gate {
        &self.shared.gate
    }

    /// Reports what was prepared, or what was refused, and waits for the start. Absent: there is
    /// nothing to do. Flows that are stopped before they begin have ended, and somebody may wait
    /// for that.
    #[must_use]
    pub fn wait_for_start<T>(&self, prepared: Result<(T, WorkerReady)>) -> Option<T> {
        let (value, ready) = match prepared {
            Ok((value, ready)) => (Some(value), Ok(ready)),
            Err(error) => (None, Err(error)),
        };
        if (self.ready)(ready) {
            return value;
        }
        if value.is_some() {
            (0..self.flows.ids.len()).for_each(|index| self.tell_end(index, None));
        }
        None
    }

    /// Reports that the worker's flow number `index` ended. An error after the stop belongs to it,
    /// and an end of stream that this end's own cut caused is not the peer's.
    pub fn ended(&self, index: usize, result: Result<(), FlowFailure>) {
        if result.is_ok() && !self.gate().cut() {
            self.tally(index).drained();
        }
        self.tell_end(index, result.err().filter(|_| !self.gate().stopped()));
    }

    fn tell_end(&self, index: usize, failure: Option<FlowFailure>) {
        let flow = u32::try_from(self.flows.ids[index]).unwrap_or(u32::MAX);
        // Nobody listens any more once the run is torn down.
        let _ = self.shared.events.send(FlowEnded { flow, failure });
    }

    /// Nanoseconds since the workers were released.
    #[must_use]
    pub fn since_release_ns(&self) -> u64 {
        let elapsed = self.gate().origin().map_or(0, |origin| origin.elapsed().as_nanos());
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    /// How much the worker's flow number `index` has to do when the run ends by a count: bytes to
    /// send, or transactions. The first flows of a direction do what an even split leaves over.
    #[must_use]
    pub fn budget(&self, index: usize) -> u64 {
        let total = match self.shared.plan.stop_condition {
            StopCondition::Time { .. } => return u64::MAX,
            StopCondition::Bytes { total_bytes } => total_bytes.0,
            StopCondition::Transactions { total } => total,
        };
        let flows = u64::from(self.shared.plan.flows);
        let place = self.flows.ids[index] as u64 % flows;
        total / flows + u64::from(place < total % flows)
    }
}

/// Runs the worker's flows until the stop or their end.
#[must_use]
pub fn run(worker: &Worker<'_>) -> WorkerReport {
    let plan = &worker.shared.plan;
    match (&plan.workload, worker.flows.role, plan.streams()) {
        (_, FlowRole::Send | FlowRole::Receive, Some(streams)) => stream::run(worker, streams),
        (Workload::Rr(plan), ..) => rr::run(worker, plan),
        (Workload::Crr(plan), ..) => crr::run(worker, plan),
        (Workload::Udp(plan), ..) => udp::run(worker, plan),
        (Workload::UdpRr(plan), ..) => udp::run_rr(worker, plan),
        // Streams have no other roles.
        (Workload::Stream(_), ..) => WorkerReport::default(),
    }
}
