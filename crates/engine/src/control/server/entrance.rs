//! How the data of a run comes in, by its workload: streams through the server's own port, flows of
//! datagrams through its UDP port, connections that do not last through a port of their own.
//!
//! Enters: an accepted plan and a session's place. Leaves: sockets, tuned, with what the kernel
//! granted them; or the listener where they will be accepted.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, select};
use socket2::{SockRef, Socket};

use super::data_port::DataPort;
use super::reception::Guest;
use super::{flows, registry};
use crate::control::message::FromClient;
use crate::transport::{datagram, socket};
use crate::workload::crr::ConnectionSource;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::{FlowRole, Plan, Role};
use podperf_model::result::run::SocketFacts;

/// From the plan to its last stream; a client gives up earlier by its own timeout.
const STREAMS: Duration = Duration::from_secs(30);

/// A session's way in. The session keeps its place as long as this lives.
pub(super) struct Entrance<'a> {
    place: registry::Place<'a>,
    /// Of connections that do not last, until the engine has it.
    port: Option<DataPort>,
    /// Of datagrams, until the start: requests for flows whose acceptance was lost are answered.
    flows: Option<flows::Place<'a>>,
}

impl<'a> Entrance<'a> {
    /// Streams that come in through the server's own port.
    pub(super) fn streams(plan: &Plan) -> u32 {
        if plan.workload.is_udp() { 0 } else { plan.lasting_connections() }
    }

    /// Descriptors that a run takes at the most: a flow of datagrams has two while it is set up,
    /// a connection that does not last while another takes its place.
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
        guest: &Guest<'a>,
        place: registry::Place<'a>,
        ends: Option<(SocketAddr, SocketAddr)>,
    ) -> Result<Self> {
        let flows = if plan.workload.is_udp() {
            Some(guest.flows.expect(place.session(), plan.lasting_connections())?)
        } else {
            None
        };
        let port = match ends {
            Some(ends) => DataPort::open(plan, guest.options.data_port, ends)?,
            None => None,
        };
        Ok(Self { place, port, flows })
    }

    /// The port that the client is told.
    pub(super) fn port(&self) -> Option<u16> {
        self.port.as_ref().map(|port| port.number)
    }

    /// Waits for all sockets that last and tunes them; with what was granted, one entry a flow.
    ///
    /// # Errors
    /// When one does not come in time, the client leaves, or the kernel refuses an option.
    pub(super) fn gather(
        &mut self,
        plan: &Plan,
        incoming: &Receiver<Result<FromClient>>,
        guest: &Guest<'_>,
    ) -> Result<(Vec<Socket>, Vec<SocketFacts>)> {
        let streams = gather(&self.place.joining, incoming, guest, Self::streams(plan))?;
        self.place.close();
        if let Some(flows) = &self.flows {
            let sockets = gather(&flows.joining, incoming, guest, plan.lasting_connections())?;
            let granted = datagram::tune_all(&sockets, plan)?;
            return Ok((sockets, granted));
        }
        let granted = match &self.port {
            Some(port) => port.granted(plan),
            None => tune(&streams, plan)?,
        };
        Ok((streams.into_iter().map(Socket::from).collect(), granted))
    }

    /// For the engine: where connections that do not last are made, and with whom.
    pub(super) fn way(&mut self) -> Option<(ConnectionSource, SocketAddr)> {
        self.port.take().map(DataPort::into_way)
    }

    /// The run starts: nothing more comes in.
    pub(super) fn close(&mut self) {
        self.flows = None;
    }
}

/// Collects the streams as they arrive.
fn gather<T>(
    joining: &Receiver<(u32, T)>,
    incoming: &Receiver<Result<FromClient>>,
    guest: &Guest<'_>,
    count: u32,
) -> Result<Vec<T>> {
    let mut arrived: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let mut missing = count;
    let deadline = Instant::now() + STREAMS;
    let failed = |cause: String| Error::new(Kind::Unmeasured, "wait for the streams of", cause);
    while missing > 0 {
        select! {
            recv(joining) -> joined => {
                let Ok((id, stream)) = joined else { continue };
                match arrived.get_mut(id as usize) {
                    Some(free @ None) => {
                        *free = Some(stream);
                        missing -= 1;
                    }
                    _ => return Err(failed(format!("stream {id} is unknown or came twice"))),
                }
            }
            recv(incoming) -> message => match message {
                Ok(Ok(_)) => return Err(failed("the client spoke before all were there".into())),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(failed("the client left".into())),
            },
            recv(guest.closed) -> _ => return Err(failed("the server is ending".into())),
            recv(at(deadline)) -> _ => {
                let cause = format!("{missing} of {count} did not arrive in time");
                return Err(failed(cause).with_remedy(
                    "behind a load balancer, make sure that all connections reach one server",
                ));
            }
        }
    }
    Ok(arrived.into_iter().flatten().collect())
}

/// Sets what the plan asks of each socket; what was granted.
fn tune(sockets: &[TcpStream], plan: &Plan) -> Result<Vec<SocketFacts>> {
    let mut granted = Vec::with_capacity(sockets.len());
    for (id, stream) in (0..).zip(sockets) {
        let sends = plan.flow_role(Role::Server, id) == FlowRole::Send;
        socket::accepted(stream, &plan.socket).map_err(|error| error.with_stream(id))?;
        socket::after_connect(stream, &plan.socket, sends)
            .and_then(|()| socket::busy_poll(&SockRef::from(stream), plan.server.wait))
            .map_err(|error| error.with_stream(id))?;
        granted.push(socket::granted(stream));
    }
    Ok(granted)
}
