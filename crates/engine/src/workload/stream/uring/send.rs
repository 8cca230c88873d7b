//! Sends by io_uring, copied or zero copy. Each flow has one chain of sends under way, so that its
//! bytes keep their order: one send of a large message, or several small ones in a row.

use std::io;
use std::time::{Duration, Instant};

use super::super::FIRST_STEP_BYTES;
use crate::workload::unfinished::UnfinishedFlows;
use crate::workload::worker_ring;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::SendMethod;
use podperf_model::result::end_result::{MovedBy, SendUse};
use podperf_model::result::run::Multiplexing;
use podperf_sys::uring::{
    Completion, CompletionKind, CompletionWait, Ring, RingError, RingSetup, SendMode,
};

/// Bytes that one chain hands over, unless one message is more.
const CHAIN_BYTES: usize = 64 << 10;
/// Sends of one chain at the most.
const MAX_CHAIN_SENDS: usize = 16;
/// Zero-copy sends of one flow that the kernel has not reported on; the next waits.
const MAX_UNREPORTED_SENDS: usize = 256;
/// How long to wait for the kernel's last reports once all flows have ended.
const LAST_REPORTS_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends messages of `message` bytes on every flow until the stop or until its budget is used up,
/// then ends the streams.
pub(in super::super) fn send(
    worker: &Worker<'_>,
    method: SendMethod,
    message: usize,
) -> WorkerReport {
    let Some(ring) = worker.wait_for_start(prepare(worker, method, message)) else {
        return WorkerReport::default();
    };
    let mut sender = UringSender::new(worker, ring, method, message);
    if let Err(failure) = sender.run() {
        worker.ended(0, Err(failure));
    }
    let bytes: u64 = worker.tallies().iter().map(|tally| tally.read().bytes_sent).sum();
    let mut used = SendUse { used: Some(method), ..sender.used };
    used.bytes.push(MovedBy { method, bytes: bytes.saturating_sub(sender.copied_instead) });
    if sender.copied_instead > 0 {
        used.bytes.push(MovedBy { method: SendMethod::Uring, bytes: sender.copied_instead });
    }
    WorkerReport { send: Some(used), ..WorkerReport::default() }
}

fn prepare(worker: &Worker<'_>, method: SendMethod, message: usize) -> Result<(Ring, WorkerReady)> {
    let fixed = method == SendMethod::UringZc;
    let message = worker.outgoing(message)?;
    let setup = RingSetup { message: &message, fixed, receive: None };
    let ring = worker_ring::open(worker, setup)
        .and_then(|ring| if fixed { probed(ring) } else { Ok(ring) })
        .map_err(|refused| worker_ring::error(&refused))?;
    Ok((ring, WorkerReady::by(Multiplexing::Uring)))
}

/// Sends an empty message by zero copy, to learn whether kernel and sockets can do it at all.
fn probed(mut ring: Ring) -> Result<Ring, RingError> {
    let refused = |error| RingError { call: "IORING_OP_SEND_ZC", error };
    ring.send(0, 0, SendMode::ZeroCopy).map_err(refused)?;
    let mut batch = Vec::new();
    while ring.under_way() > 0 {
        ring.enter(CompletionWait::AtMost(worker_ring::MAX_WAIT)).map_err(refused)?;
        ring.reap(&mut batch);
    }
    for done in batch.iter().filter(|done| done.kind == CompletionKind::Send) {
        done.bytes().map_err(refused)?;
    }
    Ok(ring)
}

/// The sending side of one flow.
#[derive(Default)]
struct UringSendFlow {
    /// Bytes that no send has been made for.
    left: u64,
    started: bool,
    /// Sends that have not completed.
    sends: usize,
    /// Zero-copy sends that the kernel has not reported on.
    unreported: usize,
    /// The last send has waited for room already.
    waited: bool,
    /// The next send is copied, for want of room.
    copies: bool,
}

struct UringSender<'a> {
    worker: &'a Worker<'a>,
    ring: Ring,
    how: SendMode,
    message: usize,
    chain: usize,
    flows: Vec<UringSendFlow>,
    /// Flows for whose last send the kernel had no room.
    starved: Vec<usize>,
    open: UnfinishedFlows<'a>,
    used: SendUse,
    /// Bytes sent by copying, for want of room.
    copied_instead: u64,
}

impl<'a> UringSender<'a> {
    fn new(worker: &'a Worker<'a>, ring: Ring, method: SendMethod, message: usize) -> Self {
        let flow = |index| UringSendFlow { left: worker.budget(index), ..UringSendFlow::default() };
        let flows = (0..worker.flows.ids.len()).map(flow).collect();
        let zero_copy = method == SendMethod::UringZc;
        Self {
            worker,
            ring,
            how: if zero_copy { SendMode::ZeroCopy } else { SendMode::Copy },
            message,
            chain: if zero_copy { 1 } else { (CHAIN_BYTES / message).clamp(1, MAX_CHAIN_SENDS) },
            flows,
            starved: Vec::new(),
            open: UnfinishedFlows::all(worker, true),
            used: SendUse::default(),
            copied_instead: 0,
        }
    }

    fn run(&mut self) -> Result<(), FlowFailure> {
        let mut batch = Vec::new();
        let mut cancelled = false;
        for flow in 0..self.flows.len() {
            self.go_on(flow)?;
        }
        while self.open.any() {
            worker_ring::round(&mut self.ring, &mut batch)?;
            // Something else has completed since they found no room, or 100 ms have passed.
            let starved = std::mem::take(&mut self.starved);
            for done in &batch {
                self.done(*done)?;
            }
            for number in starved {
                self.go_on(number)?;
            }
            if self.worker.gate().stopped() {
                (0..self.flows.len()).try_for_each(|flow| self.go_on(flow))?;
                if batch.is_empty() && !std::mem::replace(&mut cancelled, true) {
                    self.ring.cancel_all().map_err(worker_ring::failed)?;
                }
            }
        }
        let deadline = Instant::now() + LAST_REPORTS_TIMEOUT;
        while self.flows.iter().any(|flow| flow.unreported > 0) && Instant::now() < deadline {
            worker_ring::round(&mut self.ring, &mut batch)?;
            for done in &batch {
                self.done(*done)?;
            }
        }
        Ok(())
    }

    /// Starts the flow's next chain where nothing prevents it, or ends the flow.
    fn go_on(&mut self, number: usize) -> Result<(), FlowFailure> {
        let many = self.flows.len() > 1;
        let flow = &mut self.flows[number];
        if flow.sends > 0 || !self.open.has(number) {
            return Ok(());
        }
        if flow.left == 0 || self.worker.gate().stopped() {
            self.open.end(number, Ok(()));
            return Ok(());
        }
        if flow.unreported >= MAX_UNREPORTED_SENDS {
            return Ok(());
        }
        let (mut chain, mut longest) = (self.chain, self.message);
        if !std::mem::replace(&mut flow.started, true) {
            self.worker.tally(number).first_step(self.worker.since_release_ns());
            if many {
                (chain, longest) = (1, longest.min(FIRST_STEP_BYTES));
            }
        }
        self.ring.make_room(chain).map_err(worker_ring::failed)?;
        for link in 1..=chain {
            let length = usize::try_from(flow.left).unwrap_or(usize::MAX).min(longest);
            flow.left -= length as u64;
            flow.sends += 1;
            let last = link == chain || flow.left == 0;
            let how = match (last, flow.copies) {
                (false, _) => SendMode::Linked,
                (true, true) => SendMode::Copy,
                (true, false) => self.how,
            };
            self.ring.send(number, length, how).map_err(worker_ring::failed)?;
            if last {
                break;
            }
        }
        Ok(())
    }

    fn done(&mut self, done: Completion) -> Result<(), FlowFailure> {
        match done.kind {
            CompletionKind::Send => self.sent(done),
            CompletionKind::Released { copied } => {
                self.flows[done.socket].unreported -= 1;
                self.used.zerocopy_sends += 1;
                self.used.zerocopy_copied += u64::from(copied);
                self.go_on(done.socket)
            }
            _ => Ok(()),
        }
    }

    fn sent(&mut self, done: Completion) -> Result<(), FlowFailure> {
        let flow = &mut self.flows[done.socket];
        flow.sends -= 1;
        flow.unreported += usize::from(done.more);
        let how = if flow.copies { SendMode::Copy } else { self.how };
        let moved = match done.bytes() {
            Ok(moved) => {
                if flow.copies {
                    self.copied_instead += moved as u64;
                }
                (flow.waited, flow.copies) = (false, false);
                moved
            }
            Err(error) => {
                self.used.enobufs += u64::from(how == SendMode::ZeroCopy && no_room(&error));
                match after(&error, how, flow.waited, self.ring.under_way() > 0) {
                    FailedSend::Repeat => {}
                    FailedSend::Wait => {
                        flow.waited = true;
                        flow.left = flow.left.saturating_add(done.asked as u64);
                        self.starved.push(done.socket);
                        return Ok(());
                    }
                    FailedSend::Copy => flow.copies = true,
                    FailedSend::End => {
                        let stopped = self.worker.gate().stopped();
                        let result = if stopped { Ok(()) } else { Err(FlowFailure::send(error)) };
                        self.open.end(done.socket, result);
                        return Ok(());
                    }
                }
                0
            }
        };
        if moved > 0 {
            self.worker.tally(done.socket).sent(moved);
        }
        flow.left = flow.left.saturating_add((done.asked - moved.min(done.asked)) as u64);
        self.go_on(done.socket)
    }
}

/// What follows a send that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailedSend {
    /// The same bytes once more.
    Repeat,
    /// Likewise, when something else has completed: that makes room.
    Wait,
    /// Likewise, by copying: there is no room to wait for.
    Copy,
    /// The flow has failed.
    End,
}

/// As for MSG_ZEROCOPY (`transport::zerocopy`): a zero-copy send without room waits once, where
/// `others` are under way whose end makes room, and is copied in the end.
fn after(error: &io::Error, how: SendMode, waited: bool, others: bool) -> FailedSend {
    match how {
        _ if !no_room(error) && worker_ring::is_transient(error) => FailedSend::Repeat,
        _ if !no_room(error) => FailedSend::End,
        SendMode::ZeroCopy if waited || !others => FailedSend::Copy,
        _ if others => FailedSend::Wait,
        _ => FailedSend::End,
    }
}

/// The kernel had no room for what a zero-copy send needs.
fn no_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_without_room_waits_once_and_is_copied_then() {
        for errno in [libc::ENOBUFS, libc::ENOMEM] {
            let error = io::Error::from_raw_os_error(errno);
            for (how, waited, others, expected) in [
                (SendMode::ZeroCopy, false, true, FailedSend::Wait),
                (SendMode::ZeroCopy, true, true, FailedSend::Copy),
                // Nobody would make room.
                (SendMode::ZeroCopy, false, false, FailedSend::Copy),
                // What is copied already can only wait.
                (SendMode::Copy, false, true, FailedSend::Wait),
                (SendMode::Copy, true, true, FailedSend::Wait),
                (SendMode::Copy, true, false, FailedSend::End),
            ] {
                assert_eq!(after(&error, how, waited, others), expected, "{error}: {how:?}");
            }
        }
    }

    #[test]
    fn transient_failures_are_repeated_and_others_end_the_flow() {
        for how in [SendMode::ZeroCopy, SendMode::Copy] {
            for (errno, expected) in [
                (libc::EAGAIN, FailedSend::Repeat),
                (libc::EINTR, FailedSend::Repeat),
                (libc::ECANCELED, FailedSend::Repeat),
                (libc::EPIPE, FailedSend::End),
                (libc::ECONNRESET, FailedSend::End),
                (libc::EMSGSIZE, FailedSend::End),
            ] {
                let error = io::Error::from_raw_os_error(errno);
                assert_eq!(after(&error, how, false, true), expected, "{error}");
            }
        }
    }
}
