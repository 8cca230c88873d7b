//! How the data of a run comes in, by its workload: streams through the server's own port, flows of
//! datagrams through its UDP port, connections that do not last through a port of their own.
//!
//! Enters: an accepted plan and the streams that its session has reserved. Leaves: sockets, tuned,
//! with what the kernel granted them; or the listener where they will be accepted.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, select};
use socket2::{SockRef, Socket};

use super::SessionContext;
use super::data_port::DataPort;
use super::flows::FlowReservation;
use crate::control::message::FromClient;
use crate::net::{StreamReservation, StreamSlots};
use crate::transport::{datagram, socket};
use crate::workload::crr::ConnectionSource;
use podperf_model::Context as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{FlowRole, Plan, Role};
use podperf_model::result::run::SocketFacts;

/// From the plan to its last stream; a client gives up earlier by its own timeout.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a session's data comes in. The session counts as long as this lives.
pub(super) struct DataChannel {
    streams: StreamReservation,
    /// Of connections that do not last, until the engine has it.
    port: Option<DataPort>,
    /// Of datagrams, until the start: requests for flows whose acceptance was lost are answered.
    flows: Option<FlowReservation>,
}

impl DataChannel {
    /// Counts the streams that come in through the server's own port.
    pub(super) fn streams(plan: &Plan) -> u32 {
        if plan.workload.is_udp() { 0 } else { plan.lasting_connections() }
    }

    /// Counts the descriptors that a run takes at the most: a flow of datagrams has two while it is
    /// set up, a connection that does not last while another takes its place.
    pub(super) fn descriptors(plan: &Plan) -> u64 {
        let twice = plan.connections() - Self::streams(plan);
        u64::from(plan.connections()) + u64::from(twice)
    }

    /// Opens what `plan` needs beside the listener; `ends` are own and the client's address.
    ///
    /// # Errors
    /// When there is no UDP port, or the port of the run cannot be opened.
    pub(super) fn open(
        plan: &Plan,
        context: &SessionContext<'_>,
        streams: StreamReservation,
        ends: Option<(SocketAddr, SocketAddr)>,
    ) -> Result<Self> {
        let flows = if plan.workload.is_udp() {
            Some(context.flows.reserve(streams.id(), plan.lasting_connections())?)
        } else {
            None
        };
        let port = match ends {
            Some(ends) => DataPort::open(plan, context.options.data_port, ends)?,
            None => None,
        };
        Ok(Self { streams, port, flows })
    }

    /// The port of the run, which the client is to know.
    pub(super) fn port(&self) -> Option<u16> {
        self.port.as_ref().map(|port| port.number)
    }

    /// Waits for all sockets that last and tunes them; with what was granted, one entry a flow.
    ///
    /// # Errors
    /// When one does not come in time, the client leaves, or the kernel refuses an option.
    pub(super) fn collect(
        &mut self,
        plan: &Plan,
        incoming: &Receiver<Result<FromClient>>,
        context: &SessionContext<'_>,
    ) -> Result<(Vec<Socket>, Vec<SocketFacts>)> {
        let count = Self::streams(plan);
        let streams = collect(self.streams.arrivals(), incoming, context, count)?;
        self.streams.close();
        if let Some(flows) = &self.flows {
            let sockets = collect(flows.arrivals(), incoming, context, plan.lasting_connections())?;
            let granted = datagram::tune_all(&sockets, plan)?;
            return Ok((sockets, granted));
        }
        let granted = match &self.port {
            Some(port) => port.granted(plan),
            None => tune(&streams, plan)?,
        };
        Ok((streams.into_iter().map(Socket::from).collect(), granted))
    }

    /// Where connections that do not last are made, and with whom: for the engine.
    pub(super) fn connection_source(&mut self) -> Option<(ConnectionSource, SocketAddr)> {
        self.port.take().map(DataPort::into_source)
    }

    /// Ends what comes in: the run starts.
    pub(super) fn close(&mut self) {
        self.flows = None;
    }
}

/// Collects the streams as they arrive.
fn collect<T>(
    arrivals: &Receiver<(u32, T)>,
    incoming: &Receiver<Result<FromClient>>,
    context: &SessionContext<'_>,
    count: u32,
) -> Result<Vec<T>> {
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
            recv(context.closed) -> _ => return failed(Code::Signal, "the server is ending"),
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

/// Sets what the plan asks of each socket; returns what was granted.
fn tune(sockets: &[TcpStream], plan: &Plan) -> Result<Vec<SocketFacts>> {
    let mut granted = Vec::with_capacity(sockets.len());
    for (id, stream) in (0..).zip(sockets) {
        let sends = plan.flow_role(Role::Server, id) == FlowRole::Send;
        socket::accepted(stream, &plan.socket).with_stream(id)?;
        socket::after_connect(stream, &plan.socket, sends)
            .and_then(|()| socket::busy_poll(&SockRef::from(stream), plan.server.wait))
            .with_stream(id)?;
        granted.push(socket::granted(stream));
    }
    Ok(granted)
}
