//! The threads: each pins itself, prepares, waits at the gate, works, and never takes others down.

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::unistd::{Pid, gettid};
use socket2::Socket;

use crate::metrics::topology::{allowed_cpus, allowed_cpus_of};
use crate::workload::gate::Phase;
use crate::workload::{
    self, FlowEnded, FlowFailure, Shared, Worker, WorkerFlows, WorkerReady, WorkerReport,
};
use podperf_model::error::{Code, Context, During, Error, Kind, Result};
use podperf_model::plan::cpu_list;
use podperf_sys::socket;

/// Room for the loop and the system calls; buffers are on the heap.
const STACK_BYTES: usize = 256 << 10;

/// A worker that is ready, on this CPU if it is pinned.
#[derive(Debug, Clone)]
pub(super) struct PlacedWorker {
    pub(super) cpu: Option<u32>,
    thread_id: Pid,
    pub(super) ready: WorkerReady,
}

/// A worker's number, and that it is ready or why it cannot be.
type ReadyMessage = (usize, Result<PlacedWorker>);

/// All workers of one end. However it is dropped, no thread stays behind.
#[derive(Debug)]
pub(super) struct WorkerPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<WorkerReport>>,
    /// Of those that are ready, in the threads' order.
    thread_ids: Vec<Pid>,
    ready: Receiver<ReadyMessage>,
}

impl WorkerPool {
    /// Starts one thread a worker.
    pub(super) fn start(
        shared: &Arc<Shared>,
        assigned: Vec<WorkerFlows>,
        cpus: &[Option<u32>],
    ) -> Result<Self> {
        let (sender, ready) = bounded(assigned.len());
        let count = assigned.len();
        let mut pool = Self {
            shared: Arc::clone(shared),
            threads: Vec::with_capacity(count),
            thread_ids: Vec::new(),
            ready,
        };
        for (number, flows) in assigned.into_iter().enumerate() {
            let (shared, sender) = (Arc::clone(shared), sender.clone());
            let cpu = cpus.get(number).copied().flatten();
            let thread = std::thread::Builder::new()
                .name(format!("podperf-w{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&shared, &flows, number, cpu, &sender))
                .during(format!("start worker {number} of {count}"))
                .with_remedy("use fewer --workers, or raise the limit on processes")?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Waits until every worker is ready, and returns what each reports.
    pub(super) fn wait_ready(&mut self, deadline: Instant) -> Result<Vec<PlacedWorker>> {
        let mut all = vec![None; self.threads.len()];
        for _ in 0..self.threads.len() {
            let (number, ready) = self.ready.recv_deadline(deadline).map_err(|_| {
                Error::new(Kind::Unmeasured, "prepare workers", "one did not get ready in time")
                    .with_code(Code::Timeout)
            })?;
            all[number] = Some(ready?);
        }
        let all: Vec<PlacedWorker> = all.into_iter().flatten().collect();
        self.thread_ids = all.iter().map(|worker| worker.thread_id).collect();
        Ok(all)
    }

    /// CPUs that the workers may use now, all together; absent when one of them has come to its
    /// end, or the system does not tell.
    pub(super) fn allowed_cpus(&self) -> Option<Vec<u32>> {
        let mut cpus = BTreeSet::new();
        for (thread, &id) in self.threads.iter().zip(&self.thread_ids) {
            let allowed = allowed_cpus_of(id).ok()?;
            // An id may be another's once its thread is gone.
            if thread.is_finished() {
                return None;
            }
            cpus.extend(allowed);
        }
        Some(cpus.into_iter().collect())
    }

    /// Some worker has not come to its end.
    pub(super) fn running(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// Ends whatever still runs and collects the reports of the workers. A worker that panicked has
    /// sent an event and reports nothing.
    pub(super) fn join(&mut self) -> Vec<WorkerReport> {
        self.cut_off()
    }

    fn cut_off(&mut self) -> Vec<WorkerReport> {
        self.shared.gate.advance(Phase::Cut);
        if let Some(connections) = &self.shared.connections {
            connections.cut_off();
        }
        for socket in &self.shared.sockets {
            // Wakes whatever still waits; a socket that is closed already does not mind.
            let _ = socket.shutdown(Shutdown::Both);
        }
        // Again while some thread works: a connection may not be broken off under a call.
        while self.break_off() && self.running() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let reports = self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect();
        self.break_off();
        reports
    }

    /// Breaks off the streams whose peer has not taken what was sent: closed as they are, the
    /// kernel would keep that, and the pages it lies in, for minutes. Whether there were any.
    fn break_off(&self) -> bool {
        let unfinished = self.unfinished();
        unfinished.iter().for_each(|socket| _ = socket::break_off(socket));
        !unfinished.is_empty()
    }

    /// Streams whose peer has not acknowledged everything that was sent.
    pub(super) fn unfinished(&self) -> Vec<&Socket> {
        if self.shared.plan.workload.is_udp() {
            return Vec::new();
        }
        let unfinished = |socket: &&Socket| socket::unacknowledged(socket).is_ok_and(|own| own > 0);
        self.shared.sockets.iter().filter(unfinished).collect()
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.cut_off();
    }
}

/// Runs one worker from its pinning to its report.
fn work(
    shared: &Shared,
    flows: &WorkerFlows,
    number: usize,
    cpu: Option<u32>,
    sender: &Sender<ReadyMessage>,
) -> WorkerReport {
    let cpu = match cpu.map(pin).transpose() {
        Ok(cpu) => cpu,
        Err(error) => {
            let _ = sender.send((number, Err(error)));
            return WorkerReport::default();
        }
    };
    let ready = |ready: Result<WorkerReady>| {
        let refused = ready.is_err();
        // The engine may have given up waiting; the gate then says stop.
        let _ = sender
            .send((number, ready.map(|ready| PlacedWorker { cpu, thread_id: gettid(), ready })));
        !refused && shared.gate.wait()
    };
    let worker = Worker { shared, flows, ready: &ready };
    catch_unwind(AssertUnwindSafe(|| workload::run(&worker))).unwrap_or_else(|_| {
        for flow in flows.ids.clone() {
            let panic = Error::new(Kind::Incomplete, "work on", "a panic");
            let failure = FlowFailure::from(panic.with_code(Code::Internal));
            let flow = u32::try_from(flow).unwrap_or(u32::MAX);
            let _ = shared.events.try_send(FlowEnded { flow, failure: Some(failure) });
        }
        WorkerReport::default()
    })
}

/// Pins the calling thread, among the CPUs that it was given, and reads back where it may run.
fn pin(cpu: u32) -> Result<u32> {
    const REMEDY: &str = "choose among these with --pin (the server's end: --server-pin), or none";
    let operation = format!("pin a worker to CPU {cpu}");
    let failed =
        |cause: &str| Error::new(Kind::Unmeasured, operation.clone(), cause).with_remedy(REMEDY);
    // The kernel would let it out of what its process was started with (taskset).
    let allowed = allowed_cpus().map_err(|why| failed(&why))?;
    if !allowed.contains(&cpu) {
        let allowed = cpu_list(&allowed);
        return Err(failed(&format!("this end's process may use the CPUs {allowed} alone")));
    }
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu as usize }) {
        return Err(failed(&format!("the kernel refused; allowed: {}", cpu_list(&allowed))));
    }
    let granted = allowed_cpus().map_err(|why| failed(&why))?;
    if granted == [cpu] {
        Ok(cpu)
    } else {
        Err(failed(&format!("it may run on {}", cpu_list(&granted))))
    }
}
