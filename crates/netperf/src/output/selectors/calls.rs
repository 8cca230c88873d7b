//! Calls, bytes and buffers of either end.

use super::Selector;
use crate::output::units;
use crate::output::view::{TestEnd, View};

/// An end's calls, bytes and buffers.
macro_rules! calls {
    ($side:expr, $prefix:literal, $end:literal) => {
        &[
            Selector::end(
                $side,
                concat!($prefix, "_SEND_CALLS"),
                [$end, "Send", "Calls", ""],
                |view, side| view.end(side).counters.send_calls.to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_RECV_CALLS"),
                [$end, "Recv", "Calls", ""],
                |view, side| view.end(side).counters.receive_calls.to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_BYTES_PER_RECV"),
                [$end, "Bytes", "Per", "Recv"],
                bytes_per_receive,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_BYTES_PER_SEND"),
                [$end, "Bytes", "Per", "Send"],
                bytes_per_send,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_BYTES_SENT"),
                [$end, "Bytes", "Sent", ""],
                |view, side| view.end(side).counters.bytes_sent.to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_BYTES_RECVD"),
                [$end, "Bytes", "Received", ""],
                |view, side| view.end(side).counters.bytes_received.to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_BYTES_XFERD"),
                [$end, "Bytes", "Xferred", ""],
                transferred,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_SEND_OFFSET"),
                [$end, "Send", "Offset", ""],
                offset,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_RECV_OFFSET"),
                [$end, "Recv", "Offset", ""],
                offset,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_SEND_ALIGN"),
                [$end, "Send", "Alignment", ""],
                align,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_RECV_ALIGN"),
                [$end, "Recv", "Alignment", ""],
                align,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_SEND_WIDTH"),
                [$end, "Send", "Width", ""],
                send_width,
            ),
            Selector::end(
                $side,
                concat!($prefix, "_RECV_WIDTH"),
                [$end, "Recv", "Width", ""],
                receive_width,
            ),
            Selector::fixed(
                concat!($prefix, "_SEND_DIRTY_COUNT"),
                [$end, "Send", "Dirty", "Count"],
                "-1",
            ),
            Selector::fixed(
                concat!($prefix, "_RECV_DIRTY_COUNT"),
                [$end, "Recv", "Dirty", "Count"],
                "-1",
            ),
            Selector::fixed(
                concat!($prefix, "_RECV_CLEAN_COUNT"),
                [$end, "Recv", "Clean", "Count"],
                "-1",
            ),
            Selector::end(
                $side,
                concat!($prefix, "_NODELAY"),
                [$end, "NODELAY", "", ""],
                |view, side| u8::from(view.end(side).no_delay).to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CORK"),
                [$end, "Cork", "", ""],
                |view, side| u8::from(view.end(side).cork).to_string(),
            ),
        ]
    };
}

pub(super) static LOCAL: &[Selector] = calls!(TestEnd::Local, "LOCAL", "Local");
pub(super) static REMOTE: &[Selector] = calls!(TestEnd::Remote, "REMOTE", "Remote");

fn per_call(bytes: u64, calls: u64) -> String {
    format!("{:.2}", units::per(units::float(bytes), units::float(calls)))
}

fn bytes_per_send(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    per_call(end.counters.bytes_sent, end.counters.send_calls)
}

fn bytes_per_receive(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    per_call(end.counters.bytes_received, end.counters.receive_calls)
}

fn transferred(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    (u128::from(end.counters.bytes_sent) + u128::from(end.counters.bytes_received)).to_string()
}

fn offset(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.layout.offset).to_string()
}

fn align(view: &View<'_>, side: TestEnd) -> String {
    side.of(&view.options.layout.align).to_string()
}

fn send_width(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    let own = width(view, end.send_buffer.initial, end.send_bytes);
    view.options.layout.width.local.unwrap_or(own).to_string()
}

fn receive_width(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    let own = width(view, end.receive_buffer.initial, end.receive_bytes);
    view.options.layout.width.remote.unwrap_or(own).to_string()
}

/// Buffers of netperf's ring: one for transactions, else one more than the socket's buffer holds.
fn width(view: &View<'_>, socket: Option<u32>, call: Option<u32>) -> u32 {
    if view.exchanges() {
        return 1;
    }
    let held = call.and_then(|call| socket?.checked_div(call));
    held.map_or(0, |held| held.saturating_add(1).max(2))
}
