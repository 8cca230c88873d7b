//! The port of a run whose transactions open a connection each: open from the plan's acceptance to
//! the end of the run, and only to the client that asked.

use std::net::SocketAddr;

use crate::transport::short_lived::SessionListener;
use crate::transport::socket;
use crate::workload::crr::ConnectionSource;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Plan;
use podperf_model::result::run::SocketFacts;

/// The listener of a run's connections.
#[derive(Debug)]
pub(super) struct DataPort {
    listener: SessionListener,
    peer: SocketAddr,
    pub(super) number: u16,
}

impl DataPort {
    /// Opens `port` (0: any free one) at the address that the client of the control connection
    /// reached, if `plan` needs it.
    ///
    /// # Errors
    /// When the port is taken, or an option of its sockets refused.
    pub(super) fn open(
        plan: &Plan,
        port: u16,
        (own, peer): (SocketAddr, SocketAddr),
    ) -> Result<Option<Self>> {
        if plan.workload.short_lived().is_none() {
            return Ok(None);
        }
        let mut address = own;
        if own.ip() != own.ip().to_canonical() {
            address.set_ip(own.ip().to_canonical());
        }
        address.set_port(port);
        let listener =
            SessionListener::open(address, peer.ip(), &plan.socket, plan.server.wait, plan.flows)?;
        let bound = listener.socket().local_addr().ok().and_then(|bound| bound.as_socket());
        let number = bound
            .ok_or_else(|| Error::new(Kind::Unmeasured, "look up the port of the run", "no port"))?
            .port();
        Ok(Some(Self { listener, peer: SocketAddr::new(peer.ip(), 0), number }))
    }

    /// Reads what was granted to the listener, and so to what it accepts: one entry a flow.
    pub(super) fn granted(&self, plan: &Plan) -> Vec<SocketFacts> {
        let facts = socket::granted_to(self.listener.socket());
        // A listener has no segments yet: what it tells is what was asked, if anything.
        let mss_bytes = facts.mss_bytes.filter(|_| plan.socket.mss_bytes.is_some());
        let peer = socket::plain(self.peer);
        vec![SocketFacts { mss_bytes, peer, ..facts }; plan.flows as usize]
    }

    /// The listener, for the engine, and whom it serves.
    pub(super) fn into_source(self) -> (ConnectionSource, SocketAddr) {
        (ConnectionSource::Listen(self.listener), self.peer)
    }
}
