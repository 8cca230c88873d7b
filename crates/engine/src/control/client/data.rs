//! The data connections of a run, or its flows of datagrams, open and tuned; or, where each
//! transaction opens its own, the proof that its port is open.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use socket2::Socket;

use super::{DataTarget, dial, flows, other_server};
use crate::transport::short_lived::{Connector, not_yet};
use crate::transport::{datagram, socket};
use crate::workload::crr::ConnectionSource;
use podperf_model::Context as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{Close, CrrPlan, Plan, Role};
use podperf_model::result::run::SocketFacts;

/// Connections that are tried where several servers may stand behind the address: one that takes
/// them by turns or by lot shows itself.
const TRIALS_BEHIND_ADDRESS: usize = 8;
/// For who takes a trial to close it, or to say something.
const OTHER_SERVER_TIMEOUT: Duration = Duration::from_millis(100);

/// What an engine needs of them.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) sockets: Vec<Socket>,
    pub(super) granted: Vec<SocketFacts>,
    pub(super) connection_source: Option<(ConnectionSource, SocketAddr)>,
}

/// Opens what `plan` needs; `port` is where the server takes connections that do not last.
///
/// # Errors
/// When one cannot be opened or tuned, or not all are there in time.
pub(super) fn open(plan: &Plan, to: &DataTarget, port: Option<u16>) -> Result<Data> {
    if let Some(crr) = plan.workload.short_lived() {
        let port = port.ok_or_else(|| {
            let cause = "the server named no port for connections";
            Error::new(Kind::Unmeasured, "prepare the run at", cause)
                .with_code(Code::Protocol)
                .with_peer(to.peer)
        })?;
        return try_port(plan, crr, to, port);
    }
    let (sockets, granted) = if plan.workload.is_udp() {
        let sockets = flows::open(to, plan.lasting_connections())?;
        let granted = datagram::tune_all(&sockets, plan).with_peer(to.peer)?;
        (sockets, granted)
    } else {
        let streams = dial::streams(to, &plan.socket, plan.lasting_connections())?;
        socket::tune_all(streams, plan, Role::Client).with_peer(to.peer)?
    };
    Ok(Data { sockets, granted, connection_source: None })
}

/// Tries the port with a connection, whose socket stands for all.
fn try_port(plan: &Plan, crr: &CrrPlan, target: &DataTarget, port: u16) -> Result<Data> {
    let mut to = target.peer;
    to.set_port(port);
    let (bind, socket, wait) = (target.bind, plan.socket.clone(), plan.client.wait);
    let connector = Connector { to, bind, plan: socket, wait, close: crr.close, ports: None };
    // This one ends in order, whatever the others do.
    let first = Connector { close: Close::Client, ..connector.clone() };
    let connect = || {
        let socket = first.socket(true)?;
        match first.connect(&socket) {
            Err(error) if !not_yet(&error) => return Err(error),
            _ => {}
        }
        dial::wait_connected(&socket, target.deadline)?;
        Ok(socket)
    };
    let failed = |error: std::io::Error| {
        let own_port = "connections of this workload go to a port of their own: let it through, or \
                        fix it with `podperf serve --data-port` there";
        let error = match error.raw_os_error() {
            None | Some(libc::ECONNREFUSED | libc::ETIMEDOUT | libc::EHOSTUNREACH) => {
                dial::failed(&error, &plan.socket, to, own_port)
            }
            _ => dial::failed(&error, &plan.socket, to, dial::remedy(&error)),
        };
        if target.is_redirected {
            let remedy = error.remedy.clone().unwrap_or_default();
            error.with_remedy(format!("{remedy}; and {}", other_server::ONE_SERVER))
        } else {
            error
        }
    };
    let trials = if target.is_redirected { TRIALS_BEHIND_ADDRESS } else { 1 };
    let trials = (0..trials).map(|_| connect().map_err(failed));
    let trials = trials.collect::<Result<Vec<Socket>>>()?;
    if target.is_redirected {
        thread::sleep(OTHER_SERVER_TIMEOUT);
        other_server::check(&trials, to)?;
    }
    let granted = vec![socket::granted_to(&trials[0]); plan.flows as usize];
    Ok(Data {
        sockets: Vec::new(),
        granted,
        connection_source: Some((ConnectionSource::Connect(connector), to)),
    })
}
