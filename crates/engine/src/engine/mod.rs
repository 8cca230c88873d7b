//! One end's part of a run: prepare → start → window → stop.
//!
//! Enters: a plan, this end's role, and one connected socket a flow. Leaves: readings when asked
//! for, an event for each flow that ends by itself, and a report at the end. The engine knows
//! neither the control connection nor the other end.

mod drain;
pub mod placement;
mod report;
mod stall;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use socket2::{Socket, Type};

use crate::metrics::flow;
use crate::metrics::host_reader::HostReader;
use crate::metrics::ports;
use crate::metrics::roots::Roots;
use crate::metrics::topology::Topology;
use crate::transport::datagram::socket_drops;
use crate::workload::compat::CompatOptions;
use crate::workload::crr::{ConnectionSetup, ConnectionSource};
use crate::workload::gate::{Gate, Phase};
use crate::workload::stream::auto::MethodChoice;
use crate::workload::tally::Tally;
use crate::workload::{FlowEnded, Shared};
use podperf_model::error::{During, Error, Result};
use podperf_model::facts::HostFacts;
use podperf_model::plan::{FlowRole, Plan, Role, StopCondition};
use podperf_model::reading::{FlowCounters, Reading};
use podperf_model::result::end_result::{EndFacts, EndReport};
use podperf_model::result::run::{PlacementFacts, SocketFacts};

pub use drain::{DrainWatch, MAX_DRAIN};
pub use stall::StandstillWatch;

/// How long workers may take to allocate, pin and register.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);

/// For the peer to acknowledge what was sent, where nobody waits for the drain.
const LAST_BYTES_TIMEOUT: Duration = Duration::from_millis(200);

/// What an engine needs.
#[derive(Debug)]
pub struct EngineSetup {
    /// What to do.
    pub plan: Plan,
    /// Which end this is.
    pub role: Role,
    /// One connected socket a flow, tuned as planned, in order of flow id; none where connections
    /// do not last.
    pub sockets: Vec<Socket>,
    /// Where connections do not last: how they come about, and with whom.
    pub connection_source: Option<(ConnectionSource, SocketAddr)>,
    /// What the kernel granted each of them.
    pub granted: Vec<SocketFacts>,
    /// This end's fingerprint.
    pub host: HostFacts,
    /// Both ends are on one machine.
    pub same_machine: bool,
    /// Departures from the usual, for other programs.
    pub compat: CompatOptions,
}

/// One end of a run, its workers waiting at the gate or running.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    role: Role,
    peers: Vec<SocketAddr>,
    pool: worker::WorkerPool,
    events: Receiver<FlowEnded>,
    reader: HostReader,
    facts: EndFacts,
    ended: usize,
    /// Connections in TIME-WAIT before the start.
    time_wait: Option<u64>,
}

impl Engine {
    /// Starts the workers and waits until each has pinned itself, allocated and touched what it
    /// needs, and waits at the gate.
    ///
    /// # Errors
    /// When a thread cannot be started or pinned, or one does not get ready in time. No worker is
    /// left behind.
    pub fn prepare(setup: EngineSetup) -> Result<Self> {
        let EngineSetup {
            plan,
            role,
            sockets,
            connection_source,
            granted,
            host,
            same_machine,
            compat,
        } = setup;
        let roots = Roots::default();
        let topology = Topology::read(&roots);
        let node = host.device.as_ref().and_then(|device| device.numa_node);
        let cpus = topology.order(node);
        let mut assigned = placement::assign(&plan, role, cpus.len(), compat.pace.is_some());
        let pinning = placement::pin(plan.end(role), assigned.len(), &cpus, same_machine);
        let steered = (role == Role::Server && !same_machine)
            .then(|| placement::steer(&mut assigned, &pinning.cpus, &incoming_cpus(&sockets)))
            .flatten();
        let peers =
            peers(&sockets, connection_source.as_ref().map(|(_, peer)| *peer), plan.connections())?;
        let alone = assigned.iter().all(|worker| worker.ids.len() == 1);
        // Every flow ends once, and every worker may fail once as a whole.
        let (sender, events) = bounded(peers.len() + assigned.len());
        let shared = Arc::new(Shared {
            tallies: peers.iter().map(|_| Tally::default()).collect(),
            plan,
            gate: Gate::new(),
            sockets,
            connections: connection_source.map(|(connection_source, peer)| {
                ConnectionSetup::new(connection_source, peer, alone)
            }),
            events: sender,
            choice: MethodChoice::default(),
            compat,
        });
        let time_wait = ports::time_wait(&roots);
        let mut pool = worker::WorkerPool::start(&shared, assigned, &pinning.cpus)?;
        let ready = pool.wait_ready(Instant::now() + PREPARE_TIMEOUT)?;
        let wait = shared.plan.end(role).wait;
        let placement = PlacementFacts { wait, steered, ..placement_facts(&ready, pinning.reason) };
        let reader =
            HostReader::open(&roots).with_device(host.device.as_ref().map(|device| device.index));
        let mut host = host;
        let reasons = reader.unknown().iter();
        host.unknown.extend(reasons.map(|(name, why)| (format!("counters.{name}"), why.clone())));
        let facts = EndFacts { host, placement, sockets: granted, pid: std::process::id() };
        Ok(Self { shared, role, peers, pool, events, reader, facts, ended: 0, time_wait })
    }

    /// What is to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// The facts about this end, known before the start.
    #[must_use]
    pub const fn facts(&self) -> &EndFacts {
        &self.facts
    }

    /// The connected sockets of the flows, in their order; none where connections do not last.
    #[must_use]
    pub fn sockets(&self) -> &[Socket] {
        &self.shared.sockets
    }

    /// Flows that ended by themselves, as they do.
    #[must_use]
    pub const fn events(&self) -> &Receiver<FlowEnded> {
        &self.events
    }

    /// Releases the workers. Where the run ends by a count there is no warm-up: the window opens
    /// here, with the reading that is returned, before the first byte moves.
    pub fn start(&mut self) -> Option<Reading> {
        if matches!(self.shared.plan.stop_condition, StopCondition::Time { .. }) {
            self.shared.gate.start(Phase::WarmUp);
            return None;
        }
        let mut reading = self.read_counters();
        reading.at_ns = 0;
        self.shared.gate.start(Phase::Window);
        Some(reading)
    }

    /// Opens the window.
    pub fn open_window(&mut self) -> Reading {
        let reading = self.read_counters();
        self.shared.gate.advance(Phase::Window);
        reading
    }

    /// Closes the window; flows go on.
    pub fn close_window(&mut self) -> Reading {
        let reading = self.read_counters();
        self.shared.gate.advance(Phase::Tail);
        reading
    }

    /// Reads everything, clock and tallies first.
    pub fn read_counters(&mut self) -> Reading {
        let at = self.shared.gate.origin().map_or(Duration::ZERO, |origin| origin.elapsed());
        let udp = self.shared.plan.workload.is_udp();
        let count = |tally| counters(tally, udp);
        let mut flows: Vec<FlowCounters> = self.shared.tallies.iter().map(count).collect();
        let mut host = self.reader.read();
        host.worker_cpus_allowed = self.pool.allowed_cpus();
        for (counters, socket) in flows.iter_mut().zip(&self.shared.sockets) {
            if let Some(datagrams) = &mut counters.datagrams {
                datagrams.socket_drops = socket_drops(socket);
            } else {
                counters.tcp = flow::read(socket.as_fd());
            }
        }
        Reading { at_ns: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX), flows, host }
    }

    /// Bytes sent, bytes received and transactions of all flows so far.
    #[must_use]
    pub fn progress(&self) -> [u64; 3] {
        let counts = self.shared.tallies.iter().map(Tally::read);
        counts.fold([0; 3], |[sent, received, transactions], count| {
            [
                sent + count.bytes_sent,
                received + count.bytes_received,
                transactions + count.transactions,
            ]
        })
    }

    /// What to do about a flow's failure, or what the system's message leaves out.
    fn remedy(&self, errno: Option<i32>) -> Option<&'static str> {
        match errno? {
            libc::EADDRNOTAVAIL => Some(
                "all ports towards this peer are taken, most in TIME-WAIT: widen \
                 net.ipv4.ip_local_port_range, set net.ipv4.tcp_tw_reuse=1, close by rst or by the \
                 server (--close), or use more addresses",
            ),
            libc::ECONNREFUSED if self.shared.plan.workload.is_udp() => {
                Some("its UDP port is closed: ICMP port unreachable came")
            }
            libc::EMSGSIZE if self.shared.plan.workload.is_udp() => {
                Some("the path's MTU has become smaller: use -l or --fragment")
            }
            _ => None,
        }
    }

    /// Records that a flow has ended; returns what went wrong, if it was not planned.
    pub fn note(&mut self, ended: FlowEnded) -> Option<Error> {
        self.ended += 1;
        let mut error = ended.failure?.into_error().with_stream(ended.flow);
        if let Some(remedy) = self.remedy(error.errno) {
            error = error.with_remedy(remedy);
        }
        if let Some(peer) = self.peers.get(ended.flow as usize) {
            error = error.with_peer(peer);
        }
        error.at_seconds = self.window_seconds();
        Some(error)
    }

    /// Says when in the window an error was.
    #[must_use]
    pub fn at_time(&self, error: Error) -> Error {
        Error { at_seconds: self.window_seconds(), ..error }
    }

    /// Seconds since the window opened.
    #[must_use]
    pub fn window_seconds(&self) -> Option<f64> {
        self.shared.gate.opened_at().map(|at| at.elapsed().as_secs_f64())
    }

    /// Every flow of this end has ended.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.ended >= self.shared.tallies.len()
    }

    /// Senders and requesters stop, receivers read to the end. Events for their ends still come.
    pub fn wind_down(&mut self) {
        self.shared.gate.advance(Phase::Stop);
        for (id, socket) in (0..).zip(&self.shared.sockets) {
            // Wakes a sender that is blocked on a full socket; what it holds is still sent.
            // Datagrams are never waited for long, and a UDP socket could not say its end any more.
            if self.shared.plan.flow_role(self.role, id) == FlowRole::Send
                && !self.shared.plan.workload.is_udp()
            {
                let _ = socket.shutdown(Shutdown::Write);
            }
        }
        if let Some(connections) = &self.shared.connections {
            connections.close();
        }
    }

    /// Ends the run: senders and requesters stop, receivers read to the end; what has not ended
    /// within `drain` is cut off, and what the peer has not taken a moment later is dropped.
    pub fn stop(&mut self, drain: Duration) -> EndReport {
        self.wind_down();
        let begun = Instant::now();
        let wait_while = |timeout: Duration, goes_on: &dyn Fn() -> bool| {
            while begun.elapsed() < timeout && goes_on() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        wait_while(drain, &|| self.pool.running());
        wait_while(drain.max(LAST_BYTES_TIMEOUT), &|| !self.pool.unfinished().is_empty());
        let mut report = report::merge_reports(&self.shared, self.pool.join());
        if let Some(uses) = &mut report.connections {
            let roots = Roots::default();
            uses.time_wait_before = self.time_wait;
            uses.time_wait_after = ports::time_wait(&roots);
            uses.local_ports = ports::local_ports(&roots);
        }
        report
    }
}

/// The peer of each flow: that of its socket, or `connections` of all.
fn peers(
    sockets: &[Socket],
    connections: Option<SocketAddr>,
    flows: u32,
) -> Result<Vec<SocketAddr>> {
    if let Some(peer) = connections {
        return Ok(vec![peer; flows as usize]);
    }
    sockets.iter().map(peer).collect::<io::Result<_>>().during("look up the peer of a stream")
}

/// The CPU that handled each flow's last packet (SO_INCOMING_CPU, socket(7)), where it is known.
fn incoming_cpus(sockets: &[Socket]) -> Vec<Option<u32>> {
    let cpu = |socket: &Socket| u32::try_from(socket.cpu_affinity().ok()?).ok();
    sockets.iter().map(cpu).collect()
}

/// A socket of datagrams may get its peer later, before the start.
fn peer(socket: &Socket) -> io::Result<SocketAddr> {
    match socket.peer_addr() {
        Err(error)
            if error.kind() == io::ErrorKind::NotConnected && socket.r#type()? == Type::DGRAM =>
        {
            Ok((Ipv4Addr::UNSPECIFIED, 0).into())
        }
        address => address?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into()),
    }
}

/// Where the workers run and how they wait.
fn placement_facts(ready: &[worker::PlacedWorker], reason: String) -> PlacementFacts {
    let mut multiplexing: Vec<_> = ready.iter().map(|ready| ready.ready.multiplexing).collect();
    multiplexing.sort_unstable();
    multiplexing.dedup();
    let mut fallbacks: Vec<_> =
        ready.iter().filter_map(|ready| ready.ready.fallback.clone()).collect();
    fallbacks.sort_unstable();
    fallbacks.dedup();
    PlacementFacts {
        workers: u32::try_from(ready.len()).unwrap_or(u32::MAX),
        pinned_cpus: ready.iter().map(|ready| ready.cpu).collect(),
        reason,
        multiplexing,
        fallbacks,
        ..PlacementFacts::default()
    }
}

fn counters(tally: &Tally, udp: bool) -> FlowCounters {
    let count = tally.read();
    FlowCounters {
        bytes_sent: count.bytes_sent,
        bytes_received: count.bytes_received,
        transactions: count.transactions,
        latency_sum_ns: count.latency_sum_ns,
        tcp: None,
        datagrams: udp.then_some(count.datagrams),
    }
}
