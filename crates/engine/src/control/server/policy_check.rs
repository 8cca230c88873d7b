//! Holds a client's run to the server's policy before anything is reserved for it.
//!
//! Enters: a checked plan and the client that asks for it. Leaves: a run that counts until it is
//! dropped, with what the plan is tightened to; or the refusal.

use std::net::SocketAddr;
use std::time::Instant;

use crossbeam_channel::{Receiver, at, select};
use jiff::Timestamp;

use super::PortContext;
use crate::control::link::Link;
use crate::control::message::{FromClient, FromServer, QUEUES};
use crate::control::pending_client::WelcomedClient;
use crate::net::ending_refusal;
use crate::policy::{
    Admission, AdmittedClient, AdmittedRun, Decision, Outgoing, PolicyFile, QueueState, QueuedRun,
    Refusal, RequestedRun, RunLimits, RunMeter,
};
use crate::transport::socket::plain;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::{FlowRole, Pin, Plan, Role, StopCondition, Wait};
use podperf_model::units::BitRate;

const ADMIT: &str = "admit the run";

/// Own and the client's address of a control connection, while it has them.
type ControlEnds = Option<(SocketAddr, SocketAddr)>;

/// Asks the policy, if there is one; a client that knows of queues waits in that of its rule.
///
/// # Errors
/// Naming the limit that the run is beyond, or when the client leaves or the server ends meanwhile.
pub(super) fn admit(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    context: &PortContext<'_>,
    plan: &Plan,
    (welcomed, ends): (&WelcomedClient, ControlEnds),
) -> Result<Option<AdmittedRun>> {
    let Some((admission, client)) = client(context, welcomed, ends)? else { return Ok(None) };
    let may_wait = welcomed.hello.features.iter().any(|feature| feature == QUEUES);
    let decided = admission.admit(&client, &summary(plan), may_wait, Timestamp::now());
    match decided.map_err(refused)? {
        Decision::Admitted(run) => Ok(Some(run)),
        Decision::Queued(run) => {
            let peer = ends.map(|(_, peer)| plain(peer)).unwrap_or_default();
            let line = format!("{peer}: waits in the queue of rule '{}'", client.rule);
            let told = |place| (context.log)(&format!("{line}, place {place}"));
            wait(link, incoming, context, &run, told).map(Some)
        }
    }
}

/// What a run of the client may take by its rule: nothing is said where there is no policy.
///
/// # Errors
/// When its rule has gone, or its connection.
pub(super) fn limits(
    context: &PortContext<'_>,
    welcomed: &WelcomedClient,
    ends: ControlEnds,
) -> Result<RunLimits> {
    let Some((admission, client)) = client(context, welcomed, ends)? else {
        return Ok(RunLimits::default());
    };
    admission.run_limits(&client).map_err(refused)
}

/// The client as the policy knows it; absent: there is no policy.
fn client<'a>(
    context: &'a PortContext<'_>,
    welcomed: &WelcomedClient,
    ends: ControlEnds,
) -> Result<Option<(&'a Admission, AdmittedClient)>> {
    let admission = context.options.policy.as_ref().map(PolicyFile::admission);
    let Some((admission, rule)) = admission.zip(welcomed.rule.clone()) else { return Ok(None) };
    let (_, peer) = ends.ok_or_else(|| {
        Error::new(Kind::Unmeasured, ADMIT, "its connection has no address any more")
            .with_code(Code::ConnectionLost)
    })?;
    let token = welcomed.token.clone();
    Ok(Some((admission, AdmittedClient { ip: peer.ip(), rule, token })))
}

fn refused(refusal: Refusal) -> Error {
    refusal.into_error(Kind::Unmeasured, ADMIT)
}

/// Waits in the queue, and tells the client its place whenever that changes.
fn wait(
    link: &Link,
    incoming: &Receiver<Result<FromClient>>,
    context: &PortContext<'_>,
    run: &QueuedRun,
    log_place: impl Fn(u32),
) -> Result<AdmittedRun> {
    let deadline = Instant::now() + run.longest_wait;
    let failed = |code, cause: &str| {
        Err(Error::new(Kind::Unmeasured, "wait in the queue", cause).with_code(code))
    };
    let mut told = None;
    loop {
        match run.look(Timestamp::now()).map_err(refused)? {
            QueueState::Admitted(run) => return Ok(run),
            QueueState::Place(place) if told == Some(place) => {}
            QueueState::Place(place) => {
                let longest = deadline.saturating_duration_since(Instant::now());
                let longest_wait_seconds = longest.as_secs_f64();
                link.send(&FromServer::Queued { place, longest_wait_seconds })?;
                if told.replace(place).is_none() {
                    log_place(place);
                }
            }
        }
        select! {
            recv(run.changed) -> _ => {}
            recv(incoming) -> message => match message {
                Ok(Ok(_)) => return failed(Code::Protocol, "the client spoke"),
                Ok(Err(error)) => return Err(error),
                Err(_) => return failed(Code::ConnectionLost, "the client left"),
            },
            recv(context.draining) -> _ => return Err(ending_refusal()),
            recv(at(deadline)) -> _ => return Err(refused(run.waited())),
        }
    }
}

/// A plan as a policy looks at it.
fn summary(plan: &Plan) -> RequestedRun {
    let time = match plan.stop_condition {
        StopCondition::Time { window } => Some(plan.warm_up + window),
        StopCondition::Bytes { .. } | StopCondition::Transactions { .. } => None,
    };
    let sends = |role| (0..plan.connections()).filter(move |id| sends(plan, role, *id)).count();
    let datagram_rate = plan.workload.datagram_stream().and_then(|stream| {
        let flows = sends(Role::Client) as u64;
        let each = stream.bits_per_second.map_or(u64::MAX, |rate| rate.0);
        (flows > 0).then_some(BitRate(each.saturating_mul(flows)))
    });
    RequestedRun {
        streams: plan.connections(),
        time,
        is_udp: plan.workload.is_udp(),
        datagram_rate,
        cpus: match &plan.server.pin {
            Pin::List(cpus) => cpus.clone(),
            Pin::Auto | Pin::None => Vec::new(),
        },
        spins: plan.server.wait != Wait::Block,
    }
}

/// Whether `role` sends a stream on flow `id`.
fn sends(plan: &Plan, role: Role, id: u32) -> bool {
    plan.flow_role(role, id) == FlowRole::Send
}

/// The rate each way that a run may have.
pub(super) fn rate(plan: &Plan, limits: &RunLimits) -> Option<BitRate> {
    if plan.workload.is_udp() { limits.udp_rate } else { limits.rate }
}

/// Begins to measure a run that is ready.
pub(super) fn meter(run: AdmittedRun, plan: &Plan) -> RunMeter {
    let rate = rate(plan, run.limits());
    let way = if plan.workload.direction().is_some() { Outgoing::Paced } else { Outgoing::Free };
    RunMeter::new(run, rate, way)
}
