//! Serves one client, from its plan to a prepared engine.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::data_channel::DataChannel;
use super::{SessionContext, run};
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer, Hello};
use crate::control::session::State;
use crate::control::{descriptors, framing};
use crate::engine::{Engine, EngineSetup};
use crate::metrics::host::host_facts;
use crate::metrics::roots::Roots;
use crate::net::SessionId;
use crate::workload::compat::CompatOptions;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::facts::HostFacts;
use podperf_model::plan::{CheckedPlan, Plan, Role};
use podperf_model::{Context as _, During as _};

/// For a client to take the last message and leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who the client is and where it stands.
struct ClientInfo {
    hello: Hello,
    /// This end's fingerprint.
    host: HostFacts,
    /// Own and the client's address of the control connection.
    ends: Option<(SocketAddr, SocketAddr)>,
}

/// Serves one client, which has shaken hands, to its end; its plan has to be here by `deadline`.
/// True: the plan was accepted.
pub(super) fn serve(
    stream: TcpStream,
    context: &SessionContext<'_>,
    (hello, state): (Hello, State),
    deadline: Instant,
) -> Result<bool> {
    let message = read_plan(&stream, deadline)?;
    let state = state.after(&message, context.options.token.is_some(), false)?;
    let FromClient::Prepare { plan } = message else { return Ok(false) };
    let (own, peer) = (stream.local_addr().ok(), stream.peer_addr().ok());
    let host_of = |address: Option<SocketAddr>| address.map(|address| address.ip().to_canonical());
    let host = host_facts(&Roots::default(), host_of(own), host_of(peer));
    let client = ClientInfo { hello, host, ends: own.zip(peer) };

    let timeout = context.options.peer_timeout;
    let (link, incoming) = Link::start::<FromClient, FromServer>(stream, context.peer, timeout)?;
    let served = prepare(&link, &incoming, context, (*plan, state), client);
    if let Err(error) = &served {
        // A client that is gone does not hear it; the log has it.
        let _ = link.send(&FromServer::Refused(error.clone()));
    }
    wait_until_left(&incoming);
    served.map(|()| true)
}

/// Reads one message of a client that has no link yet.
fn read_plan(stream: &TcpStream, deadline: Instant) -> Result<FromClient> {
    let whole = deadline.saturating_duration_since(Instant::now());
    let max_bytes = framing::MAX_CLIENT_MESSAGE_BYTES;
    let message = framing::read(stream, max_bytes, deadline, whole).during("read from")?;
    message.ok_or_else(|| {
        Error::new(Kind::Unmeasured, "read from", "the client left").with_code(Code::ConnectionLost)
    })
}

/// Waits for the client to leave first: closing while its heartbeats are unread would reset the
/// connection and with it the last message.
fn wait_until_left(incoming: &Receiver<Result<FromClient>>) {
    let deadline = Instant::now() + LEAVE_TIMEOUT;
    while let Ok(Ok(_)) = incoming.recv_deadline(deadline) {}
}

fn prepare(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    context: &SessionContext<'_>,
    (plan, state): (Plan, State),
    client: ClientInfo,
) -> Result<()> {
    let limits = &context.options.limits;
    let plan = CheckedPlan::new(plan, limits).with_kind(Kind::Unmeasured)?.into_inner();
    let session = SessionId::random().during("get random numbers")?;
    descriptors::check(DataChannel::descriptors(&plan))?;
    let streams = DataChannel::streams(&plan) as usize;
    let reservation = context.reservations.reserve(session, streams, ()).ok_or_else(|| {
        let cause = format!("the server is busy with {} sessions", limits.sessions);
        Error::new(Kind::Unmeasured, "admit the run", cause)
            .with_code(Code::Refused)
            .with_remedy("try again later, or raise --max-sessions there")
    })?;
    let mut channel = DataChannel::open(&plan, context, reservation, client.ends)?;
    link.send(&FromServer::Connect { session: session.to_hex(), port: channel.port() })?;
    let (sockets, granted) = channel.collect(&plan, incoming, context)?;
    let connection_source = channel.connection_source();
    let ClientInfo { hello, host, .. } = client;
    let same_machine = host.boot_id.is_some() && host.boot_id == hello.boot_id;
    (context.log)(&format!("{}: run of {} connections", context.peer, plan.connections()));
    let role = Role::Server;
    let compat = CompatOptions::default();
    let setup =
        EngineSetup { plan, role, sockets, connection_source, granted, host, same_machine, compat };
    let engine = Engine::prepare(setup)?;
    link.send(&FromServer::Ready(Box::new(engine.facts().clone())))?;
    // Workers stand at the gate: what the state machine calls ready.
    debug_assert_eq!(state, State::Preparing);
    run::serve_run(link, incoming, context, engine, channel)
}
