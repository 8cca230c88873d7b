//! Figures of either end: buffers, sizes, rates, addresses, pacing and socket options.

use super::Selector;
use crate::figures::BufferSize;
use crate::options::Buffers;
use crate::output::view::{TestEnd, View, whole};
use crate::test_kind::Protocol;
use podperf_engine::workload::compat::Pace;
use podperf_model::AddressFamily;

both_ends! { LOCAL_BUFFERS "L", REMOTE_BUFFERS "R";
    "SS_SIZE_REQ" ["Send Socket", "Size", "Requested"] send_buffer_asked;
    "SS_SIZE" ["Send Socket", "Size", "Initial"] |view, side| initial(view.end(side).send_buffer);
    "SS_SIZE_END" ["Send Socket", "Size", "Final"] |view, side| last(view.end(side).send_buffer);
    "SR_SIZE_REQ" ["Recv Socket", "Size", "Requested"] receive_buffer_asked;
    "SR_SIZE" ["Recv Socket", "Size", "Initial"]
        |view, side| initial(view.end(side).receive_buffer);
    "SR_SIZE_END" ["Recv Socket", "Size", "Final"] |view, side| last(view.end(side).receive_buffer);
}

both_ends! { LOCAL_SIZES "LOCAL_", REMOTE_SIZES "REMOTE_";
    "SEND_SIZE" ["Send", "Size", ""] send_size;
    "RECV_SIZE" ["Recv", "Size", ""] receive_size;
}

rows! { TRANSACTION_SIZES;
    test "REQUEST_SIZE" ["Request", "Size", "Bytes", ""] |view| {
        let size = view.exchanges().then_some(view.options.data.request_bytes);
        Some(whole(size).to_string())
    };
    test "RESPONSE_SIZE" ["Response", "Size", "Bytes", ""] |view| {
        let size = view.exchanges().then_some(view.options.data.response_bytes);
        Some(whole(size).to_string())
    };
}

both_ends! { LOCAL_RATES "LOCAL_", REMOTE_RATES "REMOTE_";
    "SEND_THROUGHPUT" ["Send", "Throughput", ""]
        |view, side| format!("{:.2}", view.send_rate(side));
    "RECV_THROUGHPUT" ["Recv", "Throughput", ""]
        |view, side| format!("{:.2}", view.receive_rate(side));
}

// As asked for, not as used.
rows! { ADDRESSES;
    local "SOURCE_PORT" ["Source", "Port", "", ""] port;
    test "SOURCE_ADDR" ["Source", "Address", "", ""] source;
    test "SOURCE_FAMILY" ["Source", "Family", "", ""] source_family;
    remote "DEST_PORT" ["Destination", "Port", "", ""] port;
    test "DEST_ADDR" ["Destination", "Address", "", ""] destination;
    test "DEST_FAMILY" ["Destination", "Family", "", ""] destination_family;
}

both_ends! { LOCAL_INTERVALS "LOCAL_", REMOTE_INTERVALS "REMOTE_";
    "INTERVAL_USECS" ["Interval", "Usecs", ""] pace_us;
    "INTERVAL_BURST" ["Interval", "Burst", ""] pace_burst;
}

rows! { SOCKETS;
    local "LOCAL_SOCKET_PRIO" ["Local", "Socket", "Priority", ""] priority;
    remote "REMOTE_SOCKET_PRIO" ["Remote", "Socket", "Priority", ""] priority;
    local "LOCAL_SOCKET_TOS" ["Local", "Socket", "TOS", ""] tos;
    remote "REMOTE_SOCKET_TOS" ["Remote", "Socket", "TOS", ""] tos;
    local "LOCAL_CONG_CONTROL" ["Local", "Congestion", "Control", "Algorithm"] congestion_control;
    remote "REMOTE_CONG_CONTROL" ["Remote", "Congestion", "Control", "Algorithm"]
        congestion_control;
    local "LOCAL_FILL_FILE" ["Local", "Fill", "File", ""] fill;
    remote "REMOTE_FILL_FILE" ["Remote", "Fill", "File", ""] fill;
    test "COMMAND_LINE" ["Command", "Line", "", ""]
        |view| Some(format!("\"{}\"", view.options.command_line));
}

fn asked(view: &View<'_>, side: TestEnd) -> Buffers {
    match side {
        TestEnd::Local => view.options.data.local_buffers,
        TestEnd::Remote => view.options.data.remote_buffers,
    }
}

fn send_buffer_asked(view: &View<'_>, side: TestEnd) -> String {
    whole(asked(view, side).send).to_string()
}

fn receive_buffer_asked(view: &View<'_>, side: TestEnd) -> String {
    whole(asked(view, side).receive).to_string()
}

fn initial(size: BufferSize) -> String {
    whole(size.initial).to_string()
}

fn last(size: BufferSize) -> String {
    whole(size.end).to_string()
}

/// netperf's stand-in for a size that is not used: 0 on its own side, -1 on the other.
fn unused(side: TestEnd) -> i64 {
    match side {
        TestEnd::Local => 0,
        TestEnd::Remote => -1,
    }
}

fn send_size(view: &View<'_>, side: TestEnd) -> String {
    let response = view.exchanges().then_some(view.options.data.response_bytes);
    let transacted = response.filter(|_| side == TestEnd::Remote);
    let size = transacted.or_else(|| view.end(side).send_bytes);
    size.map_or_else(|| unused(side), i64::from).to_string()
}

fn receive_size(view: &View<'_>, side: TestEnd) -> String {
    let request = view.exchanges().then_some(view.options.data.request_bytes);
    let transacted = request.filter(|_| side == TestEnd::Remote);
    let size = transacted.or_else(|| view.end(side).receive_bytes);
    size.map_or_else(|| unused(side), i64::from).to_string()
}

fn port(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.data.ports).to_string()
}

fn source(view: &View<'_>) -> Option<String> {
    let options = view.options;
    let any = || if options.family == Some(AddressFamily::V6) { "::0" } else { "0.0.0.0" };
    let asked = options.data.local_host.as_deref().or(options.local_host.as_deref());
    Some(asked.unwrap_or_else(any).to_owned())
}

fn destination(view: &View<'_>) -> Option<String> {
    let options = view.options;
    Some(options.data.host.as_ref().unwrap_or(&options.host).clone())
}

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Linux's number of the family that was asked for; 0 for none.
fn source_family(view: &View<'_>) -> Option<String> {
    let number = match view.options.data.family {
        None => 0,
        Some(AddressFamily::V4) => AF_INET,
        Some(AddressFamily::V6) => AF_INET6,
    };
    Some(number.to_string())
}

fn destination_family(view: &View<'_>) -> Option<String> {
    let v6 = view.facts.names.remote_address.contains(':');
    Some(if v6 { AF_INET6 } else { AF_INET }.to_string())
}

fn pace(view: &View<'_>, side: TestEnd) -> Option<Pace> {
    *side.of(&view.options.pace)
}

fn pace_us(view: &View<'_>, side: TestEnd) -> String {
    pace(view, side).map_or(0, |pace| pace.every.as_micros()).to_string()
}

fn pace_burst(view: &View<'_>, side: TestEnd) -> String {
    pace(view, side).map_or(0, |pace| pace.operations).to_string()
}

/// -1 unless it was asked for.
fn priority(view: &View<'_>, side: TestEnd) -> String {
    let asked = *side.of(&view.options.priority);
    whole(asked.map(|asked| view.end(side).priority.unwrap_or(asked))).to_string()
}

/// All ones unless it was asked for.
fn tos(view: &View<'_>, side: TestEnd) -> String {
    let asked = *side.of(&view.options.tos);
    let tos = asked.map(|asked| view.end(side).tos.unwrap_or_else(|| u32::from(asked)));
    format!("{:#04x}", tos.unwrap_or(u32::MAX))
}

fn congestion_control(view: &View<'_>, side: TestEnd) -> String {
    let tcp = view.options.shape.protocol == Protocol::Tcp;
    let name = view.end(side).congestion_control.as_ref().filter(|_| tcp);
    name.cloned().unwrap_or_default()
}

fn fill(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.fill).clone().unwrap_or_default()
}
