//! Serves one client, from its plan to the report of this end.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::data_channel::DataChannel;
use super::policy_check;
use super::refusal::refuse;
use super::{PortContext, run};
use crate::control::descriptors;
use crate::control::link::Link;
use crate::control::message::{DRAINS, FromClient, FromServer};
use crate::control::pending_client::WelcomedClient;
use crate::control::timing::{MAX_STALL, PEER_TIMEOUT};
use crate::engine::{Engine, EngineSetup};
use crate::metrics::host::host_facts;
use crate::metrics::memory_limits::memory_conditions;
use crate::metrics::roots::Roots;
use crate::metrics::tcp_settings::why_not_loaded;
use crate::net::SessionId;
use crate::policy::RunLimits;
use crate::workload::compat::CompatOptions;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::facts::HostFacts;
use podperf_model::plan::limits::Limits;
use podperf_model::plan::memory::memory_bytes;
use podperf_model::plan::{CheckedPlan, ClientPermissions, Plan, Role};
use podperf_model::result::end_result::EndReport;
use podperf_model::run_record::RunRecord;
use podperf_model::{Context as _, During as _};

/// For a client to take the last message and leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who the client is and where it stands.
struct ClientInfo<'a> {
    /// What came of its run.
    record: &'a mut RunRecord,
    /// What it says of itself, and its rule.
    welcomed: WelcomedClient,
    /// This end's fingerprint.
    host: HostFacts,
    /// Own and the client's address of the control connection.
    ends: Option<(SocketAddr, SocketAddr)>,
}

/// Serves the client of `record`, which has shaken hands and sent `plan`, to its end.
///
/// # Errors
/// When the plan is refused, or the run breaks off.
pub(super) fn serve(
    stream: TcpStream,
    context: &PortContext<'_>,
    welcomed: WelcomedClient,
    plan: Plan,
    record: &mut RunRecord,
) -> Result<()> {
    let begun = Instant::now();
    let ends = (stream.local_addr().ok(), stream.peer_addr().ok());
    let host_of = |address: Option<SocketAddr>| address.map(|address| address.ip().to_canonical());
    let host = host_facts(&Roots::default(), host_of(ends.0), host_of(ends.1));
    let asked = welcomed.peer_timeout.unwrap_or(PEER_TIMEOUT);
    let timeout = asked.min(context.options.peer_timeout);
    let same = stream.try_clone();
    let started = Link::start::<FromClient, FromServer>(stream, &record.peer, timeout);
    let (link, incoming) = match (started, same) {
        (Ok(started), _) => started,
        (Err(error), same) => {
            // Without a link there is no other way to say it.
            same.iter().for_each(|stream| refuse(stream, &error));
            return Err(error);
        }
    };
    let client = ClientInfo { record, welcomed, host, ends: ends.0.zip(ends.1) };
    // All that the run held is free before its client hears of the end, and may ask for another.
    let measured = measure(&link, &incoming, context, plan, client);
    record.seconds = begun.elapsed().as_secs_f64();
    let served = match measured {
        Ok(report) => link.send(&FromServer::Report(Box::new(report))),
        Err(error) => {
            // A client that is gone does not hear it; the log has it.
            let _ = link.send(&FromServer::Refused(error.clone()));
            Err(error)
        }
    };
    wait_until_left(&incoming);
    served
}

/// Waits for the client to leave first: closing while its heartbeats are unread would reset the
/// connection and with it the last message.
fn wait_until_left(incoming: &Receiver<Result<FromClient>>) {
    let deadline = Instant::now() + LEAVE_TIMEOUT;
    // A message that is there already is taken past the deadline too: one that talks without end
    // is left all the same.
    while Instant::now() < deadline && matches!(incoming.recv_deadline(deadline), Ok(Ok(_))) {}
}

/// What the client at the other end of the control connection may choose of this end: as its rule
/// says, to which a policy holds it, else as the options do.
fn permissions(
    context: &PortContext<'_>,
    ends: Option<(SocketAddr, SocketAddr)>,
    rule: &RunLimits,
) -> ClientPermissions {
    let told = context.options.permissions;
    let ClientPermissions { affinity, spin } =
        ends.map_or(told, |(_, client)| told.of(client.ip()));
    ClientPermissions {
        affinity: affinity || rule.cpus.is_some(),
        spin: spin || rule.spin.is_some(),
    }
}

/// Refuses a congestion control that the kernel would load for this process alone.
fn check_congestion(context: &PortContext<'_>, plan: &Plan) -> Result<()> {
    let asked = plan.socket.congestion_control.as_deref().filter(|_| !context.options.in_process);
    match asked.and_then(|name| Some((name, why_not_loaded(name)?))) {
        None => Ok(()),
        Some((name, why)) => {
            let allowed = format!("allowed by this server: {why}");
            let error = Error::usage("--congestion", name, allowed).with_code(Code::Refused);
            let error = error.with_limit("congestion");
            Err(error.with_kind(Kind::Unmeasured))
        }
    }
}

/// Prepares the run that the client asks for, and runs it; this end's report.
fn measure(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    context: &PortContext<'_>,
    plan: Plan,
    client: ClientInfo<'_>,
) -> Result<EndReport> {
    let ClientInfo { record, welcomed, host, ends } = client;
    // What a rule says takes the place of the options.
    let own = &context.options.limits;
    let rule = policy_check::limits(context, &welcomed, ends)?;
    let duration = rule.time.map_or(own.duration, |_| Limits::default().duration);
    let plan = checked(plan, &Limits { duration, ..own.clone() })?;
    permissions(context, ends, &rule).check(&plan.server).with_kind(Kind::Unmeasured)?;
    check_congestion(context, &plan)?;
    // Until the engine is gone, which is dropped before.
    let admitted = policy_check::admit(link, incoming, context, &plan, (&welcomed, ends))?;
    let granted = admitted.as_ref().and_then(|run| policy_check::rate(&plan, run.limits()));
    let mut plan = match granted {
        Some(rate) => plan.kept_to(rate),
        None => plan,
    };
    let longest_stall = rule.time.map_or(MAX_STALL, |time| time.min(MAX_STALL));
    plan.stall_timeout = plan.stall_timeout.min(longest_stall);
    let conditions = memory_conditions(&Roots::default());
    let needed = memory_bytes(&plan, Role::Server, &conditions);
    let _reserved = context.memory.reserve(needed)?;
    let session = SessionId::random().during("get random numbers")?;
    descriptors::check(DataChannel::descriptors(&plan))?;
    let mut channel = DataChannel::open(&plan, context, session, ends)?;
    let port = channel.port()?;
    record.admit();
    link.send(&FromServer::Connect {
        session: session.to_hex(),
        port,
        rate_bits_per_second: granted,
    })?;
    let (sockets, granted) = channel.collect(&plan, incoming, &context.closed)?;
    let connection_source = channel.connection_source();
    let same_machine = host.boot_id.is_some() && host.boot_id == welcomed.hello.boot_id;
    (context.log)(&format!("{}: run of {} connections", record.peer, plan.connections()));
    let role = Role::Server;
    let compat = CompatOptions::default();
    let setup =
        EngineSetup { plan, role, sockets, connection_source, granted, host, same_machine, compat };
    let mut engine = Engine::prepare(setup)?;
    link.send(&FromServer::Ready(Box::new(engine.facts().clone())))?;
    let meter = admitted.map(|run| policy_check::meter(run, engine.plan()));
    let tells_drain = welcomed.hello.features.iter().any(|feature| feature == DRAINS);
    let (ended, report) =
        run::serve_run(link, incoming, context, (&mut engine, &mut channel), meter, tells_drain);
    record.bytes_received = report.flows.iter().map(|flow| flow.bytes_received).sum();
    record.bytes_sent = report.flows.iter().map(|flow| flow.bytes_sent).sum();
    ended.map(|()| report)
}

/// Checks a plan by this server's limits. One that is only too long for them is told what to
/// change: its client has checked it by wider ones.
fn checked(plan: Plan, limits: &Limits) -> Result<Plan> {
    let longest = Limits { duration: Limits::default().duration, ..limits.clone() };
    let unchecked = plan.clone();
    let checked = CheckedPlan::new(plan, limits).with_kind(Kind::Unmeasured);
    checked.map(CheckedPlan::into_inner).map_err(|error| {
        let remedy = "ask for less, or raise --max-time there, which bounds warm-up and window";
        let is_too_long = CheckedPlan::new(unchecked, &longest).is_ok();
        if is_too_long {
            error.with_remedy(remedy).with_limit("run.time")
        } else {
            error.with_limit("plan")
        }
    })
}
