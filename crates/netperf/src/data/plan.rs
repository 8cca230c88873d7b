//! A job as a plan for the engine, and what it does otherwise than podperf between two of its own.

use std::time::Duration;

use super::Job;
use crate::test_kind::{Protocol, TestDirection, TestLength};
use podperf_engine::workload::compat::CompatOptions;
use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
use podperf_model::plan::{self, Backend, Close, CrrPlan, EndPlan, Pin, Plan, RrPlan, StreamPlan};
use podperf_model::plan::{ReceiveMethod, SendMethod, SocketPlan, Workload};
use podperf_model::units::Bytes;

/// The plan of one end. It is not the other end's: sizes of calls and lengths differ.
pub(super) fn of(job: &Job) -> Plan {
    let end = EndPlan {
        pin: job.cpu.map_or(Pin::None, |cpu| Pin::List(vec![cpu])),
        ..EndPlan::default()
    };
    Plan {
        workload: workload(job),
        stop_condition: extent(job),
        // No text of netperf has a place for errors that were outlived, but it rides ICMP out.
        strict: !job.shape.direction.transacts(),
        pacing: None,
        warm_up: Duration::ZERO,
        interval: Duration::from_secs(1),
        stall_timeout: plan::STALL_TIMEOUT,
        flows: job.streams,
        client: end.clone(),
        server: end,
        socket: SocketPlan::default(),
    }
}

/// How it differs from what podperf does between two of its own.
pub(super) fn compat(job: &Job) -> CompatOptions {
    CompatOptions {
        times_calls: job.timed && !job.shape.direction.transacts(),
        pace: job.pace,
        payload: job.payload.clone(),
        awaits_peer: true,
        unframed: true,
        limits_responses: job.limits_responses,
        in_flight: job.in_flight,
    }
}

/// Without a count the window has to open before the first byte all the same, so the count is one
/// that is never reached. A receiver of a stream counts nothing: its sender ends it.
fn extent(job: &Job) -> plan::StopCondition {
    let TestLength::Units(units) = job.length else {
        return plan::StopCondition::Transactions { total: u64::MAX };
    };
    if job.shape.direction.transacts() {
        plan::StopCondition::Transactions { total: units }
    } else {
        // netperf moves whole messages.
        let message = u64::from(job.send_bytes.max(1));
        plan::StopCondition::Bytes {
            total_bytes: Bytes(units.div_ceil(message).saturating_mul(message)),
        }
    }
}

fn workload(job: &Job) -> Workload {
    let (request_bytes, response_bytes) =
        (Bytes(job.request_bytes.into()), Bytes(job.response_bytes.into()));
    let direction = if job.shape.direction == TestDirection::Receive {
        plan::Direction::Down
    } else {
        plan::Direction::Up
    };
    let message =
        |sends: bool| Bytes(if sends { job.send_bytes } else { job.receive_bytes }.into());
    // netperf's end sends up, netserver's down.
    let sends = (direction == plan::Direction::Up) == (job.role == plan::Role::Client);
    match (job.shape.direction, job.shape.protocol) {
        (TestDirection::Send | TestDirection::Receive, Protocol::Tcp) => {
            Workload::Stream(StreamPlan {
                direction,
                message_bytes: message(sends),
                send: if job.sendfile { SendMethod::Sendfile } else { SendMethod::Write },
                receive: ReceiveMethod::Read,
            })
        }
        (TestDirection::Send | TestDirection::Receive, Protocol::Udp) => Workload::Udp(UdpPlan {
            direction,
            datagram_bytes: Some(message(sends)),
            bits_per_second: None,
            gso: Offload::Off,
            gro: Offload::Off,
            fragment: true,
        }),
        (TestDirection::RequestResponse, Protocol::Tcp) => Workload::Rr(RrPlan {
            request_bytes,
            response_bytes,
            burst: job.in_flight,
            rate_per_second: None,
            load: None,
            backend: Backend::Auto,
        }),
        (TestDirection::ConnectRequestResponse | TestDirection::Connect, _) => {
            Workload::Crr(CrrPlan {
                request_bytes,
                response_bytes,
                rate_per_second: None,
                close: Close::Server,
            })
        }
        (TestDirection::RequestResponse, Protocol::Udp) => Workload::UdpRr(UdpRrPlan {
            request_bytes,
            response_bytes,
            timeout: job.receive_timeout,
            fragment: true,
        }),
    }
}
