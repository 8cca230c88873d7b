//! One flow, one request in flight, blocking calls.

use std::io::{self, ErrorKind};
use std::time::Instant;

use socket2::Socket;

use crate::transport::buffer::Buffer;
use crate::workload::pace::Bursts;
use crate::workload::schedule::FlowSchedule;
use crate::workload::send_timer::SendTimer;
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::transactions::{Stamp, TransactionStats, first_step};
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport, unfinished};
use podperf_model::error::{During, Result};
use podperf_model::plan::RrPlan;
use podperf_model::result::run::Multiplexing;
use podperf_sys::socket;

/// Requests until the stop or until the budget is used up, then ends the stream.
pub(super) fn request(worker: &Worker<'_>, plan: &RrPlan, sizes: Sizes) -> WorkerReport {
    let mut stats = TransactionStats::new(plan.rate_per_second.is_some());
    let flow = BlockingFlow::prepare(worker, sizes.request, sizes.response);
    let Some(mut flow) = worker.wait_for_start(flow) else {
        return stats.report();
    };
    first_step(worker, 0);
    let result = match (plan.rate_per_second, Bursts::of(worker)) {
        (None, None) => closed_loop(worker, &mut flow, &mut stats, Some),
        (None, Some(mut bursts)) => {
            closed_loop(worker, &mut flow, &mut stats, |_| bursts.pass(worker.gate()))
        }
        (Some(rate), _) => open_loop(worker, rate, &mut flow, &mut stats),
    };
    unfinished::end_stream(worker, 0, result.is_ok());
    worker.ended(0, result);
    stats.report()
}

/// Sends requests one after the other. `begin` returns when the next goes out after one that ended
/// then; absent: there is none.
fn closed_loop(
    worker: &Worker<'_>,
    flow: &mut BlockingFlow<'_>,
    stats: &mut TransactionStats,
    mut begin: impl FnMut(Instant) -> Option<Instant>,
) -> Result<(), FlowFailure> {
    let gate = worker.gate();
    let mut left = worker.budget(0);
    let mut end = Instant::now();
    while left > 0 && !gate.stopped() {
        let Some(start) = begin(end) else { break };
        flow.send()?;
        if !flow.receive()? {
            return flow.closed_early(worker);
        }
        let now = Instant::now();
        stats.completed(gate, flow.tally, Stamp::closed_loop(start), now);
        end = now;
        left -= 1;
    }
    Ok(())
}

fn open_loop(
    worker: &Worker<'_>,
    rate: f64,
    flow: &mut BlockingFlow<'_>,
    stats: &mut TransactionStats,
) -> Result<(), FlowFailure> {
    let gate = worker.gate();
    let mut schedule = FlowSchedule::of(worker, rate, 0);
    let mut timer = SendTimer::of(worker, rate / f64::from(worker.shared.plan.flows));
    let mut left = worker.budget(0);
    while left > 0 {
        let Some(now) = timer.wait_until(gate, schedule.next()) else { break };
        let stamp = Stamp { due: schedule.take(), sent: now };
        stats.sent(gate, &mut schedule, stamp);
        flow.send()?;
        if !flow.receive()? {
            return flow.closed_early(worker);
        }
        stats.completed(gate, flow.tally, stamp, Instant::now());
        if gate.closed_at().is_none() {
            schedule.completed();
        }
        left -= 1;
    }
    stats.owed(gate, &schedule);
    stats.paced_by(&timer);
    Ok(())
}

/// Responds until the end of the stream.
pub(super) fn respond(worker: &Worker<'_>, sizes: Sizes) {
    let flow = BlockingFlow::prepare(worker, sizes.response, sizes.request);
    let Some(mut flow) = worker.wait_for_start(flow) else {
        return;
    };
    let mut serve = || {
        while flow.receive()? {
            flow.send()?;
        }
        Ok(())
    };
    worker.ended(0, serve());
}

/// Whether to call again: a worker that spins found nothing, or one that blocks was interrupted.
/// However the run ends, the engine shuts the socket down in the end, and the call has an answer.
#[inline]
fn is_transient(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock => {
            std::hint::spin_loop();
            true
        }
        kind => kind == ErrorKind::Interrupted,
    }
}

/// One socket, what is sent on it and room for what comes back.
struct BlockingFlow<'a> {
    socket: &'a Socket,
    tally: &'a Tally,
    outgoing: Buffer,
    incoming: Buffer,
}

impl<'a> BlockingFlow<'a> {
    /// Prepares a flow that waits as planned: the socket of a worker that spins never blocks.
    fn prepare(
        worker: &Worker<'a>,
        outgoing: usize,
        incoming: usize,
    ) -> Result<(Self, WorkerReady)> {
        let socket = worker.socket(0);
        socket.set_nonblocking(worker.wait().spins()).during("set O_NONBLOCK")?;
        let flow = Self {
            socket,
            tally: worker.tally(0),
            outgoing: worker.outgoing(outgoing)?,
            incoming: Buffer::touched(incoming)?,
        };
        Ok((flow, WorkerReady::by(Multiplexing::Blocking)))
    }

    /// Sends one whole message.
    #[inline(always)]
    fn send(&self) -> Result<(), FlowFailure> {
        let mut rest = &self.outgoing[..];
        while !rest.is_empty() {
            match socket::send(self.socket, rest) {
                Ok(bytes) => {
                    self.tally.sent(bytes);
                    rest = &rest[bytes..];
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(FlowFailure::send(error)),
            }
        }
        Ok(())
    }

    /// Receives one whole message. False: the stream ended before its first byte.
    #[inline(always)]
    fn receive(&mut self) -> Result<bool, FlowFailure> {
        let mut filled = 0;
        while filled < self.incoming.len() {
            match socket::receive(self.socket, &mut self.incoming[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(FlowFailure::receive(ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => {
                    self.tally.received(bytes);
                    filled += bytes;
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(FlowFailure::receive(error)),
            }
        }
        Ok(true)
    }

    /// The server ended a stream that was to go on.
    fn closed_early(&self, worker: &Worker<'_>) -> Result<(), FlowFailure> {
        if worker.gate().stopped() {
            return Ok(());
        }
        Err(FlowFailure::receive(ErrorKind::UnexpectedEof.into()))
    }
}
