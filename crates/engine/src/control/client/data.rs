//! The data connections of a run, or its flows of datagrams, open and tuned; or, where each
//! transaction opens its own, the proof that its port is open.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use socket2::{SockRef, Socket};

use super::{dial, flows};
use crate::net::SessionId;
use crate::transport::short_lived::{Connector, not_yet};
use crate::transport::{datagram, socket};
use crate::workload::crr::ConnectionSource;
use podperf_model::Context as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{Close, CrrPlan, FlowRole, Plan, Role};
use podperf_model::result::run::SocketFacts;

/// What an engine needs of them.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) sockets: Vec<Socket>,
    pub(super) granted: Vec<SocketFacts>,
    pub(super) connection_source: Option<(ConnectionSource, SocketAddr)>,
}

/// Opens what `plan` needs to `peer`; `port` is where the server takes connections that do not
/// last.
///
/// # Errors
/// When one cannot be opened or tuned, or not all are there before `deadline`.
pub(super) fn open(
    plan: &Plan,
    peer: SocketAddr,
    bind: Option<IpAddr>,
    (session, port): (SessionId, Option<u16>),
    deadline: Instant,
) -> Result<Data> {
    if let Some(crr) = plan.workload.short_lived() {
        let port = port.ok_or_else(|| {
            let cause = "the server named no port for connections";
            Error::new(Kind::Unmeasured, "prepare the run at", cause)
                .with_code(Code::Protocol)
                .with_peer(peer)
        })?;
        return try_port(plan, crr, peer, port, bind, deadline);
    }
    if plan.workload.is_udp() {
        let sockets = flows::open(peer, bind, (session, plan.lasting_connections()), deadline)?;
        let granted = datagram::tune_all(&sockets, plan).with_peer(peer)?;
        return Ok(Data { sockets, granted, connection_source: None });
    }
    let streams =
        dial::streams(peer, bind, &plan.socket, (session, plan.lasting_connections()), deadline)?;
    let mut data = Data::default();
    for (id, stream) in (0..).zip(streams) {
        let sends = plan.flow_role(Role::Client, id) == FlowRole::Send;
        socket::after_connect(&stream, &plan.socket, sends)
            .and_then(|()| socket::busy_poll(&SockRef::from(&stream), plan.client.wait))
            .with_peer(peer)
            .with_stream(id)?;
        data.granted.push(socket::granted(&stream));
        data.sockets.push(stream.into());
    }
    Ok(data)
}

/// Tries the port with one connection, whose socket stands for all.
fn try_port(
    plan: &Plan,
    crr: &CrrPlan,
    peer: SocketAddr,
    port: u16,
    bind: Option<IpAddr>,
    deadline: Instant,
) -> Result<Data> {
    let mut to = peer;
    to.set_port(port);
    let (socket, wait) = (plan.socket.clone(), plan.client.wait);
    let connector = Connector { to, bind, plan: socket, wait, close: crr.close, ports: None };
    // This one ends in order, whatever the others do.
    let first = Connector { close: Close::Client, ..connector.clone() };
    let connect = || {
        let socket = first.socket(true)?;
        match first.connect(&socket) {
            Err(error) if !not_yet(&error) => return Err(error),
            _ => {}
        }
        dial::wait_connected(&socket, deadline)?;
        Ok(socket)
    };
    let socket = connect().map_err(|error: std::io::Error| {
        let remedy = match error.raw_os_error() {
            None | Some(libc::ECONNREFUSED | libc::ETIMEDOUT | libc::EHOSTUNREACH) => {
                "connections of this workload go to a port of their own: let it through, or fix it \
                 with `podperf serve --data-port` there"
            }
            _ => dial::remedy(&error),
        };
        dial::failed(&error, &plan.socket, to, remedy)
    })?;
    let granted = vec![socket::granted_to(&socket); plan.flows as usize];
    Ok(Data {
        sockets: Vec::new(),
        granted,
        connection_source: Some((ConnectionSource::Connect(connector), to)),
    })
}
