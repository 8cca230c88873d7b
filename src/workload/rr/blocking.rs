//! One flow, one request in flight, blocking calls.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::Sizes;
use super::record::{Record, Stamp, first_step};
use crate::outcome::run::Multiplexing;
use crate::plan::RrPlan;
use crate::transport::buffer::Buffer;
use crate::workload::schedule::{SPIN, Schedule};
use crate::workload::tally::Tally;
use crate::workload::{Account, Failure, Stand, Worker};

/// Longest sleep before another look at the gate.
const NAP: Duration = Duration::from_millis(50);

/// Requests until the stop or until the budget is used up, then ends the stream.
pub(super) fn request(worker: &Worker<'_>, plan: &RrPlan, sizes: Sizes) -> Account {
    let mut record = Record::new(plan.rate_per_second.is_some());
    let flow = Flow::prepare(worker, sizes.request, sizes.response);
    let Some(mut flow) = worker.stand(Ok((flow, Stand::by(Multiplexing::Blocking)))) else {
        return record.account();
    };
    first_step(worker, 0);
    let result = match plan.rate_per_second {
        None => closed_loop(worker, &mut flow, &mut record),
        Some(rate) => open_loop(worker, rate, &mut flow, &mut record),
    };
    let _ = flow.socket.shutdown(Shutdown::Write);
    worker.ended(0, result);
    record.account()
}

fn closed_loop(
    worker: &Worker<'_>,
    flow: &mut Flow<'_>,
    record: &mut Record,
) -> Result<(), Failure> {
    let gate = worker.gate();
    let mut left = worker.budget(0);
    let mut start = Instant::now();
    while left > 0 && !gate.stopped() {
        flow.send()?;
        if !flow.receive()? {
            return flow.closed_early(worker);
        }
        let now = Instant::now();
        record.completed(gate, flow.tally, Stamp::closed_loop(start), now);
        start = now;
        left -= 1;
    }
    Ok(())
}

fn open_loop(
    worker: &Worker<'_>,
    rate: f64,
    flow: &mut Flow<'_>,
    record: &mut Record,
) -> Result<(), Failure> {
    let gate = worker.gate();
    let mut schedule = Schedule::of(worker, rate, 0);
    let mut left = worker.budget(0);
    while left > 0 && wait_until(worker, schedule.next()) {
        let stamp = Stamp { due: schedule.take(), sent: Instant::now() };
        record.sent(gate, stamp);
        flow.send()?;
        if !flow.receive()? {
            return flow.closed_early(worker);
        }
        record.completed(gate, flow.tally, stamp, Instant::now());
        if gate.closed_at().is_none() {
            schedule.completed();
        }
        left -= 1;
    }
    let (due, unfinished) = schedule.owed(gate.opened_at(), gate.closed_at());
    record.owed(due, unfinished);
    Ok(())
}

/// Sleeps to shortly before `due`, then spins. False: the run was stopped.
fn wait_until(worker: &Worker<'_>, due: Instant) -> bool {
    while !worker.gate().stopped() {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if left > SPIN {
            std::thread::sleep((left - SPIN).min(NAP));
        } else {
            std::hint::spin_loop();
        }
    }
    false
}

/// Responds until the end of the stream.
pub(super) fn respond(worker: &Worker<'_>, sizes: Sizes) {
    let flow = Flow::prepare(worker, sizes.response, sizes.request);
    let Some(mut flow) = worker.stand(Ok((flow, Stand::by(Multiplexing::Blocking)))) else {
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

/// One socket, what is sent on it and room for what comes back.
struct Flow<'a> {
    socket: &'a Socket,
    tally: &'a Tally,
    outgoing: Buffer,
    incoming: Buffer,
}

impl<'a> Flow<'a> {
    fn prepare(worker: &Worker<'a>, outgoing: usize, incoming: usize) -> Self {
        Self {
            socket: worker.socket(0),
            tally: worker.tally(0),
            outgoing: Buffer::patterned(outgoing),
            incoming: Buffer::touched(incoming),
        }
    }

    /// Sends one whole message.
    #[inline]
    fn send(&self) -> Result<(), Failure> {
        let mut rest = &self.outgoing[..];
        while !rest.is_empty() {
            match (&mut &*self.socket).write(rest) {
                Ok(bytes) => {
                    self.tally.sent(bytes);
                    rest = &rest[bytes..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::send(error)),
            }
        }
        Ok(())
    }

    /// Receives one whole message. False: the stream ended before its first byte.
    #[inline]
    fn receive(&mut self) -> Result<bool, Failure> {
        let mut filled = 0;
        while filled < self.incoming.len() {
            match (&mut &*self.socket).read(&mut self.incoming[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(Failure::receive(ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => {
                    self.tally.received(bytes);
                    filled += bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::receive(error)),
            }
        }
        Ok(true)
    }

    /// The server ended a stream that was to go on.
    fn closed_early(&self, worker: &Worker<'_>) -> Result<(), Failure> {
        if worker.gate().stopped() {
            return Ok(());
        }
        Err(Failure::receive(ErrorKind::UnexpectedEof.into()))
    }
}
