//! Datagrams: streams with sequence numbers and stamps, and requests and responses of one datagram
//! each.
//!
//! UDP has no end of a stream, so an empty datagram stands for it. It is sent again until the other
//! end answers with one, a bounded number of times; a receiver that never sees it ends some time
//! after the stop. A receiver goes on for a moment after it, for what was overtaken.

mod numbered;
mod receive;
mod request;
mod respond;
mod send;
mod track;
mod unframed;

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::multiplex::{self, Interest, Multiplex};
use crate::workload::{FlowFailure, Worker, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::FlowRole;
use podperf_model::plan::udp::{UdpPlan, UdpRrPlan};
use podperf_model::result::run::Multiplexing;
use podperf_sys::socket;

/// The time between two end markers.
const END_MARKER_INTERVAL: Duration = Duration::from_millis(10);
/// End markers sent at most: answers may take this many intervals.
const MAX_END_MARKERS: u32 = 30;
/// How long a receiver waits after the end marker for datagrams that it overtook.
const AFTER_END_TIMEOUT: Duration = Duration::from_millis(50);
/// After the stop, a receiver gives up waiting for the end marker when nothing comes for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends or receives streams of datagrams, by the role of the worker.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    match worker.flows.role {
        _ if worker.shared.compat.unframed => unframed::run(worker, plan),
        FlowRole::Send => send::run(worker, plan),
        _ => receive::run(worker, plan),
    }
}

/// Requests or responds, by the role of the worker.
pub(super) fn run_rr(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    match worker.flows.role {
        _ if worker.shared.compat.unframed => unframed::run_rr(worker, plan),
        FlowRole::Request => numbered::run(worker, plan),
        _ => respond::run(worker, plan),
    }
}

/// Nothing was there within the socket's timeout, or the call was interrupted.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::TimedOut)
}

/// How a worker waits for something to receive.
enum ReceiveWait {
    /// One flow: in the receive call.
    Alone,
    Many(Multiplex),
}

impl ReceiveWait {
    fn open(worker: &Worker<'_>) -> Result<(Self, Multiplexing)> {
        if worker.flows.ids.len() == 1 {
            return Ok((Self::Alone, Multiplexing::Blocking));
        }
        let multiplex =
            Multiplex::open(&worker.sockets(), Interest::Receive).map_err(multiplex::refused)?;
        Ok((Self::Many(multiplex), Multiplexing::Epoll))
    }

    /// Waits until flows can receive, or 100 ms, and returns which.
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), FlowFailure> {
        ready.clear();
        match self {
            Self::Alone => ready.push(0),
            Self::Many(multiplex) => {
                let wait = multiplex.wait(false);
                let wait = wait.map_err(FlowFailure::of("wait for"))?;
                ready.extend(wait.map(|ready| ready.flow));
            }
        }
        Ok(())
    }
}

/// What the receiver of a flow knows about its end.
#[derive(Debug, Clone, Copy)]
struct EndState {
    /// When something last came.
    last_received: Instant,
    /// When the first end marker came.
    marked_at: Option<Instant>,
}

impl EndState {
    const fn new(now: Instant) -> Self {
        Self { last_received: now, marked_at: None }
    }

    /// Notes an end marker and answers it. True: it is the first, so that the flow has ended, but
    /// for what it overtook.
    fn mark(&mut self, socket: &Socket, now: Instant) -> bool {
        // Another one comes if this answer is lost.
        let _ = socket::send(socket, &[]);
        let first = self.marked_at.is_none();
        self.marked_at.get_or_insert(now);
        first
    }

    /// Whether the flow is over; false inside: no end marker came.
    fn over(&self, now: Instant, stopped: bool) -> Option<bool> {
        match self.marked_at {
            Some(marked_at) => (now.duration_since(marked_at) >= AFTER_END_TIMEOUT).then_some(true),
            None => {
                (stopped && now.duration_since(self.last_received) >= IDLE_TIMEOUT).then_some(false)
            }
        }
    }
}

/// Ends the worker's flows among `open` by end markers, until all are answered or as many as may be
/// have been sent.
fn send_end_markers(worker: &Worker<'_>, open: &[usize]) {
    let mut unanswered: Vec<usize> = open.to_vec();
    for _ in 0..MAX_END_MARKERS {
        // A socket that refuses is ended already, but for what became of an earlier datagram, which
        // may be told here in place of the send.
        let send = |flow| {
            let socket = worker.socket(flow);
            socket::send(socket, &[]).or_else(|_| socket::send(socket, &[]))
        };
        unanswered.retain(|&flow| send(flow).is_ok());
        if unanswered.is_empty() {
            return;
        }
        std::thread::sleep(END_MARKER_INTERVAL);
        unanswered.retain(|&flow| !answered(worker.socket(flow)));
    }
}

/// Whether the peer has answered an end marker; late responses before it are passed over.
fn answered(socket: &Socket) -> bool {
    /// Datagrams passed over at most.
    const MAX_LATE_DATAGRAMS: usize = 64;
    let mut discarded = [std::mem::MaybeUninit::uninit(); 64];
    for _ in 0..MAX_LATE_DATAGRAMS {
        match socket.recv_with_flags(&mut discarded, libc::MSG_DONTWAIT) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !is_transient(&error),
        }
    }
    false
}
