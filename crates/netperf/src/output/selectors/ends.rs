//! Figures of either end: buffers, sizes, rates, addresses, pacing and socket options.

use super::{Selector, Source, number};
use crate::figures::EndFigures;
use crate::options::DataOptions;
use crate::output::view::{TestEnd, View};
use crate::test_kind::Protocol;
use podperf_model::AddressFamily;

both_ends! { LOCAL_BUFFERS "L", REMOTE_BUFFERS "R";
    "SS_SIZE_REQ" ["Send Socket", "Size", "Requested"]
        |view, side| number(side.of(&view.options.data.buffers).send);
    "SS_SIZE" ["Send Socket", "Size", "Initial"]
        |view, side| number(view.end(side).buffers.send);
    "SS_SIZE_END" ["Send Socket", "Size", "Final"]
        |view, side| number(view.end(side).socket.send_buffer);
    "SR_SIZE_REQ" ["Recv Socket", "Size", "Requested"]
        |view, side| number(side.of(&view.options.data.buffers).receive);
    "SR_SIZE" ["Recv Socket", "Size", "Initial"]
        |view, side| number(view.end(side).buffers.receive);
    "SR_SIZE_END" ["Recv Socket", "Size", "Final"]
        |view, side| number(view.end(side).socket.receive_buffer);
}

both_ends! { LOCAL_SIZES "LOCAL_", REMOTE_SIZES "REMOTE_";
    "SEND_SIZE" ["Send", "Size"]
        |view, side| size(view, side, |end| end.send_bytes, |data| data.response_bytes);
    "RECV_SIZE" ["Recv", "Size"]
        |view, side| size(view, side, |end| end.receive_bytes, |data| data.request_bytes);
}

rows! { TRANSACTION_SIZES;
    Test "REQUEST_SIZE" ["Request", "Size", "Bytes"]
        |view| number(view.exchanges().then_some(view.options.data.request_bytes));
    Test "RESPONSE_SIZE" ["Response", "Size", "Bytes"]
        |view| number(view.exchanges().then_some(view.options.data.response_bytes));
}

both_ends! { LOCAL_RATES "LOCAL_", REMOTE_RATES "REMOTE_";
    "SEND_THROUGHPUT" ["Send", "Throughput"] |view, side| format!("{:.2}", view.send_rate(side));
    "RECV_THROUGHPUT" ["Recv", "Throughput"] |view, side| format!("{:.2}", view.receive_rate(side));
}

// As asked for, not as used.
rows! { ADDRESSES;
    Local "SOURCE_PORT" ["Source", "Port"] port;
    Test "SOURCE_ADDR" ["Source", "Address"] source;
    Test "SOURCE_FAMILY" ["Source", "Family"] source_family;
    Remote "DEST_PORT" ["Destination", "Port"] port;
    Test "DEST_ADDR" ["Destination", "Address"] destination;
    Test "DEST_FAMILY" ["Destination", "Family"] destination_family;
}

both_ends! { LOCAL_INTERVALS "LOCAL_", REMOTE_INTERVALS "REMOTE_";
    "INTERVAL_USECS" ["Interval", "Usecs"] |view, side| {
        side.of(&view.options.pace).map_or(0, |pace| pace.every.as_micros()).to_string()
    };
    "INTERVAL_BURST" ["Interval", "Burst"]
        |view, side| side.of(&view.options.pace).map_or(0, |pace| pace.operations).to_string();
}

rows! { SOCKETS;
    Local "LOCAL_SOCKET_PRIO" ["Local", "Socket", "Priority"] priority;
    Remote "REMOTE_SOCKET_PRIO" ["Remote", "Socket", "Priority"] priority;
    Local "LOCAL_SOCKET_TOS" ["Local", "Socket", "TOS"] tos;
    Remote "REMOTE_SOCKET_TOS" ["Remote", "Socket", "TOS"] tos;
    Local "LOCAL_CONG_CONTROL" ["Local", "Congestion", "Control", "Algorithm"] congestion_control;
    Remote "REMOTE_CONG_CONTROL" ["Remote", "Congestion", "Control", "Algorithm"]
        congestion_control;
    Local "LOCAL_FILL_FILE" ["Local", "Fill", "File"] fill;
    Remote "REMOTE_FILL_FILE" ["Remote", "Fill", "File"] fill;
    Test "COMMAND_LINE" ["Command", "Line"] |view| format!("\"{}\"", view.options.command_line);
}

/// The size of a call or, of the far end of a transaction, of what it moves. netperf's stand-in
/// for a size that is not used is 0 on its own side, -1 on the other.
fn size(
    view: &View<'_>,
    side: TestEnd,
    of_call: fn(&EndFigures) -> Option<u32>,
    transacted: fn(&DataOptions) -> u32,
) -> String {
    let of_call = of_call(view.end(side));
    match side {
        TestEnd::Local => of_call.unwrap_or(0).to_string(),
        TestEnd::Remote if view.exchanges() => transacted(&view.options.data).to_string(),
        TestEnd::Remote => number(of_call),
    }
}

fn port(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.data.ports).to_string()
}

fn source(view: &View<'_>) -> String {
    let options = view.options;
    let any = || if options.family == Some(AddressFamily::V6) { "::0" } else { "0.0.0.0" };
    let asked = options.data.local_host.as_deref().or(options.local_host.as_deref());
    asked.unwrap_or_else(any).to_owned()
}

fn destination(view: &View<'_>) -> String {
    view.options.data.host.as_ref().unwrap_or(&view.options.host).clone()
}

/// Linux's number of the family that was asked for; 0 for none.
fn source_family(view: &View<'_>) -> String {
    view.options.data.family.map_or(0, number_of_family).to_string()
}

fn destination_family(view: &View<'_>) -> String {
    let v6 = view.facts.names.remote_address.contains(':');
    number_of_family(if v6 { AddressFamily::V6 } else { AddressFamily::V4 }).to_string()
}

const fn number_of_family(family: AddressFamily) -> i32 {
    match family {
        AddressFamily::V4 => libc::AF_INET,
        AddressFamily::V6 => libc::AF_INET6,
    }
}

/// -1 unless it was asked for.
fn priority(view: &View<'_>, side: TestEnd) -> String {
    let asked = *side.of(&view.options.priority);
    number(asked.map(|asked| view.end(side).socket.priority.unwrap_or(asked)))
}

/// All ones unless it was asked for.
fn tos(view: &View<'_>, side: TestEnd) -> String {
    let asked = *side.of(&view.options.tos);
    let tos = asked.map(|asked| view.end(side).socket.tos.unwrap_or_else(|| u32::from(asked)));
    format!("{:#04x}", tos.unwrap_or(u32::MAX))
}

fn congestion_control(view: &View<'_>, side: TestEnd) -> String {
    let tcp = view.options.shape.protocol == Protocol::Tcp;
    let name = view.end(side).socket.congestion_control.as_ref().filter(|_| tcp);
    name.cloned().unwrap_or_default()
}

fn fill(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.fill).clone().unwrap_or_default()
}
