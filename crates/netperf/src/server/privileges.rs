//! What a client asks for that the kernel grants to this process, where that has privileges, and
//! would not grant to the client's own.
//!
//! Enters: an order. Leaves: the order without it, and a line of the log for each.

use super::order::Order;
use podperf_engine::metrics::tcp_settings::{PERMITTED, is_permitted};

/// Highest SO_PRIORITY that needs no privilege (socket(7)).
const MAX_PRIORITY: u32 = 6;

/// Leaves it out: netperf goes on without what netserver is refused, too.
pub(super) fn leave_out(order: &mut Order, log: &dyn Fn(&str)) {
    if let Some(priority) = order.ask.priority.take_if(|asked| *asked > MAX_PRIORITY) {
        log(&format!("the priority {priority} is ignored: above {MAX_PRIORITY}"));
    }
    if let Some(name) = order.ask.congestion_control.take_if(|name| !is_permitted(name)) {
        let name = name.escape_debug();
        log(&format!("the congestion control '{name}' is ignored: not in {PERMITTED}"));
    }
}
