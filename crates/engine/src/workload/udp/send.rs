//! Sends streams of datagrams, numbered and stamped: as fast as the kernel takes them, or by a
//! schedule on absolute times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::{is_transient, send_end_markers};
use crate::transport::datagram::{DatagramSend, Header};
use crate::workload::schedule::{self, FlowSchedule, nanoseconds};
use crate::workload::send_timer::SendTimer;
use crate::workload::tally::Tally;
use crate::workload::transient::TransientLog;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::StopCondition;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::{DatagramUse, FlowDatagrams};
use podperf_model::result::run::Multiplexing;

/// One flow's sending side.
struct SenderFlow<'a> {
    tally: &'a Tally,
    /// Datagrams still to be sent.
    left: u64,
    counts: FlowDatagrams,
    open: bool,
}

/// Sends on every flow until the stop or until its budget is used up, then ends the streams.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    let Some(sender) = worker.wait_for_start(prepare(worker, plan)) else {
        return WorkerReport::default();
    };
    let size = plan.size() as u64;
    let flows = (0..worker.flows.ids.len()).map(|flow| SenderFlow {
        tally: worker.tally(flow),
        left: match worker.shared.plan.stop_condition {
            StopCondition::Time { .. } => u64::MAX,
            _ => worker.budget(flow).div_ceil(size),
        },
        counts: FlowDatagrams::default(),
        open: true,
    });
    let release = worker.gate().origin().unwrap_or_else(Instant::now);
    let transients = TransientLog::new(worker);
    let paced = plan.bits_per_second.is_some();
    let mut sender_loop =
        DatagramSender { worker, flows: flows.collect(), sender, release, paced, transients };
    let pacing = match plan.bits_per_second {
        None => {
            sender_loop.unpaced();
            None
        }
        // Payload bits of one flow, over all flows of a direction, as batches.
        Some(rate) => {
            let batch_bits = float(size) * 8.0 * float(sender_loop.sender.datagrams() as u64);
            let batches = float(rate.0) * f64::from(worker.shared.plan.flows) / batch_bits;
            Some(sender_loop.paced(batches))
        }
    };
    sender_loop.end(pacing)
}

fn prepare<'a>(worker: &Worker<'a>, plan: &UdpPlan) -> Result<(DatagramSend<'a>, WorkerReady)> {
    let (sender, fallback) = DatagramSend::open(worker.sockets(), plan, worker.shared.plan.pacing)?;
    // However many flows: a datagram hardly ever waits for room.
    Ok((sender, WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Blocking) }))
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
const fn float(count: u64) -> f64 {
    count as f64
}

struct DatagramSender<'a> {
    worker: &'a Worker<'a>,
    flows: Vec<SenderFlow<'a>>,
    sender: DatagramSend<'a>,
    release: Instant,
    /// By a schedule.
    paced: bool,
    transients: TransientLog<'a>,
}

impl DatagramSender<'_> {
    /// In turn, as fast as the kernel takes them.
    fn unpaced(&mut self) {
        let gate = self.worker.gate();
        loop {
            let mut open = false;
            for flow in 0..self.flows.len() {
                if gate.stopped() {
                    return;
                }
                open |= self.step(flow, Instant::now());
            }
            if !open {
                return;
            }
        }
    }

    /// By the schedules of all flows, `batches` a second over all flows of a direction.
    fn paced(&mut self, batches: f64) -> schedule::ScheduleStats {
        let (worker, gate) = (self.worker, self.worker.gate());
        let mut report = schedule::ScheduleStats::default();
        let share = float(self.flows.len() as u64) / f64::from(worker.shared.plan.flows);
        let mut timer = SendTimer::of(worker, batches * share);
        let mut schedules: Vec<FlowSchedule> =
            (0..self.flows.len()).map(|flow| FlowSchedule::of(worker, batches, flow)).collect();
        let mut due: BinaryHeap<Reverse<(Instant, usize)>> = schedules
            .iter()
            .enumerate()
            .map(|(flow, schedule)| Reverse((schedule.next(), flow)))
            .collect();
        while let Some(Reverse((at, flow))) = due.pop() {
            let Some(now) = timer.wait_until(gate, at) else { break };
            let schedule = &mut schedules[flow];
            schedule.take();
            report.sent(gate, at, now, schedule.sent(now));
            if self.step(flow, now) {
                due.push(Reverse((schedule.next(), flow)));
            }
            if gate.closed_at().is_none() {
                schedule.completed();
            }
        }
        schedules.iter().for_each(|schedule| report.owed(schedule, gate));
        timer.report(&mut report.kept);
        report
    }

    /// Sends one batch, stamped `now`, on a flow. False: the flow has ended.
    #[inline]
    fn step(&mut self, flow: usize, now: Instant) -> bool {
        let own = &mut self.flows[flow];
        if !own.open {
            return false;
        }
        let life = &mut own.counts.life;
        if life.sent == 0 {
            own.tally.first_step(self.worker.since_release_ns());
        }
        let most = self.sender.datagrams();
        let count = usize::try_from(own.left).unwrap_or(usize::MAX).min(most);
        let gate = self.worker.gate();
        let sent_ns = nanoseconds(now.saturating_duration_since(self.release));
        let first = Header { sequence: life.sent, in_window: gate.counting(), sent_ns };
        let result = loop {
            match self.sender.step(flow, count, first) {
                Err(error) if is_transient(&error) && !gate.stopped() => {}
                other => break other,
            }
        };
        match result {
            Ok(sent) => {
                own.sent(sent, self.sender.size(), first.in_window);
                own.open = own.left > 0;
            }
            // A sender that was blocked when the run stopped.
            Err(_) if gate.stopped() => return false,
            Err(error) => return self.failed(flow, FlowFailure::send(error)),
        }
        own.open
    }

    /// A send failed. False: the flow has ended by it.
    #[cold]
    fn failed(&mut self, flow: usize, failure: FlowFailure) -> bool {
        match self.transients.outlive_datagrams(flow, failure) {
            // By a schedule the next datagram is due at its own time.
            Ok(pause) if !self.paced => std::thread::sleep(pause),
            Ok(_) => {}
            Err(failure) => {
                let own = &mut self.flows[flow];
                own.open = false;
                own.left = u64::MAX;
                self.worker.ended(flow, Err(failure));
                return false;
            }
        }
        true
    }

    /// Ends all streams and reports how they went.
    fn end(self, pacing: Option<schedule::ScheduleStats>) -> WorkerReport {
        // A flow that failed has ended already, and has something left.
        let whole = |own: &SenderFlow<'_>| own.open || own.left == 0;
        let flows: Vec<usize> =
            (0..self.flows.len()).filter(|&flow| whole(&self.flows[flow])).collect();
        // First, so that a window that ends by a count has no idle tail.
        flows.iter().for_each(|&flow| self.worker.ended(flow, Ok(())));
        send_end_markers(self.worker, &flows);
        let (kept, pacing) = pacing.map(|own| (own.kept, own.pacing)).unzip();
        let ids = self.worker.flows.ids.iter().copied();
        WorkerReport {
            schedule: kept,
            pacing,
            datagrams: Some(DatagramUse {
                segmented: Some(self.sender.segments()),
                per_send: u32::try_from(self.sender.datagrams()).ok(),
                joined: None,
            }),
            flow_datagrams: ids.zip(self.flows.iter().map(|own| own.counts)).collect(),
            transient_errors: self.transients.into_counts(),
            ..WorkerReport::default()
        }
    }
}

impl SenderFlow<'_> {
    #[inline]
    fn sent(&mut self, datagrams: usize, size: usize, in_window: bool) {
        let count = datagrams as u64;
        self.left = self.left.saturating_sub(count);
        self.counts.life.sent += count;
        if in_window {
            self.counts.window.sent += count;
        }
        self.tally.sent(datagrams * size);
        self.tally.datagrams(&Datagrams { sent: self.counts.life.sent, ..Datagrams::default() });
    }
}
