//! Figures of either end: buffers, sizes, rates, addresses, pacing and socket options.

use super::Selector;
use crate::figures::BufferSize;
use crate::options::Buffers;
use crate::output::view::{TestEnd, View, whole};
use crate::test_kind::Protocol;
use podperf_engine::workload::compat::Pace;
use podperf_model::AddressFamily;

pub(super) static BUFFERS: &[Selector] = &[
    Selector::end(
        TestEnd::Local,
        "LSS_SIZE_REQ",
        ["Local", "Send Socket", "Size", "Requested"],
        send_buffer_asked,
    ),
    Selector::end(
        TestEnd::Local,
        "LSS_SIZE",
        ["Local", "Send Socket", "Size", "Initial"],
        |view, side| initial(view.end(side).send_buffer),
    ),
    Selector::end(
        TestEnd::Local,
        "LSS_SIZE_END",
        ["Local", "Send Socket", "Size", "Final"],
        |view, side| last(view.end(side).send_buffer),
    ),
    Selector::end(
        TestEnd::Local,
        "LSR_SIZE_REQ",
        ["Local", "Recv Socket", "Size", "Requested"],
        receive_buffer_asked,
    ),
    Selector::end(
        TestEnd::Local,
        "LSR_SIZE",
        ["Local", "Recv Socket", "Size", "Initial"],
        |view, side| initial(view.end(side).receive_buffer),
    ),
    Selector::end(
        TestEnd::Local,
        "LSR_SIZE_END",
        ["Local", "Recv Socket", "Size", "Final"],
        |view, side| last(view.end(side).receive_buffer),
    ),
    Selector::end(
        TestEnd::Remote,
        "RSS_SIZE_REQ",
        ["Remote", "Send Socket", "Size", "Requested"],
        send_buffer_asked,
    ),
    Selector::end(
        TestEnd::Remote,
        "RSS_SIZE",
        ["Remote", "Send Socket", "Size", "Initial"],
        |view, side| initial(view.end(side).send_buffer),
    ),
    Selector::end(
        TestEnd::Remote,
        "RSS_SIZE_END",
        ["Remote", "Send Socket", "Size", "Final"],
        |view, side| last(view.end(side).send_buffer),
    ),
    Selector::end(
        TestEnd::Remote,
        "RSR_SIZE_REQ",
        ["Remote", "Recv Socket", "Size", "Requested"],
        receive_buffer_asked,
    ),
    Selector::end(
        TestEnd::Remote,
        "RSR_SIZE",
        ["Remote", "Recv Socket", "Size", "Initial"],
        |view, side| initial(view.end(side).receive_buffer),
    ),
    Selector::end(
        TestEnd::Remote,
        "RSR_SIZE_END",
        ["Remote", "Recv Socket", "Size", "Final"],
        |view, side| last(view.end(side).receive_buffer),
    ),
];

pub(super) static SIZES: &[Selector] = &[
    Selector::end(TestEnd::Local, "LOCAL_SEND_SIZE", ["Local", "Send", "Size", ""], send_size),
    Selector::end(TestEnd::Local, "LOCAL_RECV_SIZE", ["Local", "Recv", "Size", ""], receive_size),
    Selector::end(TestEnd::Remote, "REMOTE_SEND_SIZE", ["Remote", "Send", "Size", ""], send_size),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_RECV_SIZE",
        ["Remote", "Recv", "Size", ""],
        receive_size,
    ),
    Selector::test("REQUEST_SIZE", ["Request", "Size", "Bytes", ""], |view| {
        let size = view.exchanges().then_some(view.options.data.request_bytes);
        Some(whole(size).to_string())
    }),
    Selector::test("RESPONSE_SIZE", ["Response", "Size", "Bytes", ""], |view| {
        let size = view.exchanges().then_some(view.options.data.response_bytes);
        Some(whole(size).to_string())
    }),
];

pub(super) static RATES: &[Selector] = &[
    Selector::end(
        TestEnd::Local,
        "LOCAL_SEND_THROUGHPUT",
        ["Local", "Send", "Throughput", ""],
        |view, side| format!("{:.2}", view.send_rate(side)),
    ),
    Selector::end(
        TestEnd::Local,
        "LOCAL_RECV_THROUGHPUT",
        ["Local", "Recv", "Throughput", ""],
        |view, side| format!("{:.2}", view.receive_rate(side)),
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_SEND_THROUGHPUT",
        ["Remote", "Send", "Throughput", ""],
        |view, side| format!("{:.2}", view.send_rate(side)),
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_RECV_THROUGHPUT",
        ["Remote", "Recv", "Throughput", ""],
        |view, side| format!("{:.2}", view.receive_rate(side)),
    ),
];

/// As asked for, not as used.
pub(super) static ADDRESSES: &[Selector] = &[
    Selector::end(TestEnd::Local, "SOURCE_PORT", ["Source", "Port", "", ""], port),
    Selector::test("SOURCE_ADDR", ["Source", "Address", "", ""], source),
    Selector::test("SOURCE_FAMILY", ["Source", "Family", "", ""], source_family),
    Selector::end(TestEnd::Remote, "DEST_PORT", ["Destination", "Port", "", ""], port),
    Selector::test("DEST_ADDR", ["Destination", "Address", "", ""], destination),
    Selector::test("DEST_FAMILY", ["Destination", "Family", "", ""], destination_family),
];

pub(super) static INTERVALS: &[Selector] = &[
    Selector::end(
        TestEnd::Local,
        "LOCAL_INTERVAL_USECS",
        ["Local", "Interval", "Usecs", ""],
        pace_us,
    ),
    Selector::end(
        TestEnd::Local,
        "LOCAL_INTERVAL_BURST",
        ["Local", "Interval", "Burst", ""],
        pace_burst,
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_INTERVAL_USECS",
        ["Remote", "Interval", "Usecs", ""],
        pace_us,
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_INTERVAL_BURST",
        ["Remote", "Interval", "Burst", ""],
        pace_burst,
    ),
];

pub(super) static SOCKETS: &[Selector] = &[
    Selector::end(
        TestEnd::Local,
        "LOCAL_SOCKET_PRIO",
        ["Local", "Socket", "Priority", ""],
        priority,
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_SOCKET_PRIO",
        ["Remote", "Socket", "Priority", ""],
        priority,
    ),
    Selector::end(TestEnd::Local, "LOCAL_SOCKET_TOS", ["Local", "Socket", "TOS", ""], tos),
    Selector::end(TestEnd::Remote, "REMOTE_SOCKET_TOS", ["Remote", "Socket", "TOS", ""], tos),
    Selector::end(
        TestEnd::Local,
        "LOCAL_CONG_CONTROL",
        ["Local", "Congestion", "Control", "Algorithm"],
        congestion_control,
    ),
    Selector::end(
        TestEnd::Remote,
        "REMOTE_CONG_CONTROL",
        ["Remote", "Congestion", "Control", "Algorithm"],
        congestion_control,
    ),
    Selector::end(TestEnd::Local, "LOCAL_FILL_FILE", ["Local", "Fill", "File", ""], fill),
    Selector::end(TestEnd::Remote, "REMOTE_FILL_FILE", ["Remote", "Fill", "File", ""], fill),
    Selector::test("COMMAND_LINE", ["Command", "Line", "", ""], |view| {
        Some(format!("\"{}\"", view.options.command_line))
    }),
];

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
