//! What netserver answers: forms that it fills in by what is asked and what was done.

use nix::unistd::{SysconfVar, sysconf};

use super::data_socket::DataSocket;
use super::order::Order;
use super::run_test;
use crate::data::Totals;
use crate::test_kind::{Protocol, TestDirection};
use crate::wire::ask::{MEASURE_CPU, NO_DELAY};
use crate::wire::reply::{OmniResponse, OmniResults};
use crate::wire::{UNKNOWN, WireMessage, kind};

/// What netserver answers to what it does not know.
pub(super) fn unknown() -> WireMessage {
    WireMessage::answer(0, UNKNOWN)
}

/// The clock ticks of /proc/stat a second, which netperf takes for a rate of 100 %.
pub(super) fn calibration() -> WireMessage {
    let mut message = WireMessage::of(kind::CPU_CALIBRATE);
    message.put(8, 100.0_f32);
    let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    message.put(12, cpus.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1));
    message
}

/// The answer to a request: what its test will be.
pub(super) fn response(order: &Order, data_socket: &DataSocket) -> OmniResponse {
    let granted = &data_socket.granted;
    let request = &order.request;
    let [send, receive] = run_test::sizes(order, data_socket).map(Some);
    let (send_size, receive_size, rings) = match order.shape.direction {
        TestDirection::Send => (request.send_size, receive, 2),
        TestDirection::Receive => (send, request.receive_size, 2),
        _ => (Some(order.response_bytes), Some(order.request_bytes), 1),
    };
    // Rings make no difference here; the answer names what netperf would take.
    let ring = |[_, _, width]: [u32; 3]| if width > 0 { width } else { rings };
    OmniResponse {
        errno: 0,
        receive_buffer: granted.receive_buffer,
        receive_size,
        send_buffer: granted.send_buffer,
        send_size,
        receive_width: ring(request.receive_ring),
        send_width: ring(request.send_ring),
        flags: if granted.no_delay { NO_DELAY } else { 0 }
            | if order.measure_cpu { MEASURE_CPU } else { 0 },
        cpu_rate: if order.measure_cpu { 100.0 } else { 0.0 },
        data_port: data_socket.port,
        priority: order.ask.priority.and(granted.priority),
        tos: order.ask.tos.and(granted.tos),
    }
}

/// What this end counted.
pub(super) fn results(order: &Order, totals: &Totals) -> OmniResults {
    let end = &totals.end;
    OmniResults {
        errno: 0,
        counters: totals.counters,
        receive_buffer: end.receive_buffer,
        send_buffer: end.send_buffer,
        elapsed_seconds: totals.elapsed.as_secs_f32(),
        cpu: totals.cpu.filter(|_| order.measure_cpu),
        retransmits: end.retransmits.filter(|_| order.shape.protocol == Protocol::Tcp),
        congestion_control: end.congestion_control.clone().unwrap_or_default(),
    }
}
