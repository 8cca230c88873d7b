//! Answers requests of one datagram each.

use std::time::Instant;

use super::{Ending, Watch, again, explained};
use crate::transport::buffer::Buffer;
use crate::transport::datagram::{SETUP_MAGIC, check_fits};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;

/// Bytes of a request that its response repeats, so that late responses are told from timely ones;
/// as many of them as both have.
pub(super) const NUMBER: usize = 8;

/// Whether a datagram sets a flow up: such may come late.
pub(super) fn sets_up(datagram: &[u8]) -> bool {
    datagram.starts_with(&SETUP_MAGIC)
}

/// One flow's responding side.
struct Line<'a> {
    tally: &'a Tally,
    ending: Ending,
    open: bool,
}

/// Responds on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let Some((mut responding, mut watch)) = worker.stand(prepared) else {
        return WorkerReport::default();
    };
    let now = Instant::now();
    responding.lines.iter_mut().for_each(|line| line.ending = Ending::new(now));
    let mut ready = Vec::with_capacity(responding.lines.len());
    while responding.lines.iter().any(|line| line.open) {
        if let Err(failure) = watch.wait(&mut ready) {
            worker.ended(0, Err(failure));
            break;
        }
        let mut waited = ready.is_empty();
        for &flow in &ready {
            match responding.step(flow) {
                Ok(served) => waited |= !served,
                Err(failure) => responding.end(flow, Err(failure)),
            }
        }
        if waited {
            responding.end_what_is_over();
        }
    }
    WorkerReport::default()
}

type Prepared<'a> = ((Responding<'a>, Watch), WorkerReady);

fn prepare<'a>(worker: &'a Worker<'a>, plan: &UdpRrPlan) -> Result<Prepared<'a>> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    if !plan.fragment {
        check_fits(&worker.sockets(), response, "--response")?;
    }
    let (watch, multiplexing) = Watch::open(worker)?;
    let lines = worker.tallies().into_iter().map(|tally| Line {
        tally,
        ending: Ending::new(Instant::now()),
        open: true,
    });
    let responding = Responding {
        worker,
        lines: lines.collect(),
        // One byte more than a request shows what is too long to be one.
        incoming: Buffer::touched(request + 1),
        outgoing: Buffer::patterned(response),
        request,
    };
    Ok(((responding, watch), WorkerReady::by(multiplexing)))
}

struct Responding<'a> {
    worker: &'a Worker<'a>,
    lines: Vec<Line<'a>>,
    incoming: Buffer,
    outgoing: Buffer,
    request: usize,
}

impl Responding<'_> {
    /// Takes one datagram of a flow and answers it. False: there was none, or an end marker.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<bool, Failure> {
        use std::io::Read as _;

        let (socket, line) = (self.worker.socket(flow), &mut self.lines[flow]);
        let bytes = match (&mut &*socket).read(&mut self.incoming) {
            Ok(bytes) => bytes,
            Err(error) if again(&error) => return Ok(false),
            // The requester has closed its socket after its end.
            Err(_) if line.ending.marked.is_some() => return Ok(false),
            Err(error) => return Err(Failure::receive(explained(error))),
        };
        let arrived = &self.incoming[..bytes];
        if bytes == 0 {
            line.ending.mark(socket, Instant::now());
            return Ok(false);
        }
        if bytes != self.request || sets_up(arrived) {
            return Ok(true);
        }
        line.tally.received(bytes);
        let number = NUMBER.min(bytes).min(self.outgoing.len());
        self.outgoing[..number].copy_from_slice(&arrived[..number]);
        match socket.send(&self.outgoing) {
            Ok(sent) => line.tally.sent(sent),
            // No room: as if the response had been lost on its way.
            Err(error) if again(&error) => {}
            Err(error) => return Err(Failure::send(explained(error))),
        }
        Ok(true)
    }

    fn end_what_is_over(&mut self) {
        let (now, stopped) = (Instant::now(), self.worker.gate().stopped());
        for flow in 0..self.lines.len() {
            // Whatever is still under way after the stop is dropped on purpose.
            if stopped || self.lines[flow].ending.over(now, stopped).is_some() {
                self.end(flow, Ok(()));
            }
        }
    }

    fn end(&mut self, flow: usize, result: Result<(), Failure>) {
        if std::mem::replace(&mut self.lines[flow].open, false) {
            self.worker.ended(flow, result);
        }
    }
}
