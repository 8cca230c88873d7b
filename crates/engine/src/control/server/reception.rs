//! One client, from its preamble to a prepared engine: handshake, plan, streams.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::entrance::Entrance;
use super::flows::Flows;
use super::registry::Registry;
use super::{Log, ServeOptions, conduct};
use crate::control::descriptors;
use crate::control::handshake;
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer, Hello};
use crate::control::preamble::SessionId;
use crate::control::session::State;
use crate::engine::{Engine, EngineSetup};
use crate::metrics::host::{boot_id, host_facts};
use crate::metrics::roots::Roots;
use crate::workload::compat::CompatOptions;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::facts::HostFacts;
use podperf_model::plan::{CheckedPlan, Plan, Role};

/// From the preamble to the plan.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// For a client to take the last message and leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// What serving one client needs.
pub(super) struct Guest<'a> {
    pub(super) options: &'a ServeOptions,
    pub(super) registry: &'a Registry,
    pub(super) flows: &'a Flows,
    pub(super) log: Log<'a>,
    /// Disconnected when the server ends.
    pub(super) closed: &'a Receiver<()>,
    pub(super) peer: &'a str,
}

/// Who the client is and where it stands.
struct Visitor {
    hello: Hello,
    /// This end's fingerprint.
    host: HostFacts,
    /// Own and the client's address of the control connection.
    ends: Option<(SocketAddr, SocketAddr)>,
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
    let (own, peer) = (stream.local_addr().ok(), stream.peer_addr().ok());
    let host_of = |address: Option<SocketAddr>| address.map(|address| address.ip().to_canonical());
    let host = host_facts(&Roots::default(), host_of(own), host_of(peer));
    let visitor = Visitor { hello: client, host, ends: own.zip(peer) };

    let patience = guest.options.peer_timeout;
    let (link, incoming) = Link::start::<FromClient, FromServer>(stream, guest.peer, patience)?;
    let served = prepare(&link, &incoming, guest, (*plan, state), visitor);
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
    visitor: Visitor,
) -> Result<()> {
    let limits = &guest.options.limits;
    let plan = CheckedPlan::new(plan, limits)
        .map_err(|error| error.with_kind(Kind::Unmeasured))?
        .into_inner();
    let session = SessionId::random()
        .map_err(|error| Error::new(Kind::Unmeasured, "get random numbers", error))?;
    descriptors::check(Entrance::descriptors(&plan))?;
    let streams = Entrance::streams(&plan);
    let place = guest.registry.admit(session, streams, limits.sessions).ok_or_else(|| {
        let cause = format!("the server is busy with {} sessions", limits.sessions);
        Error::new(Kind::Unmeasured, "admit the run", cause)
            .with_remedy("try again later, or raise --max-sessions there")
    })?;
    let mut entrance = Entrance::open(&plan, guest, place, visitor.ends)?;
    link.send(&FromServer::Connect { session: session.to_hex(), port: entrance.port() })?;
    let (sockets, granted) = entrance.gather(&plan, incoming, guest)?;
    let way = entrance.way();
    let Visitor { hello, host, .. } = visitor;
    let same_machine = host.boot_id.is_some() && host.boot_id == hello.boot_id;
    (guest.log)(&format!("{}: run of {} connections", guest.peer, plan.connections()));
    let role = Role::Server;
    let compat = CompatOptions::default();
    let setup = EngineSetup { plan, role, sockets, way, granted, host, same_machine, compat };
    let engine = Engine::prepare(setup)?;
    link.send(&FromServer::Ready(Box::new(engine.facts().clone())))?;
    // Workers stand at the gate: what the state machine calls ready.
    debug_assert_eq!(state, State::Preparing);
    conduct::conduct(link, incoming, guest, engine, entrance)
}
