//! Requests of one datagram each, one in flight on a flow, and their responses. What is not
//! answered in time counts as lost, and the next request goes on.

use std::io::Read as _;
use std::time::{Duration, Instant};

use super::respond::{NUMBER, sets_up};
use super::{Watch, again, explained, say_end};
use crate::error::Result;
use crate::plan::udp::UdpRrPlan;
use crate::transport::buffer::Buffer;
use crate::transport::datagram::check_fits;
use crate::workload::rr::record::{Record, Stamp, first_step};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::{Account, Failure, Stand, Worker};

/// One flow's requesting side.
struct Line<'a> {
    tally: &'a Tally,
    /// Transactions still to be started, the one in flight not among them.
    left: u64,
    /// Number of the request in flight.
    number: u64,
    /// When it was sent.
    sent: Instant,
    open: bool,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> Account {
    let Some((mut asking, watch)) = worker.stand(prepare(worker, plan)) else {
        return Account::default();
    };
    asking.start();
    if let Err(failure) = asking.run(watch) {
        worker.ended(0, Err(failure));
    }
    // A flow that failed has said so.
    let flows: Vec<usize> =
        (0..asking.lines.len()).filter(|flow| !asking.failed.contains(flow)).collect();
    say_end(worker, &flows);
    flows.iter().for_each(|&flow| worker.ended(flow, Ok(())));
    Account { lost_transactions: Some(asking.lost), ..asking.record.account() }
}

type Prepared<'a> = ((Asking<'a>, Watch), Stand);

fn prepare<'a>(worker: &'a Worker<'a>, plan: &UdpRrPlan) -> Result<Prepared<'a>> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    if !plan.fragment {
        check_fits(&worker.sockets(), request, "--request")?;
    }
    let (watch, multiplexing) = Watch::open(worker)?;
    let now = Instant::now();
    let lines = worker.tallies().into_iter().enumerate().map(|(flow, tally)| Line {
        tally,
        left: worker.budget(flow),
        number: 0,
        sent: now,
        open: true,
    });
    let asking = Asking {
        worker,
        lines: lines.collect(),
        failed: Vec::new(),
        record: Record::new(false),
        outgoing: Buffer::patterned(request),
        // One byte more than a response shows what is too long to be one.
        incoming: Buffer::touched(response + 1),
        response,
        timeout: plan.timeout,
        lost: 0,
    };
    Ok(((asking, watch), Stand::by(multiplexing)))
}

struct Asking<'a> {
    worker: &'a Worker<'a>,
    lines: Vec<Line<'a>>,
    failed: Vec<usize>,
    record: Record,
    outgoing: Buffer,
    incoming: Buffer,
    response: usize,
    timeout: Duration,
    lost: u64,
}

impl Asking<'_> {
    fn start(&mut self) {
        for flow in 0..self.lines.len() {
            first_step(self.worker, flow);
            self.ask(flow, Instant::now());
        }
    }

    fn run(&mut self, mut watch: Watch) -> Result<(), Failure> {
        let gate = self.worker.gate();
        let mut ready = Vec::with_capacity(self.lines.len());
        let mut swept = Instant::now();
        while self.lines.iter().any(|line| line.open) && !gate.stopped() {
            watch.wait(&mut ready)?;
            let mut now = Instant::now();
            for &flow in &ready {
                now = self.step(flow).unwrap_or(now);
            }
            // Often enough that a lost transaction is noticed little after its time.
            if now.saturating_duration_since(swept) > self.timeout / 16 {
                swept = now;
                self.give_up_late_ones(now);
            }
        }
        Ok(())
    }

    /// Takes one datagram of a flow, and asks again when it is the response; the time then.
    #[inline]
    fn step(&mut self, flow: usize) -> Option<Instant> {
        let result = (&mut self.worker.socket(flow)).read(&mut self.incoming);
        let now = Instant::now();
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(error) if again(&error) => return Some(now),
            Err(error) => {
                self.fail(flow, Failure::receive(explained(error)));
                return Some(now);
            }
        };
        let line = &mut self.lines[flow];
        let arrived = &self.incoming[..bytes];
        let number = NUMBER.min(self.outgoing.len()).min(bytes);
        let fits =
            bytes == self.response && arrived[..number] == line.number.to_le_bytes()[..number];
        if !fits || sets_up(arrived) || !line.open {
            return Some(now);
        }
        line.tally.received(bytes);
        let stamp = Stamp::closed_loop(line.sent);
        self.record.completed(self.worker.gate(), line.tally, stamp, now);
        self.ask(flow, now);
        Some(now)
    }

    /// Sends the next request of a flow at `now`, or ends it.
    #[inline]
    fn ask(&mut self, flow: usize, now: Instant) {
        let line = &mut self.lines[flow];
        if line.left == 0 {
            line.open = false;
            return;
        }
        line.left -= 1;
        line.number += 1;
        line.sent = now;
        let number = NUMBER.min(self.outgoing.len());
        self.outgoing[..number].copy_from_slice(&line.number.to_le_bytes()[..number]);
        match self.worker.socket(flow).send(&self.outgoing) {
            Ok(bytes) => line.tally.sent(bytes),
            // No room: as if it had been lost on its way.
            Err(error) if again(&error) => {}
            Err(error) => self.fail(flow, Failure::send(explained(error))),
        }
    }

    /// Counts what was not answered in time as lost and goes on.
    fn give_up_late_ones(&mut self, now: Instant) {
        for flow in 0..self.lines.len() {
            let line = &self.lines[flow];
            if line.open && now.saturating_duration_since(line.sent) >= self.timeout {
                self.lost += u64::from(self.worker.gate().counting());
                self.ask(flow, now);
            }
        }
    }

    fn fail(&mut self, flow: usize, failure: Failure) {
        if std::mem::replace(&mut self.lines[flow].open, false) {
            self.failed.push(flow);
            self.worker.ended(flow, Err(failure));
        }
    }
}
