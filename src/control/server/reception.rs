//! One client, from its preamble to a prepared engine: handshake, plan, streams.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, select};
use socket2::Socket;

use super::registry::{Place, Registry};
use super::{Log, ServeOptions, conduct};
use crate::control::descriptors;
use crate::control::handshake;
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer, Hello};
use crate::control::preamble::SessionId;
use crate::control::session::State;
use crate::engine::{Engine, Setup};
use crate::error::{Error, Kind, Result};
use crate::metrics::host::{boot_id, host_facts};
use crate::metrics::roots::Roots;
use crate::outcome::run::SocketFacts;
use crate::plan::{Part, Plan, Role, rules};
use crate::transport::socket;

/// From the preamble to the plan.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// From the plan to its last stream; a client gives up earlier by its own timeout.
const STREAMS: Duration = Duration::from_secs(30);
/// For a client to take the last message and leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// What serving one client needs.
pub(super) struct Guest<'a> {
    pub(super) options: &'a ServeOptions,
    pub(super) registry: &'a Registry,
    pub(super) log: Log<'a>,
    /// Disconnected when the server ends.
    pub(super) closed: &'a Receiver<()>,
    pub(super) peer: &'a str,
}

/// Serves one client to its end. True: it had its plan accepted.
pub(super) fn serve(stream: TcpStream, guest: &Guest<'_>) -> Result<bool> {
    let deadline = Instant::now() + HANDSHAKE;
    let _ = stream.set_nodelay(true);
    let token = guest.options.token.as_ref();
    let own = handshake::hello(token, boot_id(&Roots::default()))?;
    let (client, state) = handshake::server(&stream, token, &own, deadline)?;
    let message = handshake::listen(&stream, deadline)?;
    let state = state.after(&message, token.is_some(), false)?;
    let FromClient::Prepare { plan } = message else { return Ok(false) };
    let host_of = |address: std::io::Result<std::net::SocketAddr>| {
        address.ok().map(|address| address.ip().to_canonical())
    };
    let host =
        host_facts(&Roots::default(), host_of(stream.local_addr()), host_of(stream.peer_addr()));

    let patience = guest.options.peer_timeout;
    let (link, incoming) = Link::start::<FromClient, FromServer>(stream, guest.peer, patience)?;
    let served = prepare(&link, &incoming, guest, (*plan, state), (&client, host));
    if let Err(error) = &served {
        // A client that is gone does not hear it; the log has it.
        let _ = link.send(&FromServer::Refused(error.clone()));
    }
    farewell(&incoming);
    served.map(|()| true)
}

/// Waits for the client to leave first: closing while its heartbeats are unread would reset the
/// connection and with it the last message.
fn farewell(incoming: &Receiver<Result<FromClient>>) {
    let deadline = Instant::now() + FAREWELL;
    while let Ok(Ok(_)) = incoming.recv_deadline(deadline) {}
}

fn prepare(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    guest: &Guest<'_>,
    (plan, state): (Plan, State),
    (client, host): (&Hello, crate::metrics::facts::HostFacts),
) -> Result<()> {
    let limits = &guest.options.limits;
    rules::check(&plan, limits).map_err(|error| error.with_kind(Kind::Unmeasured))?;
    let session = SessionId::random()
        .map_err(|error| Error::new(Kind::Unmeasured, "get random numbers", error))?;
    let connections = plan.connections();
    descriptors::check(connections.into())?;
    let mut place =
        guest.registry.admit(session, connections, limits.sessions).ok_or_else(|| {
            let cause = format!("the server is busy with {} sessions", limits.sessions);
            Error::new(Kind::Unmeasured, "admit the run", cause)
                .with_remedy("try again later, or raise --max-sessions there")
        })?;
    link.send(&FromServer::Connect { session: session.to_hex() })?;
    let sockets = gather(&place, incoming, guest, connections)?;
    place.close();
    let granted = tune(&sockets, &plan)?;
    let same_machine = host.boot_id.is_some() && host.boot_id == client.boot_id;
    (guest.log)(&format!("{}: run of {connections} connections", guest.peer));
    let sockets = sockets.into_iter().map(Socket::from).collect();
    let setup = Setup { plan, role: Role::Server, sockets, granted, host, same_machine };
    let engine = Engine::prepare(setup)?;
    link.send(&FromServer::Ready(Box::new(engine.facts().clone())))?;
    // Workers stand at the gate: what the state machine calls ready.
    debug_assert_eq!(state, State::Preparing);
    conduct::conduct(link, incoming, guest, engine, State::Ready)
}

/// Collects the streams as they arrive.
fn gather(
    place: &Place<'_>,
    incoming: &Receiver<Result<FromClient>>,
    guest: &Guest<'_>,
    count: u32,
) -> Result<Vec<TcpStream>> {
    let mut arrived: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    let mut missing = count;
    let deadline = Instant::now() + STREAMS;
    let failed = |cause: String| Error::new(Kind::Unmeasured, "wait for the streams of", cause);
    while missing > 0 {
        select! {
            recv(place.joining) -> joined => {
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
        let sends = plan.part(Role::Server, id) == Part::Send;
        socket::accepted(stream, &plan.socket).map_err(|error| error.with_stream(id))?;
        socket::after_connect(stream, &plan.socket, sends)
            .map_err(|error| error.with_stream(id))?;
        granted.push(socket::granted(stream));
    }
    Ok(granted)
}
