//! How the data of a run comes in, by its workload: streams through the server's own port, flows of
//! datagrams through its UDP port, connections that do not last through a port of their own.
//!
//! Enters: an accepted plan and the streams that its session has reserved. Leaves: sockets, tuned,
//! with what the kernel granted them; or the listener where they will be accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, select};
use socket2::Socket;

use super::PortContext;
use super::flows::SessionFlows;
use crate::control::message::FromClient;
use crate::net::{ReachedLimit, SessionId, StreamReservation, StreamSlots};
use crate::transport::short_lived::SessionListener;
use crate::transport::{datagram, socket};
use crate::workload::crr::ConnectionSource;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{Plan, Role};
use podperf_model::result::run::SocketFacts;
use podperf_model::{Context as _, During as _, on_link_of};

/// From the plan to its last stream; a client gives up earlier by its own timeout.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a session's data comes in. The session counts as long as this lives.
pub(super) struct DataChannel {
    /// Of streams, or of flows of datagrams.
    reservation: StreamReservation<Socket, SessionFlows>,
    /// Of connections that do not last, until the engine has it; and the address of the client,
    /// the only one that it takes connections from.
    listener: Option<(SessionListener, SocketAddr)>,
}

impl DataChannel {
    /// Counts the streams that come in through the server's own port.
    fn streams(plan: &Plan) -> u32 {
        if plan.workload.is_udp() { 0 } else { plan.lasting_connections() }
    }

    /// Counts the descriptors that a run takes at the most: a flow of datagrams has two while it is
    /// set up, a connection that does not last while another takes its place.
    pub(super) fn descriptors(plan: &Plan) -> u64 {
        let twice = plan.connections() - Self::streams(plan);
        u64::from(plan.connections()) + u64::from(twice)
    }

    /// Reserves what `plan` needs for `session`, and opens what it needs beside the server's ports;
    /// `ends` are own and the client's address.
    ///
    /// # Errors
    /// When all sessions are taken, when there is no UDP port, or when the port of the run cannot
    /// be opened.
    pub(super) fn open(
        plan: &Plan,
        context: &PortContext<'_>,
        session: SessionId,
        ends: Option<(SocketAddr, SocketAddr)>,
    ) -> Result<Self> {
        let count = plan.lasting_connections();
        let flows = plan.workload.is_udp().then(|| (0..count).map(|_| None).collect());
        let ip = ends.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |(_, peer)| peer.ip());
        let reserved = context.reservations.reserve(session, ip, count as usize, flows);
        let reservation = reserved.map_err(|limit| {
            let cause = match limit {
                ReachedLimit::InAll(count) => format!("the server is busy with {count} sessions"),
                limit => format!("sessions are limited to {limit}"),
            };
            Error::new(Kind::Unmeasured, "admit the run", cause)
                .with_code(Code::Refused)
                .with_limit("sessions")
                .with_remedy("try again later, or raise --max-sessions there")
        })?;
        if plan.workload.is_udp() {
            context.flows.as_ref().map_err(Error::clone)?;
        }
        let listener = match ends {
            Some((own, peer)) if plan.workload.short_lived().is_some() => {
                // Where the client of the control connection reached this server.
                let mut address = on_link_of(own.ip().to_canonical(), peer);
                address.set_port(context.options.data_port);
                let (wait, flows) = (plan.server.wait, plan.flows);
                let listener =
                    SessionListener::open(address, peer.ip(), &plan.socket, wait, flows)?;
                Some((listener, SocketAddr::new(peer.ip(), 0)))
            }
            _ => None,
        };
        Ok(Self { reservation, listener })
    }

    /// The port of the run, which the client is to know.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub(super) fn port(&self) -> Result<Option<u16>> {
        let Some((listener, _)) = &self.listener else { return Ok(None) };
        let bound = listener.socket().local_addr().during("look up the port of the run")?;
        Ok(bound.as_socket().map(|bound| bound.port()))
    }

    /// Waits for all sockets that last and tunes them; with what was granted, one entry a flow.
    ///
    /// # Errors
    /// When one does not come in time, the client leaves, the server is `closed`, or the kernel
    /// refuses an option.
    pub(super) fn collect(
        &mut self,
        plan: &Plan,
        incoming: &Receiver<Result<FromClient>>,
        closed: &Receiver<()>,
    ) -> Result<(Vec<Socket>, Vec<SocketFacts>)> {
        let count = plan.lasting_connections();
        let sockets = collect(self.reservation.arrivals(), incoming, closed, count)?;
        if plan.workload.is_udp() {
            // Requests for flows whose acceptance was lost are answered until the start.
            let granted = datagram::tune_all(&sockets, plan)?;
            return Ok((sockets, granted));
        }
        self.close();
        match &self.listener {
            Some((listener, peer)) => Ok((sockets, granted_to(listener, *peer, plan))),
            None => socket::tune_all(sockets, plan, Role::Server),
        }
    }

    /// Where connections that do not last are made, and with whom: for the engine.
    pub(super) fn connection_source(&mut self) -> Option<(ConnectionSource, SocketAddr)> {
        let (listener, peer) = self.listener.take()?;
        Some((ConnectionSource::Listen(listener), peer))
    }

    /// Ends what comes in. The session still counts.
    pub(super) fn close(&mut self) {
        self.reservation.close();
    }
}

/// Collects the sockets as they arrive.
fn collect(
    arrivals: &Receiver<(u32, Socket)>,
    incoming: &Receiver<Result<FromClient>>,
    closed: &Receiver<()>,
    count: u32,
) -> Result<Vec<Socket>> {
    let mut slots = StreamSlots::new(count);
    let deadline = Instant::now() + STREAMS_TIMEOUT;
    let failed = |code, cause: &str| {
        Err(Error::new(Kind::Unmeasured, "wait for the streams of", cause).with_code(code))
    };
    while slots.missing() > 0 {
        select! {
            recv(arrivals) -> arrived => {
                let Ok((id, stream)) = arrived else { continue };
                if !slots.fill(id, stream) {
                    let cause = format!("stream {id} is unknown or came twice");
                    return failed(Code::Protocol, &cause);
                }
            }
            recv(incoming) -> message => match message {
                Ok(Ok(_)) => {
                    return failed(Code::Protocol, "the client spoke before all were there");
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return failed(Code::ConnectionLost, "the client left"),
            },
            recv(closed) -> _ => return failed(Code::Signal, "the server is ending"),
            recv(at(deadline)) -> _ => {
                let cause = format!("{} of {count} did not arrive in time", slots.missing());
                return failed(Code::Timeout, &cause).with_remedy(
                    "behind a load balancer, make sure that all connections reach one server",
                );
            }
        }
    }
    Ok(slots.into_streams())
}

/// Reads what was granted to a listener, and so to what it accepts: one entry a flow.
fn granted_to(listener: &SessionListener, peer: SocketAddr, plan: &Plan) -> Vec<SocketFacts> {
    let facts = socket::granted_to(listener.socket());
    // A listener has no segments yet: what it tells is what was asked, if anything.
    let mss_bytes = facts.mss_bytes.filter(|_| plan.socket.mss_bytes.is_some());
    vec![SocketFacts { mss_bytes, peer: socket::plain(peer), ..facts }; plan.flows as usize]
}
