//! What a client asks for that the kernel grants to this process, where that has privileges, and
//! would not grant to the client's own.
//!
//! Enters: an order. Leaves: the order without it, and a line of the log for each.

use super::order::Order;
use podperf_engine::metrics::tcp_settings::why_not_loaded;

/// Highest SO_PRIORITY that needs no privilege (socket(7)).
const MAX_PRIORITY: u32 = 6;

/// Leaves it out: netperf goes on without what netserver is refused, too.
pub(super) fn leave_out(order: &mut Order, log: &dyn Fn(&str)) {
    if let Some(priority) = order.ask.priority.take_if(|asked| *asked > MAX_PRIORITY) {
        log(&format!("the priority {priority} is ignored: above {MAX_PRIORITY}"));
    }
    let asked = order.ask.congestion_control.as_deref();
    if let Some((name, why)) = asked.and_then(|name| Some((name, why_not_loaded(name)?))) {
        let name = name.escape_debug();
        log(&format!("the congestion control '{name}' is ignored; allowed: {why}"));
        order.ask.congestion_control = None;
    }
}
