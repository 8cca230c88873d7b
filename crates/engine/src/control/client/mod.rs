//! The client's side of a run: reach the server, agree on a plan, drive it, and put both ends'
//! results together.

mod cancellation;
mod claims;
mod data;
mod dial;
mod examine;
mod flows;
mod other_server;
mod path_mtu;
mod reach;
mod run;
mod server_peer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use socket2::SockRef;

use crate::control::descriptors;
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer};
use crate::control::server::{BackgroundServer, ServeOptions};
use crate::control::timing::PEER_TIMEOUT;
use crate::engine::{Engine, EngineSetup};
use crate::metrics::host::{boot_id, host_facts};
use crate::metrics::memory_limits::{memory_budget, memory_conditions};
use crate::metrics::roots::Roots;
use crate::net::SessionId;
use crate::policy::Token;
use crate::workload::compat::CompatOptions;
use cancellation::Cancellation;
use data::Data;
pub use examine::examine;
pub use other_server::ONE_SERVER;
pub use path_mtu::path_finding;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::memory::memory_bytes;
use podperf_model::plan::{CheckedPlan, Plan, Role};
use podperf_model::result::end_result::EndFacts;
use podperf_model::result::merge::{Input, merge};
use podperf_model::result::run::{Between, Interval, OpenedRun, Run};
use podperf_model::units::BitRate;
use podperf_model::{AddressFamily, Context as _};
pub use reach::{ReachedServer, resolve, shake_hands};
use server_peer::ServerPeer;

/// For each step until everything is ready to start, unless another time is asked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For the probe of sizes after a run in which packets were lost.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest that a server may have a run wait.
const MAX_QUEUE_WAIT: Duration = Duration::from_secs(86_400);

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

/// Where the sockets of a run go, and by when all have to be there.
struct DataTarget {
    peer: SocketAddr,
    /// Own address.
    bind: Option<IpAddr>,
    /// It is not the server's own address.
    is_redirected: bool,
    session: SessionId,
    deadline: Instant,
}

/// The points where a caller takes part in a run.
pub struct Hooks<'a> {
    /// Sees every interval as it ends.
    pub watch: &'a mut dyn FnMut(&Interval),
    /// Told the place in the server's queue, whenever it changes, of a run that has to wait.
    pub queued: &'a mut dyn FnMut(QueuePlace),
    /// Called once, when both ends stand at the gate; the run starts when it returns. An error
    /// ends the run there.
    pub before_start: &'a mut dyn FnMut() -> Result<()>,
    /// Called once, when the window has opened.
    pub opened: &'a mut dyn FnMut(&OpenedRun<'_>),
}

fn opened_run<'a>(input: &'a Input, plan: &'a Plan, client: &'a EndFacts) -> OpenedRun<'a> {
    OpenedRun {
        started_at: &input.started_at,
        opened_at: input.opened_at.as_deref(),
        target: &input.target,
        plan,
        hostname: client.host.hostname.as_deref(),
    }
}

/// Where a run stands in a server's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// 1 is the first.
    pub place: u32,
    /// How much longer it may wait at the most.
    pub longest_wait: Duration,
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
    let hooks =
        Hooks { watch, queued: &mut |_| (), before_start: &mut || Ok(()), opened: &mut |_| () };
    measure_with(plan, target, hooks, stop)
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
    let mut input = Input {
        started_at,
        command: std::env::args().collect(),
        target: name,
        plan: Plan::clone(plan),
        between: None,
        client: None,
        server: None,
        errors: Vec::new(),
        warm_up_seconds: 0.0,
        opened_at: None,
    };
    if let Err(error) = run(plan, target, Cancellation { stop, limit }, hooks, &mut input) {
        let late = limit.is_some_and(|limit| Instant::now() >= limit);
        input.errors.push(if late {
            error.with_kind(Kind::Deadline).with_remedy("raise --deadline")
        } else {
            error
        });
    }
    let mut run = merge(input);
    let has_time = limit.is_none_or(|limit| Instant::now() + PROBE_TIMEOUT < limit);
    if target.host.is_some() && has_time {
        path_mtu::explain(&mut run, target.port, target.bind);
    }
    other_server::explain(&mut run);
    run
}

/// Starts a server inside this process, over loopback.
fn start_server(plan: &Plan, target: &Target) -> Result<BackgroundServer> {
    let loopback = match target.family {
        Some(AddressFamily::V6) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    BackgroundServer::start(ServeOptions {
        mptcp: plan.socket.mptcp,
        in_process: true,
        token: target.token.clone(),
        peer_timeout: target.peer_timeout,
        ..ServeOptions::on((loopback, 0).into())
    })
}

/// Checks whether this process has the descriptors and the memory for `plan`, before the first
/// packet. A server in this process has the other end of it.
fn check_resources(plan: &Plan, target: &Target) -> Result<()> {
    let both = [Role::Client, Role::Server];
    let ends = if target.host.is_none() { &both[..] } else { &both[..1] };
    descriptors::check(u64::from(plan.connections()) * ends.len() as u64)?;
    let roots = Roots::default();
    let conditions = memory_conditions(&roots);
    let needed = ends.iter().map(|&end| memory_bytes(plan, end, &conditions));
    let needed = needed.fold(0, u64::saturating_add);
    memory_budget(&roots).check(needed, 0, "allow this process more memory")
}

/// Carries out one run; `input` gets what comes of it.
fn run(
    plan: &CheckedPlan,
    target: &Target,
    cancellation: Cancellation<'_>,
    hooks: Hooks<'_>,
    input: &mut Input,
) -> Result<()> {
    check_resources(plan, target)?;
    let (server, addresses) = if target.host.is_some() {
        (None, reach::look_up(target, cancellation)?)
    } else {
        let server = start_server(plan, target)?;
        let address = server.address();
        (Some(server), vec![address])
    };
    let deadline = cancellation.deadline(target);
    let boot_id = boot_id(&Roots::default());
    let ReachedServer { stream, address, hello, between, .. } =
        reach::connect(target, addresses, boot_id, cancellation, deadline)?;
    let is_redirected = between.as_ref().is_some_and(Between::is_redirected);
    input.between = between.filter(|_| server.is_none());
    let own = stream.local_addr().ok().map(|own| own.ip());
    let host = host_facts(&Roots::default(), own, Some(address.ip()));
    let same_machine = host.boot_id.is_some() && host.boot_id == hello.boot_id;
    let plan = settled(plan, &stream);
    let (name, peer_timeout) = (address.to_string(), target.peer_timeout);
    let max_bytes = claims::max_message_bytes(&plan);
    let (link, incoming) =
        Link::start_within::<FromServer, FromClient>(stream, &name, peer_timeout, max_bytes)?;
    let peer = ServerPeer { link, incoming, address, peer_timeout, cancellation };
    let prepare = FromClient::Prepare {
        plan: Box::new(plan.clone()),
        peer_timeout_seconds: Some(peer_timeout.as_secs_f64()),
    };
    peer.link.send(&prepare).with_kind(Kind::Unmeasured)?;
    let accepted = accepted(&peer, deadline, target.connect_timeout, hooks.queued)?;
    let AcceptedPlan { session, port, rate } = accepted;
    let plan = match rate {
        Some(rate) => plan.kept_to(rate),
        None => plan,
    };

    let deadline = cancellation.deadline(target);
    let to = DataTarget { peer: address, bind: target.bind, is_redirected, session, deadline };
    let wanted = plan.clone();
    let open = move || data::open(&wanted, &to, port);
    let opened = cancellation.run_blocking(("connect the streams to", &name), deadline, open);
    let lasting = plan.workload.short_lived().is_none();
    let Data { sockets, granted, connection_source } =
        opened.map_err(|error| if lasting { peer.reason_for(error) } else { error })?;
    let role = Role::Client;
    let compat = CompatOptions::default();
    let setup =
        EngineSetup { plan, role, sockets, connection_source, granted, host, same_machine, compat };
    // A stream that was reset as soon as it was there has no peer any more.
    let engine = Engine::prepare(setup).map_err(|error| match error.errno {
        Some(libc::ENOTCONN) => peer.reason_for(error.with_peer(peer.address)),
        _ => error,
    })?;
    let facts = wait_until_ready(&peer, &engine, deadline)?;
    claims::check_facts(engine.plan(), &facts)
        .map_err(|cause| peer.broke_protocol(cause).with_kind(Kind::Unmeasured))?;
    (hooks.before_start)()?;
    if let Some(server) = &server {
        input.target = server.address().to_string();
    }
    run::drive(peer, engine, facts, hooks, input);
    drop(server);
    Ok(())
}

/// Waits until both ends stand at the gate; returns the server's facts.
fn wait_until_ready(peer: &ServerPeer<'_>, engine: &Engine, deadline: Instant) -> Result<EndFacts> {
    if !engine.plan().workload.is_udp() {
        peer.watch(engine.sockets(), deadline)?;
    }
    let ready = peer.wait_for("wait for the streams at", deadline, |answer| match answer {
        FromServer::Ready(facts) => Some(*facts),
        _ => None,
    });
    ready.map_err(|error| match error.code {
        Code::Timeout => {
            let slow = "raise --connect-timeout if the path is slow; behind one address of several";
            error.with_remedy(format!("{slow} servers, {}", other_server::ONE_SERVER))
        }
        _ => error,
    })
}

/// What a server says of a plan that it accepts.
struct AcceptedPlan {
    /// The session that the streams belong to.
    session: SessionId,
    /// Where connections go that do not last.
    port: Option<u16>,
    /// What its policy lets all flows send each way.
    rate: Option<BitRate>,
}

/// Waits until the server accepts the plan, `queued` or at once.
fn accepted(
    peer: &ServerPeer<'_>,
    mut deadline: Instant,
    connect_timeout: Duration,
    queued: &mut dyn FnMut(QueuePlace),
) -> Result<AcceptedPlan> {
    let (session, port, rate) = loop {
        let answer = peer.wait_for("accept the plan at", deadline, Some)?;
        match answer {
            FromServer::Connect { session, port, rate_bits_per_second } => {
                break (session, port, rate_bits_per_second);
            }
            FromServer::Queued { place, longest_wait_seconds } => {
                // However long it says: a signal ends it, and the server's silence.
                let longest_wait = Duration::try_from_secs_f64(longest_wait_seconds)
                    .unwrap_or_default()
                    .min(MAX_QUEUE_WAIT);
                queued(QueuePlace { place, longest_wait });
                let until = Instant::now() + longest_wait + connect_timeout;
                deadline = peer.cancellation.limit.map_or(until, |limit| limit.min(until));
            }
            _ => {
                let other = "it sent another message";
                return Err(peer.broke_protocol(other).with_kind(Kind::Unmeasured));
            }
        }
    };
    let session = SessionId::from_hex(&session).ok_or_else(|| {
        Error::new(Kind::Unmeasured, "read the session from", "it is no session id")
            .with_code(Code::Protocol)
            .with_peer(peer.address)
    })?;
    Ok(AcceptedPlan { session, port, rate })
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
