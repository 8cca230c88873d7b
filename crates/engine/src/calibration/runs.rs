//! Ceilings and floors: short runs of the real client, server and engine in this process, as
//! `podperf stream` and `podperf rr` do without a host.
//!
//! Enters: what to run and for how long. Leaves: one figure, or why there is none.

use std::thread::available_parallelism;
use std::time::Duration;

use crossbeam_channel::Receiver;
use podperf_model::plan::Choice as _;

use super::{CONGESTION_CONTROL, MESSAGE_BYTES};
use crate::control::client::{self, Target};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::limits::Limits;
use podperf_model::plan::{
    CheckedPlan, Direction, EndPlan, Pin, Plan, ReceiveMethod, RrPlan, STALL_TIMEOUT, SendMethod,
    SocketPlan, StopCondition, StreamPlan, Wait, Workload,
};
use podperf_model::result::calibration::{RrFloor, RunPlacement, StreamCeiling};
use podperf_model::result::run::Run;
use podperf_model::units::Bytes;

/// The shortest run that means something.
pub const MIN_RUN: Duration = Duration::from_millis(150);
/// The longest run; more time would show no more.
const MAX_RUN: Duration = Duration::from_millis(1500);
/// Enough for a figure; what time is left beyond it goes to another turn.
pub const USUAL_RUN: Duration = Duration::from_millis(500);
/// How long each step of a run in this process may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A run to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// In words: `write/read, 4 streams`.
    pub name: String,
    /// What to do; its times are set when it is run.
    pub plan: Plan,
    /// Request/response: how both ends wait and where they run.
    pub rr: Option<(&'static str, RunPlacement)>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// Of a stream run.
    Stream(StreamCeiling),
    /// Of a request/response run.
    Rr(RrFloor),
}

impl Figure {
    /// The better of two figures of one run: more goodput, less latency.
    #[must_use]
    pub fn better(self, other: Option<Self>) -> Self {
        let beaten = match (&self, &other) {
            (Self::Stream(own), Some(Self::Stream(other))) => {
                own.bits_per_second < other.bits_per_second
            }
            (Self::Rr(own), Some(Self::Rr(other))) => {
                let by = |row: &RrFloor| row.p50_ns.unwrap_or(u64::MAX);
                by(own) > by(other)
            }
            _ => false,
        };
        if beaten { other.unwrap_or(self) } else { self }
    }
}

/// Sets how one end waits.
type SetWait = fn(&mut EndPlan);

/// How both ends of a round trip may wait.
const WAITS: &[(&str, SetWait)] = &[("block", |_| {}), ("spin", |end| end.wait = Wait::Spin)];

/// Every run there is: each send method against the plain receiver, and each receive method
/// against the plain sender, with 1, 2, 4 and as many streams as CPUs; a round trip by each way of
/// waiting and each placement that `cpus` allow.
#[must_use]
pub fn plans(cpus: &[u32]) -> Vec<Planned> {
    let sends = SendMethod::concrete().map(|send| (send, ReceiveMethod::Read));
    let receives = ReceiveMethod::ALL.iter();
    let receives = receives.map(|&receive| (SendMethod::Write, receive));
    let pairs = sends.chain(receives.filter(|(_, receive)| *receive != ReceiveMethod::Read));
    let mut counts = vec![1, 2, 4, available_parallelism().map_or(1, |all| all.get())];
    counts.sort_unstable();
    counts.dedup();
    let mut all = Vec::new();
    for (send, receive) in pairs {
        for &count in &counts {
            let streams = u32::try_from(count).unwrap_or(u32::MAX);
            let noun = if streams == 1 { "stream" } else { "streams" };
            let methods = format!("{}/{}", send.name(), receive.name());
            let plan = stream_plan(send, receive, streams);
            all.push(Planned { name: format!("{methods}, {streams} {noun}"), plan, rr: None });
        }
    }
    for &(wait, set_wait) in WAITS {
        for (placement, pins) in placements(cpus) {
            let mut plan = rr_plan(pins);
            set_wait(&mut plan.client);
            set_wait(&mut plan.server);
            // Two that spin on one CPU wait for the scheduler's clock.
            if placement == RunPlacement::OneCpu && plan.client.wait.spins() {
                continue;
            }
            let name = format!("round trip, {wait}, {}", placement.name());
            all.push(Planned { name, plan, rr: Some((wait, placement)) });
        }
    }
    all
}

/// Where both ends of a round trip can run: best CPUs first.
fn placements(cpus: &[u32]) -> Vec<(RunPlacement, [Pin; 2])> {
    let on = |cpu: u32| Pin::List(vec![cpu]);
    let mut all = vec![(RunPlacement::Scheduler, [Pin::None, Pin::None])];
    if let [first, ..] = cpus {
        all.push((RunPlacement::OneCpu, [on(*first), on(*first)]));
    }
    if let [first, second, ..] = cpus {
        all.push((RunPlacement::TwoCpus, [on(*first), on(*second)]));
    }
    all
}

/// So many streams up over loopback.
#[must_use]
pub fn stream_plan(send: SendMethod, receive: ReceiveMethod, streams: u32) -> Plan {
    let stream =
        StreamPlan { direction: Direction::Up, message_bytes: Bytes(MESSAGE_BYTES), send, receive };
    plan(stream.into(), streams, [Pin::Auto, Pin::Auto])
}

/// One flow, one byte each way, one request in flight.
#[must_use]
pub fn rr_plan(pins: [Pin; 2]) -> Plan {
    plan(RrPlan::default().into(), 1, pins)
}

fn plan(workload: Workload, flows: u32, [client, server]: [Pin; 2]) -> Plan {
    let no_delay = workload.transacts();
    Plan {
        workload,
        stop_condition: StopCondition::Time { window: MAX_RUN },
        strict: false,
        pacing: None,
        warm_up: Duration::ZERO,
        interval: MAX_RUN,
        stall_timeout: STALL_TIMEOUT,
        flows,
        client: EndPlan { pin: client, ..EndPlan::default() },
        server: EndPlan { pin: server, ..EndPlan::default() },
        socket: SocketPlan {
            congestion_control: Some(CONGESTION_CONTROL.to_owned()),
            no_delay,
            ..SocketPlan::default()
        },
    }
}

/// Runs it within about `slice`.
///
/// # Errors
/// When there is too little time, when the run fails, or when something else was used than asked.
pub fn measure(planned: &Planned, slice: Duration, stop: &Receiver<Kind>) -> Result<Figure> {
    let slice = slice.min(MAX_RUN);
    if slice < MIN_RUN {
        return Err(Error::new(Kind::Unmeasured, "measure", "no time left"));
    }
    // The rest goes to connecting, starting and ending.
    let window = slice * 6 / 10;
    let plan = Plan {
        stop_condition: StopCondition::Time { window },
        warm_up: slice / 5,
        interval: window,
        ..planned.plan.clone()
    };
    figure(planned, &run(&plan, stop)?)
}

/// Runs a plan against a server in this process.
///
/// # Errors
/// When anything went wrong in it.
pub fn run(plan: &Plan, stop: &Receiver<Kind>) -> Result<Run> {
    let target = Target {
        connect_timeout: STEP_TIMEOUT,
        peer_timeout: STEP_TIMEOUT,
        ..Target::this_process()
    };
    let plan = CheckedPlan::new(plan.clone(), &Limits::default())?;
    let run = client::measure(&plan, &target, &mut |_| {}, stop);
    match run.errors.first() {
        Some(error) => Err(error.clone()),
        None => Ok(run),
    }
}

fn figure(planned: &Planned, run: &Run) -> Result<Figure> {
    let missing = || Error::new(Kind::Unmeasured, "measure", "nothing was measured");
    as_asked(run)?;
    if let Some((wait, placement)) = planned.rr {
        let latency = run.latency.as_ref().ok_or_else(missing)?;
        return Ok(Figure::Rr(RrFloor {
            wait: wait.to_owned(),
            placement,
            mean_ns: latency.mean.ok_or_else(missing)?,
            p50_ns: latency.p50,
            p99_ns: latency.p99,
            per_second: run.transactions.as_ref().ok_or_else(missing)?.per_second,
        }));
    }
    let stream = planned.plan.workload.stream().ok_or_else(missing)?;
    let bits_per_second = run.throughput.as_ref().ok_or_else(missing)?.bits_per_second;
    let process = run.cpu.client.as_ref().and_then(|cpu| cpu.process.as_ref());
    Ok(Figure::Stream(StreamCeiling {
        send: stream.send,
        receive: stream.receive,
        streams: planned.plan.flows,
        bits_per_second,
        process_cores_per_gbit: process
            .filter(|_| bits_per_second > 0.0)
            .map(|process| process.total() / (bits_per_second / 1e9)),
    }))
}

/// A substitute's figures are not those of what was asked.
fn as_asked(run: &Run) -> Result<()> {
    let refused = |cause: String| Err(Error::new(Kind::Unmeasured, "use it", cause));
    let placements = run.placement.named().into_iter().filter_map(|(_, facts)| facts.as_ref());
    if let Some(reason) = placements.flat_map(|facts| &facts.fallbacks).next() {
        return refused(reason.clone());
    }
    for (_, facts) in run.transport.named() {
        let Some(facts) = facts else { continue };
        if let Some(send) = facts.send.as_ref().filter(|send| send.used != send.asked) {
            return refused(format!("{} was used", send.used.name()));
        }
        let receive = facts.receive.as_ref();
        if let Some(receive) = receive.filter(|receive| receive.used != receive.asked) {
            return refused(format!("{} was used", receive.used.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_keeps_the_rules_and_stands_once() {
        let plans = plans(&[4, 7]);
        for planned in &plans {
            CheckedPlan::new(planned.plan.clone(), &Limits::default()).unwrap();
            assert_eq!(plans.iter().filter(|other| other.name == planned.name).count(), 1);
        }
        for send in SendMethod::concrete() {
            let name = format!("{}/read, 4 streams", send.name());
            assert!(plans.iter().any(|planned| planned.name == name), "{name}");
        }
        let ends: Vec<_> = plans.iter().filter_map(|planned| planned.rr).collect();
        assert_eq!(ends.len(), 3 * WAITS.len() - 1);
        let last = &plans.last().unwrap().plan;
        assert_eq!(
            [&last.client.pin, &last.server.pin],
            [&Pin::List(vec![4]), &Pin::List(vec![7])]
        );
    }

    #[test]
    fn of_two_turns_the_better_stays() {
        let (_keep, stop) = crossbeam_channel::bounded(1);
        let Figure::Stream(row) = measure(&plans(&[])[0], MIN_RUN, &stop).unwrap() else {
            panic!("the first run is a stream's")
        };
        let faster = Figure::Stream(StreamCeiling {
            bits_per_second: 2.0 * row.bits_per_second,
            ..row.clone()
        });
        let row = Figure::Stream(row);
        assert_eq!(row.clone().better(None), row);
        assert_eq!(row.clone().better(Some(faster.clone())), faster);
        assert_eq!(faster.clone().better(Some(row)), faster);
    }

    #[test]
    fn one_cpu_leaves_out_what_needs_two() {
        let placements = |cpus: &[u32]| placements(cpus).len();
        assert_eq!((placements(&[]), placements(&[3]), placements(&[3, 1])), (1, 2, 3));
    }

    #[test]
    fn too_little_time_is_said_and_a_short_run_brings_its_figure() {
        let (_keep, stop) = crossbeam_channel::bounded(1);
        let plans = plans(&[]);
        let error = measure(&plans[0], MIN_RUN / 2, &stop).unwrap_err();
        assert_eq!(error.cause, "no time left");
        let Figure::Stream(row) = measure(&plans[0], MIN_RUN, &stop).unwrap() else {
            panic!("the first run is a stream's")
        };
        assert!(row.bits_per_second > 0.0 && row.streams == 1, "{row:?}");
        let Figure::Rr(row) = measure(plans.last().unwrap(), MIN_RUN, &stop).unwrap() else {
            panic!("the last run is a round trip's")
        };
        assert!(row.mean_ns > 0.0 && row.per_second > 0.0, "{row:?}");
    }

    #[test]
    fn a_stopped_run_is_an_end_and_no_figure() {
        let (stop, stopped) = crossbeam_channel::bounded(1);
        stop.send(Kind::Interrupted).unwrap();
        let error = measure(&plans(&[])[0], MIN_RUN, &stopped).unwrap_err();
        assert_eq!(error.kind, Kind::Interrupted);
    }
}
