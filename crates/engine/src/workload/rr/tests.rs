//! Requesters over loopback, against responders and plain connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::workload::compat::{CompatOptions, Pace};
use crate::workload::testing::{End, connections, plan, play};
use podperf_model::plan::{Backend, FlowRole, Plan, RrPlan, StopCondition, Workload};
use podperf_model::units::Bytes;

fn rr(burst: u32, total: u64, flows: u32) -> Plan {
    let workload = Workload::Rr(RrPlan {
        request_bytes: Bytes(2),
        response_bytes: Bytes(3),
        burst,
        rate_per_second: None,
        load: None,
        backend: Backend::Auto,
    });
    plan(workload, StopCondition::Transactions { total }, flows)
}

#[test]
fn a_requester_that_awaits_its_peer_ends_when_that_does() {
    for burst in [1, 2] {
        let plan = rr(burst, 4, 1);
        let (own, mut others) = connections(1);
        let compat = CompatOptions {
            awaits_peer: true,
            payload: Some(b"x"[..].into()),
            ..CompatOptions::default()
        };
        let requester = End::new(plan, own, compat);
        let mut plain = TcpStream::from(others.remove(0));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| requester.play(FlowRole::Request));
            let mut request = [0; 2];
            for _ in 0..4 {
                plain.read_exact(&mut request).unwrap();
                assert_eq!(&request, b"xx");
                plain.write_all(b"yes").unwrap();
            }
            assert_eq!(plain.read(&mut request).unwrap(), 0);
            std::thread::sleep(Duration::from_millis(50));
            assert!(!asking.is_finished());
            assert_eq!(requester.ended(), 0);
            drop(plain);
        });
        assert_eq!((requester.ended(), requester.shared.tallies[0].read().transactions), (1, 4));
    }
}

#[test]
fn both_ends_come_to_their_end_where_one_awaits_the_other() {
    for (burst, flows) in [(1, 1), (3, 1), (1, 2)] {
        let plan = rr(burst, 20, flows);
        let (own, others) = connections(flows);
        let compat = CompatOptions { awaits_peer: true, ..CompatOptions::default() };
        let requester = End::new(plan.clone(), own, compat.clone());
        let responder = End::new(plan, others, compat);
        let both = std::thread::scope(|scope| {
            let responding = scope.spawn(|| responder.play(FlowRole::Respond));
            // The responder's sockets close when it has seen the end of each stream.
            let asking = scope.spawn(|| requester.play(FlowRole::Request));
            responding.join().unwrap();
            for socket in &responder.shared.sockets {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            asking.join().unwrap()
        });
        assert_eq!(both.latency.unwrap().count(), 20);
        assert_eq!((requester.ended(), responder.ended()), (flows as usize, flows as usize));
    }
}

#[test]
fn requests_come_in_bursts_where_that_is_asked_for() {
    let pace = Some(Pace { operations: 2, every: Duration::from_millis(20) });
    for burst in [1, 3] {
        let plan = rr(burst, 6, 1);
        let (own, others) = connections(1);
        let requester =
            End::new(plan.clone(), own, CompatOptions { pace, ..CompatOptions::default() });
        let responder = End::new(plan, others, CompatOptions::default());
        let since = Instant::now();
        let (asked, _) = play((&requester, FlowRole::Request), (&responder, FlowRole::Respond));
        assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
        let latency = asked.latency.unwrap();
        // The wait is no part of a transaction.
        assert!(latency.quantile_ns(0.5) < Some(20_000_000));
        assert_eq!((latency.count(), requester.ended(), responder.ended()), (6, 1, 1));
    }
}
