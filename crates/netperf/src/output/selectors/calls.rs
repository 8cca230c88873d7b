//! Calls, bytes and buffers of either end.

use super::{Selector, Source, minus_one};
use crate::output::units;
use crate::output::view::{TestEnd, View};

both_ends! { LOCAL "LOCAL_", REMOTE "REMOTE_";
    "SEND_CALLS" ["Send", "Calls"] |view, side| view.end(side).counters.send_calls.to_string();
    "RECV_CALLS" ["Recv", "Calls"] |view, side| view.end(side).counters.receive_calls.to_string();
    "BYTES_PER_RECV" ["Bytes", "Per", "Recv"] bytes_per_receive;
    "BYTES_PER_SEND" ["Bytes", "Per", "Send"] bytes_per_send;
    "BYTES_SENT" ["Bytes", "Sent"] |view, side| view.end(side).counters.bytes_sent.to_string();
    "BYTES_RECVD" ["Bytes", "Received"]
        |view, side| view.end(side).counters.bytes_received.to_string();
    "BYTES_XFERD" ["Bytes", "Xferred"] transferred;
    "SEND_OFFSET" ["Send", "Offset"] |view, side| side.of(&view.options.layout.offset).to_string();
    "RECV_OFFSET" ["Recv", "Offset"] |view, side| side.of(&view.options.layout.offset).to_string();
    "SEND_ALIGN" ["Send", "Alignment"] |view, side| side.of(&view.options.layout.align).to_string();
    "RECV_ALIGN" ["Recv", "Alignment"] |view, side| side.of(&view.options.layout.align).to_string();
    "SEND_WIDTH" ["Send", "Width"] send_width;
    "RECV_WIDTH" ["Recv", "Width"] receive_width;
    "SEND_DIRTY_COUNT" ["Send", "Dirty", "Count"] minus_one;
    "RECV_DIRTY_COUNT" ["Recv", "Dirty", "Count"] minus_one;
    "RECV_CLEAN_COUNT" ["Recv", "Clean", "Count"] minus_one;
    "NODELAY" ["NODELAY"] |view, side| u8::from(view.end(side).socket.no_delay).to_string();
    "CORK" ["Cork"] |view, side| u8::from(view.end(side).socket.cork).to_string();
}

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

fn send_width(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    let own = width(view, end.buffers.send, end.send_bytes);
    view.options.layout.width.local.unwrap_or(own).to_string()
}

fn receive_width(view: &View<'_>, side: TestEnd) -> String {
    let end = view.end(side);
    let own = width(view, end.buffers.receive, end.receive_bytes);
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
