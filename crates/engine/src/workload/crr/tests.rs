//! Both ends over loopback: connections alone, and from ports of choice.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ConnectionSetup, ConnectionSource};
use crate::transport::short_lived::{Connector, PortRange, SessionListener};
use crate::workload::WorkerReport;
use crate::workload::compat::{CompatOptions, Pace};
use crate::workload::testing::{End, plan, play};
use podperf_model::plan::{
    Close, CrrPlan, FlowRole, Plan, SocketPlan, StopCondition, Wait, Workload,
};
use podperf_model::units::Bytes;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn crr((request, response): (u64, u64), close: Close, total: u64, flows: u32) -> Plan {
    let workload = Workload::Crr(CrrPlan {
        request_bytes: Bytes(request),
        response_bytes: Bytes(response),
        rate_per_second: None,
        close,
    });
    plan(workload, StopCondition::Transactions { total }, flows)
}

/// Carries `plan` out; what both ends and the client's workers bring home.
fn run_both(
    plan: &Plan,
    close: Close,
    ports: Option<PortRange>,
    compat: CompatOptions,
) -> (End, WorkerReport, WorkerReport) {
    let socket = SocketPlan::default();
    let address = SocketAddr::new(LOCAL, 0);
    let listener = SessionListener::open(address, LOCAL, &socket, Wait::Block, plan.flows).unwrap();
    let to = listener.socket().local_addr().unwrap().as_socket().unwrap();
    let ports = ports.map(Arc::new);
    let connector = Connector { to, bind: None, plan: socket, wait: Wait::Block, close, ports };
    let [client, server] =
        [ConnectionSource::Connect(connector), ConnectionSource::Listen(listener)].map(|source| {
            let mut end = End::new(plan.clone(), Vec::new(), compat.clone());
            end.shared.connections = Some(ConnectionSetup::new(source, to, plan.flows == 1));
            end
        });
    let (asked, answered) = play((&client, FlowRole::Request), (&server, FlowRole::Respond));
    assert_eq!((client.ended(), server.ended()), (plan.flows as usize, plan.flows as usize));
    (client, asked, answered)
}

#[test]
fn a_connection_that_carries_nothing_is_a_transaction_on_both_ends() {
    for sizes in [(0, 0), (3, 0), (0, 3), (3, 3)] {
        for close in [Close::Server, Close::Client] {
            for flows in [1, 3] {
                let plan = crr(sizes, close, 9, flows);
                let (client, asked, answered) =
                    run_both(&plan, close, None, CompatOptions::default());
                let case = format!("{sizes:?} {close:?} {flows}");
                assert_eq!(asked.latency.unwrap().count(), 9, "{case}");
                assert_eq!(asked.connections.unwrap().connections, 9, "{case}");
                let served = answered.connections.unwrap();
                assert_eq!((served.connections, served.broken), (9, 0), "{case}");
                let counts = client.shared.tallies.iter().map(|tally| tally.read());
                let bytes = counts.fold((0, 0), |(sent, received), count| {
                    (sent + count.bytes_sent, received + count.bytes_received)
                });
                assert_eq!(bytes, (9 * sizes.0, 9 * sizes.1), "{case}");
            }
        }
    }
}

#[test]
fn connections_come_from_the_ports_of_a_range() {
    let ports = PortRange::new(20_011..=20_030);
    let plan = crr((1, 1), Close::Server, 40, 1);
    let (_, asked, answered) =
        run_both(&plan, Close::Server, Some(ports), CompatOptions::default());
    let uses = asked.connections.unwrap();
    assert_eq!((uses.connections, answered.connections.unwrap().connections), (40, 40));
}

#[test]
fn transactions_come_in_bursts_where_that_is_asked_for() {
    let pace = Some(Pace { operations: 2, every: Duration::from_millis(20) });
    let since = Instant::now();
    let plan = crr((1, 1), Close::Server, 6, 1);
    let compat = CompatOptions { pace, ..CompatOptions::default() };
    let (_, asked, _) = run_both(&plan, Close::Server, None, compat);
    assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
    let latency = asked.latency.unwrap();
    assert_eq!(latency.count(), 6);
    assert!(latency.quantile_ns(0.5) < Some(20_000_000));
}
