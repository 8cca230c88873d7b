//! Where the datagrams of a run were lost: at the receiver's socket, in its kernel's backlog, or on
//! the path before it.
//!
//! The kernel counts buffers; with UDP_GRO one holds several datagrams, of which the mean of a
//! receive call tells how many.

use crate::plan::Role;
use crate::plan::udp::UdpPlan;
use crate::result::run::Run;
use crate::result::span::{ROLES, float};
use crate::result::wording::count;

/// Datagrams lost over all flows of a run, in datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DatagramLosses {
    pub(super) sent: f64,
    pub(super) lost: f64,
    /// Buffers that found the receive buffers of the sockets full.
    pub(super) socket_buffers: u64,
    /// Datagrams in them.
    pub(super) at_socket: f64,
    /// Datagrams that found a CPU's backlog full.
    at_backlog: f64,
}

impl DatagramLosses {
    /// Absent where datagrams are not counted, or none was sent.
    pub(super) fn of(run: &Run) -> Option<Self> {
        let udp = run.plan.workload.datagram_stream()?;
        let all = run.udp.as_ref()?.datagrams.filter(|all| all.sent > 0)?;
        let lost = float(all.lost);
        let receivers = || ROLES.into_iter().filter(|role| receives(udp, *role));
        let per_buffer = receivers().filter_map(|role| {
            let calls = run.udp.as_ref()?.calls.get(role).as_ref()?;
            calls.mean_datagrams_per_receive.filter(|_| calls.gro_used == Some(true))
        });
        let per_buffer = per_buffer.fold(1.0, f64::max);
        let socket_buffers = all.socket_drops.unwrap_or(0);
        let at_socket = (float(socket_buffers) * per_buffer).min(lost);
        let backlog = receivers().filter_map(|role| run.packets.get(role).as_ref()?.dropped);
        let backlog = float(backlog.fold(0, u64::saturating_add)) * per_buffer;
        let at_backlog = backlog.min(lost - at_socket);
        Some(Self { sent: float(all.sent), lost, socket_buffers, at_socket, at_backlog })
    }

    /// What neither the socket nor the kernel of the receiver dropped.
    pub(super) fn on_path(&self) -> f64 {
        (self.lost - self.at_socket - self.at_backlog).max(0.0)
    }

    /// "90 of 100 datagrams (90.00 %) were lost: 85 on the path, 5 at the receiver's socket".
    pub(super) fn text(&self, receiver: &str) -> String {
        let backlog = if self.at_backlog > 0.0 {
            format!(", {:.0} in its kernel's backlog (softnet)", self.at_backlog)
        } else {
            String::new()
        };
        format!(
            "{:.0} of {:.0} datagrams ({:.2} %) were lost: {:.0} on the path, {:.0} at the socket \
             of the {receiver} ({} found its receive buffer full){backlog}",
            self.lost,
            self.sent,
            100.0 * self.lost / self.sent,
            self.on_path(),
            self.at_socket,
            count(self.socket_buffers, "buffer")
        )
    }
}

/// The end that receives, in words.
pub(super) fn receiver(udp: &UdpPlan) -> &'static str {
    match (receives(udp, Role::Client), receives(udp, Role::Server)) {
        (true, true) => "receiving end",
        (true, false) => "client",
        _ => "server",
    }
}

fn receives(udp: &UdpPlan, role: Role) -> bool {
    use crate::plan::Direction::{Both, Down, Up};
    matches!((udp.direction, role), (Both, _) | (Up, Role::Server) | (Down, Role::Client))
}
