//! One send and one receive by each method: real workers over one loopback connection, each timed
//! by the CPU clock of its own thread.
//!
//! Enters: two methods and a number of bytes. Leaves: what the two workers used. On loopback the
//! kernel receives in the sender's context (net/core/dev.c, __netif_rx), so that is in the
//! sender's figure; waiting is in neither.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use socket2::{Domain, Protocol, Socket, Type};

use super::{CONGESTION_CONTROL, MESSAGE_BYTES, runs};
use crate::metrics::process::thread_cpu_ns;
use crate::transport::socket;
use crate::workload::compat::CompatOptions;
use crate::workload::gate::{Gate, Phase};
use crate::workload::stream::auto::MethodChoice;
use crate::workload::tally::Tally;
use crate::workload::{self, FlowEnded, Shared, Worker, WorkerFlows, WorkerReady, WorkerReport};
use podperf_model::error::{Code, During, Error, Kind, Result};
use podperf_model::plan::{FlowRole, Plan, ReceiveMethod, SendMethod, StopCondition};
use podperf_model::result::calibration::CallCost;
use podperf_model::units::{Bytes, float};

/// How long a worker may take to prepare.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// What one worker used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerCost {
    /// CPU time of its thread.
    pub cpu: Duration,
    /// Calls that moved bytes.
    pub calls: u64,
    /// Bytes moved.
    pub bytes: u64,
}

impl WorkerCost {
    /// What one call by `method` cost on the mean.
    #[must_use]
    pub fn of_call<M>(&self, method: M) -> CallCost<M> {
        let calls = float(self.calls.max(1));
        let cpu_ns = self.cpu.as_secs_f64() * 1e9 / calls;
        CallCost { method, cpu_ns, mean_bytes: float(self.bytes) / calls }
    }
}

/// Both workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferCost {
    /// The one that sent.
    pub send: WorkerCost,
    /// The one that received.
    pub receive: WorkerCost,
}

/// Moves `bytes` (at least one) by these methods.
///
/// # Errors
/// When a method is refused or falls back to another, or when bytes were lost.
pub fn transfer(send: SendMethod, receive: ReceiveMethod, bytes: u64) -> Result<TransferCost> {
    let plan = Plan {
        stop_condition: StopCondition::Bytes { total_bytes: Bytes(bytes) },
        ..runs::stream_plan(send, receive, 1)
    };
    let (one, other) = pair(&plan)?;
    let ends = [
        LoopbackEnd::new(&plan, FlowRole::Send, one),
        LoopbackEnd::new(&plan, FlowRole::Receive, other),
    ];
    let (sender, ready) = bounded(ends.len());
    let [sent, received] = std::thread::scope(|scope| {
        let workers = ends.each_ref().map(|end| {
            let sender = sender.clone();
            scope.spawn(move || end.work(&sender))
        });
        let ready = release(&ends, &ready);
        let done = workers.map(|worker| worker.join().map_err(|_| panicked()));
        ready.map(|()| done)
    })?;
    let (sent, received) = (sent?, received?);
    as_asked(send.name(), sent.1.send.and_then(|own| Some(own.used?.name())))?;
    let used = received.1.receive.and_then(|own| Some(own.bytes.first()?.method.name()));
    as_asked(receive.name(), used)?;
    let moved = TransferCost { send: sent.0, receive: received.0 };
    if moved.send.bytes != bytes || moved.receive.bytes != bytes {
        let failures = ends.iter().filter_map(LoopbackEnd::failure);
        let failures: Vec<_> = failures.map(|failure| format!(": {failure}")).collect();
        let cause = format!(
            "{} of {bytes} B sent, {} B received{}",
            moved.send.bytes,
            moved.receive.bytes,
            failures.concat()
        );
        return Err(Error::new(Kind::Unmeasured, "move bytes over loopback", cause));
    }
    Ok(moved)
}

/// Starts both workers once both are ready; after a refusal neither.
fn release(ends: &[LoopbackEnd; 2], ready: &Receiver<Result<WorkerReady>>) -> Result<()> {
    let ready = ends.iter().try_for_each(|_| {
        let late = |_| {
            Error::new(Kind::Unmeasured, "prepare a worker", "not ready in time")
                .with_code(Code::Timeout)
        };
        let own = ready.recv_timeout(PREPARE_TIMEOUT).map_err(late)??;
        own.fallback.map_or(Ok(()), |why| Err(Error::new(Kind::Unmeasured, "fell back", why)))
    });
    for end in ends {
        match &ready {
            Ok(()) => end.shared.gate.start(Phase::Window),
            Err(_) => end.shared.gate.advance(Phase::Stop),
        }
    }
    ready
}

/// A method that gave way to another is not the one to be timed.
fn as_asked(asked: &str, used: Option<&str>) -> Result<()> {
    match used {
        Some(used) if used != asked => {
            let cause = format!("{used} was used");
            Err(Error::new(Kind::Unmeasured, format!("use {asked}"), cause))
        }
        _ => Ok(()),
    }
}

fn panicked() -> Error {
    Error::new(Kind::Unmeasured, "move bytes over loopback", "a worker panicked")
        .with_code(Code::Internal)
}

/// One worker's side.
struct LoopbackEnd {
    shared: Shared,
    flows: WorkerFlows,
    events: Receiver<FlowEnded>,
}

impl LoopbackEnd {
    fn new(plan: &Plan, role: FlowRole, socket: Socket) -> Self {
        let (sender, events) = bounded(1);
        let shared = Shared {
            plan: plan.clone(),
            gate: Gate::new(),
            sockets: vec![socket],
            connections: None,
            tallies: vec![Tally::default()],
            events: sender,
            choice: MethodChoice::default(),
            compat: CompatOptions::default(),
        };
        Self { shared, flows: WorkerFlows { role, ids: vec![0] }, events }
    }

    /// Works on the calling thread; what it used once it was released.
    fn work(&self, sender: &Sender<Result<WorkerReady>>) -> (WorkerCost, WorkerReport) {
        let released = Cell::new(0);
        let ready = |own: Result<WorkerReady>| {
            let refused = own.is_err();
            let _ = sender.send(own);
            let go = !refused && self.shared.gate.wait();
            released.set(thread_cpu_ns());
            go
        };
        let worker = Worker { shared: &self.shared, flows: &self.flows, ready: &ready };
        let report = workload::run(&worker);
        let cpu = Duration::from_nanos(thread_cpu_ns().saturating_sub(released.get()));
        let count = self.shared.tallies[0].read();
        let (calls, bytes) = match self.flows.role {
            FlowRole::Send => (count.send_calls, count.bytes_sent),
            _ => (count.receive_calls, count.bytes_received),
        };
        // A worker that failed leaves nobody waiting on the other end.
        let _ = self.shared.sockets[0].shutdown(match self.flows.role {
            FlowRole::Send => std::net::Shutdown::Write,
            _ => std::net::Shutdown::Both,
        });
        (WorkerCost { cpu, calls, bytes }, report)
    }

    fn failure(&self) -> Option<Error> {
        Some(self.events.try_recv().ok()?.failure?.into_error())
    }
}

/// Two ends of one loopback connection, tuned as the ends of a run are.
fn pair(plan: &Plan) -> Result<(Socket, Socket)> {
    let open = || Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP));
    let listen = || -> io::Result<Socket> {
        let listener = open()?;
        listener.set_tcp_congestion(CONGESTION_CONTROL.as_bytes())?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(1)?;
        Ok(listener)
    };
    let listener = listen().during("listen on loopback")?;
    let one = open().during("open a socket")?;
    socket::before_connect(&one, &plan.socket)?;
    let connect = || {
        one.connect(&listener.local_addr()?)?;
        listener.accept()
    };
    let (other, _) = connect().during("connect over loopback")?;
    Ok((one, other))
}

/// What a stream of one message holds; so many iterations are that many bytes.
#[must_use]
pub const fn messages(count: u64) -> u64 {
    count.saturating_mul(MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use podperf_model::plan::Choice as _;

    use super::*;

    #[test]
    fn every_method_moves_every_byte_or_is_refused_with_a_reason() {
        for send in SendMethod::concrete() {
            for &receive in ReceiveMethod::ALL {
                // No whole number of messages.
                match transfer(send, receive, messages(3) + 1) {
                    Ok(moved) => {
                        assert_eq!(moved.send.bytes, messages(3) + 1);
                        assert!(moved.send.calls >= 4 && moved.receive.calls >= 1, "{moved:?}");
                    }
                    Err(error) => assert!(!error.cause.is_empty(), "{error}"),
                }
            }
        }
        assert!(transfer(SendMethod::Write, ReceiveMethod::Read, 1).is_ok());
    }
}
