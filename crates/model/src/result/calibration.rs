//! What podperf itself can do on one machine: the record that `podperf calibrate` makes, schema
//! `podperf.calibration/v1`, and what of it a run is held against.
//!
//! Enters: a record and a merged [`Run`]. Leaves: the run with its [`Ceiling`] and a verdict that
//! knows it. Pure functions; measuring and storing are `calibration`'s business.

use serde::{Deserialize, Serialize};

use crate::facts::HostFacts;
use crate::plan::{Direction, Plan, ReceiveMethod, RrPlan, SendMethod, StreamPlan, Wait};
use crate::result::run::{Ceiling, PlacementFacts, Run, Warning};
use crate::result::span::float;
use crate::result::verdict;

/// Name and version of the schema.
pub const SCHEMA: &str = "podperf.calibration/v1";
/// There is a ceiling, and nothing to hold against it.
const UNMEASURED: &str = "the run has no figure to compare";

/// Everything measured about podperf on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Calibration {
    /// `podperf.calibration/v1`.
    pub schema: String,
    /// When it began (RFC 3339, UTC).
    pub taken_at: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Where it holds.
    pub machine: Machine,
    /// Message size of streams, in bytes.
    pub message_bytes: u64,
    /// Congestion control of the streams: one that does not pace.
    pub congestion_control: String,
    /// What the loops and the sampler pay.
    pub steps: Vec<StepCost>,
    /// What one send call costs, by method.
    pub sends: Vec<CallCost<SendMethod>>,
    /// What one receive call costs, by method.
    pub receives: Vec<CallCost<ReceiveMethod>>,
    /// Goodput over loopback, both ends in one process on this machine.
    pub streams: Vec<StreamCeiling>,
    /// Round trips over loopback, one flow, one byte each way.
    pub rr: Vec<RrFloor>,
    /// What was refused or for which no time was left.
    pub left_out: Vec<LeftOut>,
}

/// What a calibration holds for. It outlives a reboot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Machine {
    /// podperf's version.
    pub podperf_version: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// CPU model name.
    pub cpu_model: Option<String>,
    /// CPUs that the process may run on.
    pub cpus_allowed: u32,
    /// CPU quota of its cgroup, in cores; null: none.
    pub cpu_quota_cores: Option<f64>,
}

/// One step of a loop, or one reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepCost {
    /// Which, in snake_case.
    pub step: String,
    /// Median over batches, in nanoseconds.
    pub ns: f64,
}

/// One call on loopback by one method. The kernel receives in the sender's context there, so that
/// is in the cost of a send call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallCost<M> {
    /// How.
    pub method: M,
    /// CPU time of the thread that called, in nanoseconds a call.
    pub cpu_ns: f64,
    /// Mean bytes that a call moved.
    pub mean_bytes: f64,
}

/// Goodput over loopback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamCeiling {
    /// How bytes were sent.
    pub send: SendMethod,
    /// How they were received.
    pub receive: ReceiveMethod,
    /// Streams at once.
    pub streams: u32,
    /// Goodput over all of them.
    pub bits_per_second: f64,
    /// CPU time of the process, both ends, in busy cores per Gbit/s; null: not readable.
    pub process_cores_per_gbit: Option<f64>,
}

/// Round trips over loopback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RrFloor {
    /// How both ends waited.
    pub wait: String,
    /// Where both ends ran.
    pub placement: RunPlacement,
    /// Mean latency, in nanoseconds.
    pub mean_ns: f64,
    /// Median latency, in nanoseconds; null with too few transactions.
    pub p50_ns: Option<u64>,
    /// 99th percentile, in nanoseconds; null likewise.
    pub p99_ns: Option<u64>,
    /// Transactions per second.
    pub per_second: f64,
}

/// Where the two ends of a flow run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunPlacement {
    /// Wherever the scheduler puts them.
    Scheduler,
    /// Both on one CPU.
    OneCpu,
    /// Each on a CPU of its own.
    TwoCpus,
}

/// A part that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl RunPlacement {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "left to the scheduler",
            Self::OneCpu => "both on one CPU",
            Self::TwoCpus => "on two CPUs",
        }
    }
}

impl Machine {
    /// The machine of one end.
    #[must_use]
    pub fn of(facts: &HostFacts) -> Self {
        Self {
            podperf_version: facts.podperf_version.clone(),
            kernel: facts.kernel.clone(),
            cpu_model: facts.cpu_model.clone(),
            cpus_allowed: u32::try_from(facts.cpus_allowed.len()).unwrap_or(u32::MAX),
            cpu_quota_cores: facts.cgroup.as_ref().and_then(|group| group.cpu_quota_cores),
        }
    }

    /// The first difference from the machine that `self` was taken on, in words.
    fn difference(&self, now: &Self) -> Option<String> {
        fn shown<T: ToString>(value: Option<&T>) -> String {
            value.map_or_else(|| "unknown".to_owned(), T::to_string)
        }
        let cores = |quota: Option<f64>| {
            quota.map_or_else(|| "no quota".to_owned(), |cores| format!("{cores} cores"))
        };
        [
            ("podperf", self.podperf_version.clone(), now.podperf_version.clone()),
            ("kernel", shown(self.kernel.as_ref()), shown(now.kernel.as_ref())),
            ("CPU", shown(self.cpu_model.as_ref()), shown(now.cpu_model.as_ref())),
            ("CPUs allowed", self.cpus_allowed.to_string(), now.cpus_allowed.to_string()),
            ("CPU quota", cores(self.cpu_quota_cores), cores(now.cpu_quota_cores)),
        ]
        .into_iter()
        .find(|(_, then, now)| then != now)
        .map(|(what, then, now)| format!("{what} was {then} and is {now}"))
    }
}

impl Calibration {
    /// Says that there is no figure of `what`: why it was left out, or what is known of it.
    fn lacks(&self, what: &str, known: &str) -> String {
        let part = |out: &&LeftOut| {
            out.what.strip_prefix(what).is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
        };
        match self.left_out.iter().find(part) {
            Some(out) => format!("the calibration left out {}: {}", out.what, out.reason),
            None => format!("the calibration has no {what}{known}"),
        }
    }
}

/// Says how close `run` came to what podperf reaches over loopback on the client's machine, and
/// judges it anew. A record of another machine is put aside with a warning.
pub fn hold_against(run: &mut Run, record: &Calibration) {
    let Some(host) = &run.host.client else { return };
    if let Some(difference) = record.machine.difference(&Machine::of(host)) {
        put_aside(run, &difference);
        return;
    }
    let workload = &run.plan.workload;
    let ceiling = match (workload.stream(), workload.request_response()) {
        (Some(plan), _) => stream_ceiling(run, plan, record),
        (_, Some(plan)) => rr_ceiling(run, plan, record),
        _ if workload.is_udp() => Err("podperf calibrate measures no datagrams".to_owned()),
        _ => Err("podperf calibrate measures no connections".to_owned()),
    };
    (run.ceiling, run.no_ceiling) = match ceiling {
        Ok(ceiling) => (Some(ceiling), None),
        Err(reason) => (None, Some(reason)),
    };
    run.verdict = verdict::judge(run);
}

/// Warns that there is a calibration and that it was not used.
pub fn put_aside(run: &mut Run, reason: &str) {
    run.warnings.push(Warning {
        code: "calibration_ignored".to_owned(),
        text: format!("the stored calibration does not hold here: {reason}"),
        remedy: "run podperf calibrate while the machine is idle".to_owned(),
    });
}

/// The ceiling of streams, or why there is none.
fn stream_ceiling(run: &Run, plan: &StreamPlan, record: &Calibration) -> Result<Ceiling, String> {
    let sender = match plan.direction {
        Direction::Up | Direction::Both => &run.transport.client,
        Direction::Down => &run.transport.server,
    };
    let receiver = match plan.direction {
        Direction::Up => &run.transport.server,
        Direction::Down | Direction::Both => &run.transport.client,
    };
    let send = sender.as_ref().and_then(|facts| Some(facts.send.as_ref()?.used));
    let receive = receiver.as_ref().and_then(|facts| Some(facts.receive.as_ref()?.used));
    let (send, receive) = (send.unwrap_or(plan.send), receive.unwrap_or(plan.receive));
    let streams = run.plan.connections();
    let methods = format!("{}/{}", send.name(), receive.name());
    let row = nearest(record, (send, receive), streams).filter(|row| row.bits_per_second > 0.0);
    let row = row.ok_or_else(|| {
        let known = ": it pairs each send method with read, and each receive method with write";
        record.lacks(&methods, known)
    })?;
    let goodput = run.throughput.as_ref().map(|all| all.bits_per_second);
    let goodput = goodput.filter(|goodput| goodput.is_finite()).ok_or(UNMEASURED)?;
    Ok(Ceiling {
        figure: format!(
            "{methods}, {} of {} messages",
            crate::result::wording::count(row.streams, "stream"),
            crate::units::Bytes(record.message_bytes)
        ),
        taken_at: record.taken_at.clone(),
        bits_per_second: Some(row.bits_per_second),
        latency_p50_ns: None,
        share: goodput / row.bits_per_second,
    })
}

/// The row of these methods whose number of streams is nearest, by its ratio.
fn nearest(
    record: &Calibration,
    (send, receive): (SendMethod, ReceiveMethod),
    streams: u32,
) -> Option<&StreamCeiling> {
    let distance = |row: &StreamCeiling| {
        (f64::from(row.streams.max(1)) / f64::from(streams.max(1))).ln().abs()
    };
    let rows = record.streams.iter();
    rows.filter(|row| row.send == send && row.receive == receive)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// One flow with one request in flight; more of either is no matter of the floor. Medians, because
/// a mean takes in each time that something else had the CPU.
fn rr_ceiling(run: &Run, plan: &RrPlan, record: &Calibration) -> Result<Ceiling, String> {
    let alone = run.plan.flows == 1 && plan.burst == 1 && plan.load.is_none();
    if !alone || plan.rate_per_second.is_some() {
        let rule = "only one flow with one request in flight, without rate and load, has a floor";
        return Err(rule.to_owned());
    }
    let wait = wait_name(&run.plan)
        .ok_or("the calibration has no round trip of ends that wait differently, or poll")?;
    let placement = placement(run);
    let name = format!("{wait}, {}", placement.name());
    let row = record.rr.iter().find(|row| row.wait == wait && row.placement == placement);
    let floor_ns = row.and_then(|row| row.p50_ns).filter(|p50| *p50 > 0);
    let floor_ns = floor_ns.ok_or_else(|| record.lacks(&format!("round trip, {name}"), ""))?;
    let p50_ns = run.latency.as_ref().and_then(|latency| latency.p50).filter(|p50| *p50 > 0);
    let p50_ns = p50_ns.ok_or(UNMEASURED)?;
    Ok(Ceiling {
        figure: format!("{name}, 1 B each way"),
        taken_at: record.taken_at.clone(),
        bits_per_second: None,
        latency_p50_ns: Some(floor_ns),
        share: float(floor_ns) / float(p50_ns),
    })
}

/// How both ends of a request/response run wait.
fn wait_name(plan: &Plan) -> Option<&'static str> {
    match (plan.client.wait, plan.server.wait) {
        (Wait::Block, Wait::Block) => Some("block"),
        (Wait::Spin, Wait::Spin) => Some("spin"),
        // Ends that differ have no floor, and polling is the device's affair.
        _ => None,
    }
}

/// Two machines have a CPU each. On one, pinned workers tell; others are the scheduler's.
fn placement(run: &Run) -> RunPlacement {
    if !run.same_machine() {
        return RunPlacement::TwoCpus;
    }
    let cpu = |facts: &Option<PlacementFacts>| *facts.as_ref()?.pinned_cpus.first()?;
    match (cpu(&run.placement.client), cpu(&run.placement.server)) {
        (Some(client), Some(server)) if client == server => RunPlacement::OneCpu,
        (Some(_), Some(_)) => RunPlacement::TwoCpus,
        _ => RunPlacement::Scheduler,
    }
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
