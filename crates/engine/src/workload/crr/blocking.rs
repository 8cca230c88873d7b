//! One connection at a time in a calling worker: calls that block, or that a spinning worker
//! repeats.

use std::io::ErrorKind;
use std::time::Instant;

use socket2::Socket;

use super::{Book, ConnectionSetup, Trouble, call, connecting, try_out};
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::Connector;
use crate::workload::pace::Bursts;
use crate::workload::schedule::{FlowSchedule, wait_until};
use crate::workload::sizes::Sizes;
use crate::workload::transactions::{Stamp, first_step};
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::run::Multiplexing;

/// Transactions until the stop or until the budget is used up.
pub(super) fn request(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    dial: &Connector,
    sizes: Sizes,
) -> WorkerReport {
    let book = Book::open(plan);
    let Some(meeting) = &worker.shared.meeting else { return book.account() };
    let outgoing = worker.outgoing(sizes.request);
    let incoming = Buffer::touched(sizes.response);
    let prepared = try_out(dial).map(|_| ((), WorkerReady::by(Multiplexing::Blocking)));
    if worker.stand(prepared).is_none() {
        return book.account();
    }
    first_step(worker, 0);
    let mut caller = Caller { worker, meeting, dial, outgoing, incoming, book };
    let result = match (plan.rate_per_second, Bursts::of(worker)) {
        (None, None) => caller.closed_loop(|| Some(Instant::now())),
        (None, Some(mut bursts)) => caller.closed_loop(|| bursts.pass(worker.gate())),
        (Some(rate), _) => caller.open_loop(rate),
    };
    worker.ended(0, result);
    caller.book.account()
}

struct Caller<'a> {
    worker: &'a Worker<'a>,
    meeting: &'a ConnectionSetup,
    dial: &'a Connector,
    outgoing: Buffer,
    incoming: Buffer,
    book: Book,
}

impl Caller<'_> {
    /// `begin` says when a transaction begins; absent: it does not.
    fn closed_loop(&mut self, mut begin: impl FnMut() -> Option<Instant>) -> Result<(), Failure> {
        let gate = self.worker.gate();
        let mut left = self.worker.budget(0);
        while left > 0 && !gate.stopped() {
            let Some(begun) = begin() else { break };
            self.transact(Stamp::closed_loop(begun))?;
            left -= 1;
        }
        Ok(())
    }

    fn open_loop(&mut self, rate: f64) -> Result<(), Failure> {
        let gate = self.worker.gate();
        let mut schedule = FlowSchedule::of(self.worker, rate, 0);
        let mut left = self.worker.budget(0);
        while left > 0 {
            let Some(now) = wait_until(gate, schedule.next()) else { break };
            let stamp = Stamp { due: schedule.take(), sent: now };
            self.book.record.sent(gate, &mut schedule, stamp);
            self.transact(stamp)?;
            if gate.closed_at().is_none() {
                schedule.completed();
            }
            left -= 1;
        }
        self.book.record.owed(gate, &schedule);
        Ok(())
    }

    /// One transaction, from before its connection to behind its end.
    fn transact(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let (gate, tally) = (self.worker.gate(), self.worker.tally(0));
        let socket = self.connect()?;
        self.book.connected(gate, stamp.sent, Instant::now());
        call::send(self.meeting, &socket, tally, &self.outgoing).map_err(Failure::send)?;
        let whole = call::receive(self.meeting, &socket, tally, &mut self.incoming)
            .map_err(Failure::receive)?;
        if !whole {
            return Err(Failure::receive(ErrorKind::UnexpectedEof.into()));
        }
        let closed_there = self.dial.close == Close::Server;
        if closed_there && self.incoming.is_empty() {
            // The end of the stream is all that answers.
            call::end_of_stream(self.meeting, &socket).map_err(Failure::receive)?;
            self.book.completed(gate, tally, stamp, Instant::now());
            return Ok(());
        }
        self.book.completed(gate, tally, stamp, Instant::now());
        if closed_there {
            // However it closes.
            let _ = call::end_of_stream(self.meeting, &socket);
        }
        Ok(())
    }

    /// Opens a connection; tries again while none can be had.
    fn connect(&mut self) -> Result<Socket, Failure> {
        let spin = self.worker.wait().spins();
        let mut trouble = Trouble::default();
        loop {
            let attempt = self.dial.socket(spin).and_then(|socket| {
                call::until(self.meeting, || self.dial.connect(&socket))?;
                Ok(socket)
            });
            let error = match attempt {
                Ok(socket) => return Ok(socket),
                Err(error) => error,
            };
            match trouble.pause(&error, &mut self.book.uses) {
                Some(pause) if !self.worker.gate().stopped() => std::thread::sleep(pause),
                _ => return Err(connecting(error)),
            }
        }
    }
}
