//! Receives streams of datagrams to their end markers.

use std::time::Instant;

use super::{Ending, Watch, again, explained};
use crate::transport::datagram::{DatagramReceive, Header};
use crate::workload::schedule::nanoseconds;
use crate::workload::tally::Tally;
use crate::workload::udp::track::Tracker;
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::result::end_result::DatagramUse;

/// One flow's receiving side.
struct Line<'a> {
    tally: &'a Tally,
    tracker: Tracker,
    ending: Ending,
    open: bool,
}

/// Receives on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let lines: Vec<Tracker> = worker.share.flows.iter().map(|_| Tracker::new()).collect();
    let Some((receiver, watch)) = worker.stand(prepared) else { return WorkerReport::default() };
    let now = Instant::now();
    let lines = lines.into_iter().zip(worker.tallies()).map(|(tracker, tally)| Line {
        tally,
        tracker,
        ending: Ending::new(now),
        open: true,
    });
    let release = worker.gate().origin().unwrap_or(now);
    let mut receiving =
        Receiving { worker, lines: lines.collect(), receiver, release, marked: false };
    if let Err(failure) = receiving.run(watch) {
        worker.ended(0, Err(failure));
    }
    let ids = worker.share.flows.iter().copied();
    WorkerReport {
        datagrams: Some(DatagramUse {
            joined: Some(receiving.receiver.offloaded()),
            ..DatagramUse::default()
        }),
        flow_datagrams: ids
            .zip(receiving.lines.iter().map(|line| *line.tracker.counts()))
            .collect(),
        ..WorkerReport::default()
    }
}

type Prepared<'a> = ((DatagramReceive<'a>, Watch), WorkerReady);

fn prepare<'a>(worker: &Worker<'a>, plan: &UdpPlan) -> Result<Prepared<'a>> {
    let (receiver, fallback) = DatagramReceive::open(worker.sockets(), plan)?;
    let (watch, multiplexing) = Watch::open(worker)?;
    Ok(((receiver, watch), WorkerReady { fallback, ..WorkerReady::by(multiplexing) }))
}

struct Receiving<'a> {
    worker: &'a Worker<'a>,
    lines: Vec<Line<'a>>,
    receiver: DatagramReceive<'a>,
    release: Instant,
    /// Some flow has seen its end marker.
    marked: bool,
}

impl Receiving<'_> {
    fn run(&mut self, mut watch: Watch) -> Result<(), Failure> {
        let mut ready = Vec::with_capacity(self.lines.len());
        let mut open = self.lines.len();
        while open > 0 {
            watch.wait(&mut ready)?;
            for &flow in &ready {
                if let Err(failure) = self.step(flow) {
                    open -= usize::from(self.end(flow, Err(failure)));
                }
            }
            let stopped = self.worker.gate().stopped();
            if !stopped && !self.marked {
                continue;
            }
            let now = Instant::now();
            for flow in 0..self.lines.len() {
                if let Some(marked) = self.lines[flow].ending.over(now, stopped) {
                    open -= usize::from(self.end_in_order(flow, marked));
                }
            }
        }
        Ok(())
    }

    /// Takes what is there on one flow.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<(), Failure> {
        let line = &mut self.lines[flow];
        let buffers = match self.receiver.step(flow) {
            Ok(buffers) => buffers,
            Err(error) if again(&error) => return Ok(()),
            // The sender has closed its socket, and the answer to its end marker found nobody.
            Err(_) if line.ending.marked.is_some() => return Ok(()),
            Err(error) => return Err(Failure::receive(explained(error))),
        };
        let now = Instant::now();
        let now_ns = nanoseconds(now.saturating_duration_since(self.release));
        let mut bytes = 0;
        for index in 0..buffers {
            for datagram in self.receiver.datagrams(index) {
                if datagram.is_empty() {
                    line.ending.mark(self.worker.socket(flow), now);
                    self.marked = true;
                } else if let Some(header) = Header::read(datagram)
                    && line.tracker.arrive(header, now_ns)
                {
                    bytes += datagram.len();
                }
            }
        }
        line.ending.heard = now;
        line.tally.datagrams(&line.tracker.counts().life);
        if bytes > 0 {
            line.tally.received(bytes);
        }
        Ok(())
    }

    /// The flow is over; `marked`: its sender said so.
    fn end_in_order(&mut self, flow: usize, marked: bool) -> bool {
        if marked {
            return self.end(flow, Ok(()));
        }
        // After the stop this is no failure of the run, but neither was the stream drained.
        let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "no end marker came");
        self.end(flow, Err(Failure::receive(silent)))
    }

    /// True: it had not ended before.
    fn end(&mut self, flow: usize, result: Result<(), Failure>) -> bool {
        let first = std::mem::replace(&mut self.lines[flow].open, false);
        if first {
            self.worker.ended(flow, result);
        }
        first
    }
}
