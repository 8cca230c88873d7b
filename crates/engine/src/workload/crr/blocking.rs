//! One connection at a time in a client worker: calls that block, or that a spinning worker
//! repeats.

use std::io::{self, ErrorKind};
use std::time::Instant;

use socket2::Socket;

use super::{Backoff, BrokenConnection, ConnectionSetup, CrrStats, call, open_trial_socket};
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::Connector;
use crate::workload::pace::Bursts;
use crate::workload::schedule::FlowSchedule;
use crate::workload::send_timer::SendTimer;
use crate::workload::sizes::Sizes;
use crate::workload::transactions::{Stamp, first_step};
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::run::Multiplexing;

/// Transactions until the stop or until the budget is used up.
pub(super) fn request(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    connector: &Connector,
    sizes: Sizes,
) -> WorkerReport {
    let stats = CrrStats::open(worker, plan);
    let Some(setup) = &worker.shared.connections else { return stats.report() };
    let prepared = open_trial_socket(connector).and_then(|_| {
        let buffers = (worker.outgoing(sizes.request)?, Buffer::touched(sizes.response)?);
        Ok((buffers, WorkerReady::by(Multiplexing::Blocking)))
    });
    let Some((outgoing, incoming)) = worker.wait_for_start(prepared) else {
        return stats.report();
    };
    first_step(worker, 0);
    let mut client = BlockingClient { worker, setup, connector, outgoing, incoming, stats };
    let result = match (plan.rate_per_second, Bursts::of(worker)) {
        (None, None) => client.closed_loop(|| Some(Instant::now())),
        (None, Some(mut bursts)) => client.closed_loop(|| bursts.pass(worker.gate())),
        (Some(rate), _) => client.open_loop(rate),
    };
    worker.ended(0, result);
    client.stats.report()
}

struct BlockingClient<'a> {
    worker: &'a Worker<'a>,
    setup: &'a ConnectionSetup,
    connector: &'a Connector,
    outgoing: Buffer,
    incoming: Buffer,
    stats: CrrStats<'a>,
}

impl BlockingClient<'_> {
    /// Makes transactions one after the other. `begin` returns when the next begins; absent: there
    /// is none.
    fn closed_loop(
        &mut self,
        mut begin: impl FnMut() -> Option<Instant>,
    ) -> Result<(), FlowFailure> {
        let gate = self.worker.gate();
        let mut left = self.worker.budget(0);
        while left > 0 && !gate.stopped() {
            let Some(begun) = begin() else { break };
            self.transact(Stamp::closed_loop(begun))?;
            left -= 1;
        }
        Ok(())
    }

    fn open_loop(&mut self, rate: f64) -> Result<(), FlowFailure> {
        let gate = self.worker.gate();
        let mut schedule = FlowSchedule::of(self.worker, rate, 0);
        let flows = f64::from(self.worker.shared.plan.flows);
        let mut timer = SendTimer::of(self.worker, rate / flows);
        let mut left = self.worker.budget(0);
        while left > 0 {
            let Some(now) = timer.wait_until(gate, schedule.next()) else { break };
            let stamp = Stamp { due: schedule.take(), sent: now };
            self.stats.transactions.sent(gate, &mut schedule, stamp);
            self.transact(stamp)?;
            if gate.closed_at().is_none() {
                schedule.completed();
            }
            left -= 1;
        }
        self.stats.transactions.owed(gate, &schedule);
        self.stats.transactions.paced_by(&timer);
        Ok(())
    }

    /// One transaction, on further connections while they come to nothing.
    fn transact(&mut self, stamp: Stamp) -> Result<(), FlowFailure> {
        let mut backoff = Backoff::default();
        loop {
            let Err(broken) = self.attempt(stamp) else { return Ok(()) };
            if self.worker.gate().stopped() {
                return Err(broken.failure);
            }
            let pause = self.stats.broken(0, &mut backoff, broken)?;
            std::thread::sleep(pause);
        }
    }

    /// One transaction, from before its connection to behind its end.
    fn attempt(&mut self, stamp: Stamp) -> Result<(), BrokenConnection> {
        let (gate, tally) = (self.worker.gate(), self.worker.tally(0));
        let socket = self.connect().map_err(BrokenConnection::opening)?;
        self.stats.connected(gate, &socket, stamp.sent, Instant::now());
        call::send(self.setup, &socket, tally, &self.outgoing).map_err(FlowFailure::send)?;
        let whole = call::receive(self.setup, &socket, tally, &mut self.incoming)
            .map_err(FlowFailure::receive)?;
        if !whole {
            return Err(FlowFailure::receive(ErrorKind::UnexpectedEof.into()).into());
        }
        let server_closes = self.connector.close == Close::Server;
        if server_closes && self.incoming.is_empty() {
            // The end of the stream is all that answers.
            call::end_of_stream(self.setup, &socket).map_err(FlowFailure::receive)?;
            self.stats.completed(gate, tally, stamp, Instant::now());
            return Ok(());
        }
        self.stats.completed(gate, tally, stamp, Instant::now());
        if server_closes {
            // However it closes.
            let _ = call::end_of_stream(self.setup, &socket);
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<Socket> {
        let socket = self.connector.socket(self.worker.wait().spins())?;
        call::until(self.setup, || self.connector.connect(&socket))?;
        Ok(socket)
    }
}
