//! Receives streams of datagrams to their end markers.

use std::time::Instant;

use super::{EndState, ReceiveWait, is_transient};
use crate::transport::datagram::{DatagramReceive, Header};
use crate::workload::schedule::nanoseconds;
use crate::workload::tally::Tally;
use crate::workload::transient::TransientLog;
use crate::workload::udp::track::Tracker;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::result::end_result::DatagramUse;

/// One flow's receiving side.
struct ReceiverFlow<'a> {
    tally: &'a Tally,
    tracker: Tracker,
    end_state: EndState,
    open: bool,
}

/// Receives on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let flows: Vec<Tracker> = worker.flows.ids.iter().map(|_| Tracker::new()).collect();
    let Some((receiver, receive_wait)) = worker.wait_for_start(prepared) else {
        return WorkerReport::default();
    };
    let now = Instant::now();
    let flows = flows.into_iter().zip(worker.tallies()).map(|(tracker, tally)| ReceiverFlow {
        tally,
        tracker,
        end_state: EndState::new(now),
        open: true,
    });
    let release = worker.gate().origin().unwrap_or(now);
    let mut receiving = DatagramReceiver {
        worker,
        flows: flows.collect(),
        receiver,
        release,
        marked_at: false,
        transients: TransientLog::new(worker),
    };
    if let Err(failure) = receiving.run(receive_wait) {
        worker.ended(0, Err(failure));
    }
    let ids = worker.flows.ids.iter().copied();
    WorkerReport {
        datagrams: Some(DatagramUse {
            joined: Some(receiving.receiver.offloaded()),
            ..DatagramUse::default()
        }),
        flow_datagrams: ids.zip(receiving.flows.iter().map(|own| *own.tracker.counts())).collect(),
        transient_errors: receiving.transients.into_counts(),
        ..WorkerReport::default()
    }
}

fn prepare<'a>(
    worker: &Worker<'a>,
    plan: &UdpPlan,
) -> Result<((DatagramReceive<'a>, ReceiveWait), WorkerReady)> {
    let (receiver, fallback) = DatagramReceive::open(worker.sockets(), plan)?;
    let (receive_wait, multiplexing) = ReceiveWait::open(worker)?;
    Ok(((receiver, receive_wait), WorkerReady { fallback, ..WorkerReady::by(multiplexing) }))
}

struct DatagramReceiver<'a> {
    worker: &'a Worker<'a>,
    flows: Vec<ReceiverFlow<'a>>,
    receiver: DatagramReceive<'a>,
    release: Instant,
    /// Some flow has seen its end marker.
    marked_at: bool,
    transients: TransientLog<'a>,
}

impl DatagramReceiver<'_> {
    fn run(&mut self, mut receive_wait: ReceiveWait) -> Result<(), FlowFailure> {
        let mut ready = Vec::with_capacity(self.flows.len());
        let mut open = self.flows.len();
        while open > 0 {
            receive_wait.wait(&mut ready)?;
            for &flow in &ready {
                if let Err(failure) = self.step(flow) {
                    open -= usize::from(self.end(flow, Err(failure)));
                }
            }
            let stopped = self.worker.gate().stopped();
            if !stopped && !self.marked_at {
                continue;
            }
            let now = Instant::now();
            for flow in 0..self.flows.len() {
                if let Some(marked_at) = self.flows[flow].end_state.over(now, stopped) {
                    open -= usize::from(self.end_in_order(flow, marked_at));
                }
            }
        }
        Ok(())
    }

    /// Takes what is there on one flow.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<(), FlowFailure> {
        let own = &mut self.flows[flow];
        let buffers = match self.receiver.step(flow) {
            Ok(buffers) => buffers,
            Err(error) if is_transient(&error) => return Ok(()),
            // The sender has closed its socket, and the answer to its end marker found nobody.
            Err(_) if own.end_state.marked_at.is_some() => return Ok(()),
            Err(error) => {
                let failure = FlowFailure::receive(error);
                return self.transients.outlive_datagrams(flow, failure).map(|_| ());
            }
        };
        let now = Instant::now();
        let now_ns = nanoseconds(now.saturating_duration_since(self.release));
        let mut bytes = 0;
        for index in 0..buffers {
            for datagram in self.receiver.datagrams(index) {
                if datagram.is_empty() {
                    if own.end_state.mark(self.worker.socket(flow), now) {
                        self.worker.ended(flow, Ok(()));
                    }
                    self.marked_at = true;
                } else if let Some(header) = Header::read(datagram)
                    && own.tracker.arrive(header, now_ns)
                {
                    bytes += datagram.len();
                }
            }
        }
        own.end_state.last_received = now;
        own.tally.datagrams(&own.tracker.counts().life);
        if bytes > 0 {
            own.tally.received(bytes);
        }
        Ok(())
    }

    /// Ends a flow that is over; `marked`: an end marker came.
    fn end_in_order(&mut self, flow: usize, marked_at: bool) -> bool {
        if marked_at {
            return self.end(flow, Ok(()));
        }
        // After the stop this is no failure of the run, but neither was the stream drained.
        let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "no end marker came");
        self.end(flow, Err(FlowFailure::receive(silent)))
    }

    /// True: it had not ended before.
    fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) -> bool {
        let own = &mut self.flows[flow];
        let first = std::mem::replace(&mut own.open, false);
        // It has said so at its end marker.
        if first && own.end_state.marked_at.is_none() {
            self.worker.ended(flow, result);
        }
        first
    }
}
