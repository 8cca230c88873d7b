//! The client's side of a run: reach the server, agree on a plan, drive it, and put both ends'
//! results together.

mod cancellation;

mod data;
mod dial;
mod flows;
mod run;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use socket2::SockRef;

use crate::control::descriptors;
use crate::control::handshake;
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer, Hello};
use crate::control::server::{BackgroundServer, ServeOptions};
use crate::control::timing::PEER_TIMEOUT;
use crate::control::token::Token;
use crate::engine::{Engine, EngineSetup};
use crate::metrics::host::host_facts;
use crate::metrics::roots::Roots;
use crate::net::SessionId;
use crate::workload::compat::CompatOptions;
use cancellation::Cancellation;
use data::Data;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::facts::HostFacts;
use podperf_model::plan::{CheckedPlan, Plan, Role};
use podperf_model::result::end_result::{EndFacts, EndResult};
use podperf_model::result::merge::{Input, merge};
use podperf_model::result::run::{Interval, Run};
use podperf_model::{AddressFamily, Context as _, During as _};
use run::{RunContext, RunOutcome};

/// For each step until everything is ready to start, unless another time is asked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to measure against, and how long to wait.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name or address; absent: a server inside this process, on loopback.
    pub host: Option<String>,
    /// Port of control and data.
    pub port: u16,
    /// Only addresses of this family.
    pub family: Option<AddressFamily>,
    /// Own address, for control and data.
    pub bind: Option<IpAddr>,
    /// The shared secret.
    pub token: Option<Token>,
    /// Until the server has answered and accepted the plan; as long again for all streams.
    pub connect_timeout: Duration,
    /// Silence on the control connection after which the peer counts as lost.
    pub peer_timeout: Duration,
    /// For the whole command.
    pub deadline: Option<Duration>,
}

impl Target {
    /// A server at `address`, which needs no token, with the timeouts of the command line.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { host: Some(address.ip().to_string()), port: address.port(), ..Self::this_process() }
    }

    /// A server inside this process, over loopback.
    #[must_use]
    pub const fn this_process() -> Self {
        Self {
            host: None,
            port: 0,
            family: None,
            bind: None,
            token: None,
            connect_timeout: CONNECT_TIMEOUT,
            peer_timeout: PEER_TIMEOUT,
            deadline: None,
        }
    }
}

/// The points where a caller takes part in a run.
pub struct Hooks<'a> {
    /// Sees every interval as it ends.
    pub watch: &'a mut dyn FnMut(&Interval),
    /// Called once, when both ends stand at the gate; the run starts when it returns. An error
    /// ends the run there.
    pub before_start: &'a mut dyn FnMut() -> Result<()>,
}

/// Carries out `plan` against `target`. `watch` sees every interval as it ends; a message on
/// `stop` ends the run with what there is. Never fails as such: what went wrong stands in the
/// result, with whatever was measured before.
pub fn measure(
    plan: &CheckedPlan,
    target: &Target,
    watch: &mut dyn FnMut(&Interval),
    stop: &Receiver<Kind>,
) -> Run {
    measure_with(plan, target, Hooks { watch, before_start: &mut || Ok(()) }, stop)
}

/// Does the same for a caller who says when it starts.
pub fn measure_with(
    plan: &CheckedPlan,
    target: &Target,
    hooks: Hooks<'_>,
    stop: &Receiver<Kind>,
) -> Run {
    let started_at = jiff::Timestamp::now().to_string();
    let named = target.host.clone().unwrap_or_else(|| "this process".into());
    // The colons of an IPv6 address are not that of the port.
    let name = if named.contains(':') { format!("[{named}]") } else { named };
    let name = format!("{name}:{}", target.port);
    let limit = target.deadline.map(|limit| Instant::now() + limit);
    let outcome = with_server(plan, target, Cancellation { stop, limit }, hooks);
    let (name, outcome) = match outcome {
        Ok((address, outcome)) if target.host.is_none() => (address.to_string(), outcome),
        Ok((_, outcome)) => (name, outcome),
        Err(error) if limit.is_some_and(|limit| Instant::now() >= limit) => {
            let late = error.with_kind(Kind::Deadline).with_remedy("raise --deadline");
            (name, RunOutcome::failed(late))
        }
        Err(error) => (name, RunOutcome::failed(error)),
    };
    merge(Input {
        started_at,
        command: std::env::args().collect(),
        target: name,
        plan: outcome.plan.unwrap_or_else(|| Plan::clone(plan)),
        client: outcome.client,
        server: outcome.server,
        errors: outcome.errors,
        warm_up_seconds: outcome.warm_up.as_secs_f64(),
    })
}

/// Starts the server inside this process if none is named.
fn with_server(
    plan: &CheckedPlan,
    target: &Target,
    cancellation: Cancellation<'_>,
    hooks: Hooks<'_>,
) -> Result<(SocketAddr, RunOutcome)> {
    // A server in this process has the other end of each.
    let ends = if target.host.is_none() { 2 } else { 1 };
    descriptors::check(u64::from(plan.connections()) * ends)?;
    let Some(host) = &target.host else {
        let loopback = match target.family {
            Some(AddressFamily::V6) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let server = BackgroundServer::start(ServeOptions {
            mptcp: plan.socket.mptcp,
            token: target.token.clone(),
            peer_timeout: target.peer_timeout,
            ..ServeOptions::on((loopback, 0).into())
        })?;
        let address = server.address();
        let local = Target { port: address.port(), ..target.clone() };
        return run(plan, &local, vec![address], cancellation, hooks)
            .map(|outcome| (address, outcome));
    };
    let addresses = look_up(host, target, cancellation)?;
    let first = addresses[0];
    run(plan, target, addresses, cancellation, hooks).map(|outcome| (first, outcome))
}

fn look_up(host: &str, target: &Target, cancellation: Cancellation<'_>) -> Result<Vec<SocketAddr>> {
    let (name, wanted) = (host.to_owned(), target.clone());
    let resolve = move || dial::resolve(&name, &wanted);
    cancellation.run_blocking(("resolve", host), cancellation.deadline(target), resolve)
}

/// Looks up the addresses of the target, which names a host; a message on `stop` ends the wait.
///
/// # Errors
/// When it has none, or not in time.
pub fn resolve(target: &Target, stop: &Receiver<Kind>) -> Result<Vec<SocketAddr>> {
    let host = target.host.as_deref().unwrap_or_default();
    look_up(host, target, Cancellation { stop, limit: None })
}

/// Opens a control connection to the target, which names a host, and shakes hands; returns it with
/// the other end's address and what it says of itself.
///
/// # Errors
/// Naming the step, when nobody answers as podperf does, in time.
pub fn shake_hands(
    target: &Target,
    stop: &Receiver<Kind>,
) -> Result<(TcpStream, SocketAddr, Hello)> {
    let addresses = resolve(target, stop)?;
    let cancellation = Cancellation { stop, limit: None };
    let (deadline, wanted, first) = (cancellation.deadline(target), target.clone(), addresses[0]);
    let reach = move || {
        let stream = dial::control(&addresses, wanted.bind, deadline)?;
        let peer = stream.peer_addr().unwrap_or(first);
        let token = wanted.token.as_ref();
        let hello = handshake::hello(token, None)?;
        let hello = handshake::client(&stream, token, hello, deadline).with_peer(peer)?;
        Ok((stream, peer, hello))
    };
    cancellation.run_blocking(
        ("connect control connection to", &first.to_string()),
        deadline,
        reach,
    )
}

/// A server that has welcomed this client.
struct WelcomingServer {
    stream: TcpStream,
    peer: SocketAddr,
    own: HostFacts,
    hello: Hello,
}

/// Connects to one of `addresses` and shakes hands.
fn connect(
    addresses: &[SocketAddr],
    target: &Target,
    deadline: Instant,
) -> Result<WelcomingServer> {
    let stream = dial::control(addresses, target.bind, deadline)?;
    let ends: io::Result<_> = stream.local_addr().and_then(|own| Ok((own, stream.peer_addr()?)));
    let (local, peer) = ends.during("look up the connection to")?;
    let own = host_facts(&Roots::default(), Some(local.ip()), Some(peer.ip()));
    let hello = handshake::hello(target.token.as_ref(), own.boot_id.clone())?;
    let hello =
        handshake::client(&stream, target.token.as_ref(), hello, deadline).with_peer(peer)?;
    Ok(WelcomingServer { stream, peer, own, hello })
}

/// Carries out one run against a server that listens on one of `addresses`.
fn run(
    plan: &CheckedPlan,
    target: &Target,
    addresses: Vec<SocketAddr>,
    cancellation: Cancellation<'_>,
    hooks: Hooks<'_>,
) -> Result<RunOutcome> {
    let (deadline, wanted, first) = (cancellation.deadline(target), target.clone(), addresses[0]);
    let reach = move || connect(&addresses, &wanted, deadline);
    let WelcomingServer { stream, peer, own: host, hello } = cancellation.run_blocking(
        ("connect control connection to", &first.to_string()),
        deadline,
        reach,
    )?;
    let plan = &settled(plan, &stream);
    let same_machine = host.boot_id.is_some() && host.boot_id == hello.boot_id;
    let name = peer.to_string();
    let (link, incoming) =
        Link::start::<FromServer, FromClient>(stream, &name, target.peer_timeout)?;
    let mut agreement =
        Agreement { link: &link, incoming: &incoming, stop: cancellation.stop, peer };
    agreement.send(&FromClient::Prepare { plan: Box::new(plan.clone()) })?;
    let session = agreement.session(deadline)?;

    let deadline = cancellation.deadline(target);
    let (wanted, bind) = (plan.clone(), target.bind);
    let open = move || data::open(&wanted, peer, bind, session, deadline);
    let Data { sockets, granted, connection_source } =
        cancellation.run_blocking(("connect the streams to", &name), deadline, open)?;
    let (plan, role) = (plan.clone(), Role::Client);
    let compat = CompatOptions::default();
    let setup =
        EngineSetup { plan, role, sockets, connection_source, granted, host, same_machine, compat };
    let engine = Engine::prepare(setup)?;
    let facts = agreement.ready(deadline)?;
    (hooks.before_start)()?;
    let server = EndResult { facts, readings: Vec::new(), report: None };
    let plan = engine.plan().clone();
    let context = RunContext {
        plan: &plan,
        peer,
        peer_timeout: target.peer_timeout,
        deadline: cancellation.limit,
    };
    Ok(context.drive(link, &incoming, engine, server, hooks.watch, cancellation.stop))
}

/// The plan, with what was left to the path: datagrams fit the segments of the control connection,
/// whose size both ends and the path between them have agreed on.
fn settled(plan: &CheckedPlan, control: &TcpStream) -> Plan {
    let mut plan = Plan::clone(plan);
    if let Ok(mss) = SockRef::from(control).tcp_mss() {
        plan.workload = plan.workload.settled(mss.into());
    }
    plan
}

/// The exchange of messages until both ends are ready.
struct Agreement<'a> {
    link: &'a Link,
    incoming: &'a Receiver<Result<FromServer>>,
    stop: &'a Receiver<Kind>,
    peer: SocketAddr,
}

impl Agreement<'_> {
    fn send(&self, message: &FromClient) -> Result<()> {
        self.link.send(message).with_kind(Kind::Unmeasured)
    }

    /// Waits until the server accepts the plan; returns the session its streams belong to, and the
    /// port of connections that do not last.
    fn session(&mut self, deadline: Instant) -> Result<(SessionId, Option<u16>)> {
        let FromServer::Connect { session, port } = self.next("accept the plan at", deadline)?
        else {
            return Err(self.out_of_order("accept the plan at"));
        };
        let session = SessionId::from_hex(&session).ok_or_else(|| {
            Error::new(Kind::Unmeasured, "read the session from", "it is no session id")
                .with_code(Code::Protocol)
                .with_peer(self.peer)
        })?;
        Ok((session, port))
    }

    /// Waits until the server has all streams and its workers stand at the gate.
    fn ready(&mut self, deadline: Instant) -> Result<EndFacts> {
        match self.next("wait for the streams at", deadline)? {
            FromServer::Ready(facts) => Ok(*facts),
            _ => Err(self.out_of_order("wait for the streams at")),
        }
    }

    fn next(&mut self, step: &str, deadline: Instant) -> Result<FromServer> {
        let failed = |code, cause: &str| {
            Error::new(Kind::Unmeasured, step, cause).with_code(code).with_peer(self.peer)
        };
        crossbeam_channel::select! {
            recv(self.incoming) -> message => match message {
                Ok(Ok(FromServer::Refused(error))) => Err(refused(error, self.peer)),
                Ok(Ok(message)) => Ok(message),
                Ok(Err(error)) => {
                    Err(Error { operation: step.into(), ..error }.with_kind(Kind::Unmeasured))
                }
                Err(_) => Err(failed(Code::ConnectionLost, "the control connection is gone")),
            },
            recv(self.stop) -> signal => {
                let kind = signal.unwrap_or(Kind::Interrupted);
                Err(failed(Code::Signal, "a signal ended the run").with_kind(kind))
            }
            recv(crossbeam_channel::at(deadline)) -> _ => {
                let late = failed(Code::Timeout, "no answer in time");
                Err(late.with_remedy("raise --connect-timeout if the path is slow"))
            }
        }
    }

    fn out_of_order(&self, step: &str) -> Error {
        Error::new(Kind::Unmeasured, step, "it sent another message")
            .with_code(Code::Protocol)
            .with_peer(self.peer)
    }
}

/// Names the server that refuses in its error.
fn refused(error: Error, peer: SocketAddr) -> Error {
    let (remedy, errno) = (error.remedy.clone(), error.errno);
    let code = if error.code == Code::Other { Code::Refused } else { error.code };
    let cause = Error { remedy: None, ..error }.to_string();
    let refused = Error::new(Kind::Unmeasured, "prepare the run at", cause).with_peer(peer);
    Error { remedy, errno, code, ..refused }
}
