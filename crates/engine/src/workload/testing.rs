//! Workers without an engine, for the tests of what they do.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use socket2::Socket;

use super::compat::CompatOptions;
use super::gate::{Gate, Phase};
use super::stream::auto::MethodChoice;
use super::tally::Tally;
use super::{FlowEnded, Shared, Worker, WorkerFlows, WorkerReport};
use crate::transport::datagram::tune_all;
use podperf_model::plan::{
    EndPlan, FlowRole, Plan, STALL_TIMEOUT, SocketPlan, StopCondition, Workload,
};

/// No end but the stop.
pub const ENDLESS: StopCondition = StopCondition::Transactions { total: u64::MAX };

/// A plan of `workload` on `flows` flows.
pub fn plan(workload: Workload, stop_condition: StopCondition, flows: u32) -> Plan {
    Plan {
        workload,
        stop_condition,
        strict: false,
        pacing: None,
        warm_up: Duration::ZERO,
        interval: Duration::from_secs(1),
        stall_timeout: STALL_TIMEOUT,
        flows,
        client: EndPlan::default(),
        server: EndPlan::default(),
        socket: SocketPlan::default(),
    }
}

/// Both ends of `flows` connections.
pub fn connections(flows: u32) -> (Vec<Socket>, Vec<Socket>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = |_| {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (stream.into(), listener.accept().unwrap().0.into())
    };
    (0..flows).map(pair).unzip()
}

/// Both ends of flows of datagrams, tuned as `plan` says.
pub fn datagrams(plan: &Plan) -> (Vec<Socket>, Vec<Socket>) {
    let pair = |_| {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        (one.into(), other.into())
    };
    let (one, other): (Vec<Socket>, Vec<Socket>) = (0..plan.flows).map(pair).unzip();
    tune_all(&one, plan).unwrap();
    tune_all(&other, plan).unwrap();
    (one, other)
}

/// One end with a worker for all flows.
pub struct End {
    /// What the workers share.
    pub shared: Shared,
    /// Flows that ended.
    pub events: Receiver<FlowEnded>,
    /// Its worker is past the gate.
    moving: AtomicBool,
}

impl End {
    /// Its window is open.
    pub fn new(plan: Plan, sockets: Vec<Socket>, compat: CompatOptions) -> Self {
        let flows = plan.connections() as usize;
        let (sender, events) = bounded(flows + 1);
        let gate = Gate::new();
        gate.start(Phase::Window);
        let shared = Shared {
            plan,
            gate,
            sockets,
            connections: None,
            tallies: (0..flows).map(|_| Tally::default()).collect(),
            events: sender,
            choice: MethodChoice::default(),
            compat,
        };
        Self { shared, events, moving: AtomicBool::new(false) }
    }

    /// Plays `role` on all flows.
    pub fn play(&self, role: FlowRole) -> WorkerReport {
        let flows = WorkerFlows { role, ids: (0..self.shared.tallies.len()).collect() };
        let shared = &self.shared;
        let ready = |wait_for_start: podperf_model::error::Result<super::WorkerReady>| {
            wait_for_start.unwrap();
            let open = shared.gate.wait();
            self.moving.store(true, Ordering::Relaxed);
            open
        };
        super::run(&Worker { shared, flows: &flows, ready: &ready })
    }

    /// Senders and requesters stop.
    pub fn stop(&self) {
        self.shared.gate.advance(Phase::Stop);
    }

    /// The flows that have ended, none of them by a failure.
    pub fn ended(&self) -> usize {
        self.events
            .try_iter()
            .inspect(|ended| assert!(ended.failure.is_none(), "{ended:?}"))
            .count()
    }
}

/// What both ends bring home when each plays its part and the second is stopped once the first has
/// come to its end.
pub fn play(
    (one, role): (&End, FlowRole),
    (other, against): (&End, FlowRole),
) -> (WorkerReport, WorkerReport) {
    std::thread::scope(|scope| {
        let second = scope.spawn(|| other.play(against));
        let first = one.play(role);
        while !other.moving.load(Ordering::Relaxed) {
            assert!(!second.is_finished());
            std::thread::sleep(Duration::from_millis(1));
        }
        other.stop();
        (first, second.join().unwrap())
    })
}
