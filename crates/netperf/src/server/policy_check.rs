//! Holds a test to the server's policy: before anything is opened for it.
//!
//! Enters: an order and the client that asks for it. Leaves: a run that counts until it is dropped,
//! or the refusal: an errno for every netperf, words for podperf's.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::control::{ControlChannel, WaitOutcome};
use super::order::Order;
use crate::test_kind::{MAX_DATAGRAM_BYTES, Protocol, TestDirection, TestLength};
use crate::wire::native::queued;
use podperf_engine::net::{Log, Progress};
use podperf_engine::policy::{
    Admission, AdmittedClient, AdmittedRun, CpuChoice, Decision, Outgoing, PolicyLimit, QueueState,
    QueuedRun, Refusal, RequestedRun, RunMeter,
};
use podperf_engine::workload::compat::Pace;
use podperf_model::units::BitRate;

/// Between two looks at the queue.
const QUEUE_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Between two messages to a client that waits: less than it waits for an answer.
const REMINDER_INTERVAL: Duration = Duration::from_secs(30);
/// Longest wait of a client that cannot be told of a queue: half of what netperf waits.
const MAX_SILENT_WAIT: Duration = Duration::from_secs(60);
/// Between two bursts of paced datagrams.
const MIN_PACE_INTERVAL: Duration = Duration::from_millis(1);

/// Why a test is not begun.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    Refused(Refusal),
    /// Nobody is there any more.
    Gone,
}

/// Why a test does not begin.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The errno to tell.
    Errno(i32),
    Policy(NotAdmitted),
}

impl From<i32> for NotOpened {
    fn from(errno: i32) -> Self {
        Self::Errno(errno)
    }
}

impl From<NotAdmitted> for NotOpened {
    fn from(why: NotAdmitted) -> Self {
        Self::Policy(why)
    }
}

/// Whether a client may name this CPU; absent: its rule does not say.
pub(super) fn may_name(cpu: u32, asker: Option<(&Admission, &AdmittedClient)>) -> Option<bool> {
    let (admission, client) = asker?;
    match admission.run_limits(client).ok()?.cpus? {
        CpuChoice::None => Some(false),
        CpuChoice::Any => Some(true),
        CpuChoice::Of(cpus) => Some(cpus.contains(&cpu)),
    }
}

/// Decides about a test; it may wait in the queue of its rule, of which podperf's netperf is told.
pub(super) fn admit(
    (admission, client): (&Admission, &AdmittedClient),
    order: &Order,
    control: &mut ControlChannel,
    (closing, is_native): (BorrowedFd<'_>, bool),
    log: Log<'_>,
) -> Result<AdmittedRun, NotAdmitted> {
    let decided = admission.admit(client, &requested(order), true, Timestamp::now());
    match decided.map_err(NotAdmitted::Refused)? {
        Decision::Admitted(run) => Ok(run),
        Decision::Queued(run) => {
            log(&format!("{}: waits in the queue of rule '{}'", control.name(), client.rule));
            wait(&run, control, closing, is_native)
        }
    }
}

fn wait(
    run: &QueuedRun,
    control: &mut ControlChannel,
    closing: BorrowedFd<'_>,
    is_native: bool,
) -> Result<AdmittedRun, NotAdmitted> {
    let longest = if is_native { run.longest_wait } else { run.longest_wait.min(MAX_SILENT_WAIT) };
    let deadline = Instant::now() + longest;
    let mut told: Option<(u32, Instant)> = None;
    loop {
        match run.look(Timestamp::now()).map_err(NotAdmitted::Refused)? {
            QueueState::Admitted(run) => return Ok(run),
            QueueState::Place(place) => {
                let now = Instant::now();
                let is_news = told.is_none_or(|(last, at)| {
                    last != place || now.saturating_duration_since(at) >= REMINDER_INTERVAL
                });
                if is_news && is_native {
                    let left = deadline.saturating_duration_since(now).as_secs();
                    let message = queued(place, u32::try_from(left).unwrap_or(u32::MAX));
                    control.send(&message.0).map_err(|_| NotAdmitted::Gone)?;
                    told = Some((place, now));
                }
            }
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(NotAdmitted::Refused(run.waited()));
        }
        match control.wait(None, closing, Some(deadline.min(now + QUEUE_POLL_INTERVAL))) {
            WaitOutcome::Late => {}
            WaitOutcome::Closing | WaitOutcome::Other => return Err(NotAdmitted::Gone),
            WaitOutcome::Control => match control.read() {
                Ok(Progress::Incomplete) => {}
                Ok(Progress::Complete(message)) => {
                    control.keep(message).map_err(|_| NotAdmitted::Gone)?;
                }
                Ok(Progress::Closed) | Err(_) => return Err(NotAdmitted::Gone),
            },
        }
    }
}

/// A test as a policy looks at it. Which CPU it names is no reason to refuse it.
fn requested(order: &Order) -> RequestedRun {
    RequestedRun {
        streams: order.extensions.streams,
        time: order.length.time(),
        is_udp: order.shape.protocol == Protocol::Udp,
        ..RequestedRun::default()
    }
}

/// Paces what this end sends of a test to the rate that it may have, each stream to an equal part.
pub(super) fn pace(order: &mut Order, run: &AdmittedRun) {
    let Some(rate) = rate(order, run) else { return };
    let each = (rate.0 / 8 / u64::from(order.extensions.streams.max(1))).max(1);
    if order.shape.protocol == Protocol::Tcp {
        let pacing = &mut order.ask.pacing_bytes_per_second;
        *pacing = Some(pacing.map_or(each, |asked| asked.min(each)));
    } else if order.sends_first() {
        let bytes = order.send_bytes.unwrap_or(MAX_DATAGRAM_BYTES).max(1);
        let pace = datagram_pace(each, bytes.into());
        let slower = |asked: &Pace| per_second(asked) < per_second(&pace);
        order.pace = Some(order.pace.filter(slower).unwrap_or(pace));
    }
}

/// Datagrams of `bytes` that make `bytes_per_second` at the most.
fn datagram_pace(bytes_per_second: u64, bytes: u64) -> Pace {
    let operations = bytes_per_second / 1000 / bytes;
    match u32::try_from(operations) {
        Ok(0) => {
            let every =
                Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / bytes_per_second);
            Pace { operations: 1, every: every.max(MIN_PACE_INTERVAL) }
        }
        operations => Pace { operations: operations.unwrap_or(u32::MAX), every: MIN_PACE_INTERVAL },
    }
}

fn per_second(pace: &Pace) -> f64 {
    f64::from(pace.operations.max(1)) / pace.every.as_secs_f64()
}

/// The rate each way that a test may have.
fn rate(order: &Order, run: &AdmittedRun) -> Option<BitRate> {
    let is_udp = order.shape.protocol == Protocol::Udp;
    if is_udp { run.limits().udp_rate } else { run.limits().rate }
}

/// Holds a test under way to its limits.
#[derive(Debug)]
pub(super) struct TestMeter {
    meter: RunMeter,
    began: Instant,
    /// Of what is moved, the part that is received: of so many bytes, so many.
    received: (u64, u64),
    /// It has no length of its own that the policy has looked at.
    is_open: bool,
}

impl TestMeter {
    pub(super) fn new(run: AdmittedRun, order: &Order) -> Self {
        let direction = order.shape.direction;
        let outgoing =
            if direction == TestDirection::Receive { Outgoing::Paced } else { Outgoing::Free };
        let received = match direction {
            TestDirection::Send => (1, 1),
            TestDirection::Receive => (0, 1),
            _ => {
                let [request, response] =
                    [order.request_bytes, order.response_bytes].map(u64::from);
                (request, (request + response).max(1))
            }
        };
        let rate = rate(order, &run);
        let is_open = !matches!(order.length, TestLength::Time(_));
        let meter = RunMeter::new(run, rate, outgoing);
        Self { meter, began: Instant::now(), received, is_open }
    }

    /// Takes the bytes that this end has moved so far; the limit that the test is beyond, if it is.
    pub(super) fn look(&mut self, bytes: u64) -> Option<Refusal> {
        let now = Instant::now();
        let (part, whole) = self.received;
        let received = u128::from(bytes) * u128::from(part) / u128::from(whole);
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        let moved = [bytes.saturating_sub(received), received];
        let over = self.meter.look(moved, Timestamp::now(), now);
        let most = self.meter.max_time().filter(|most| self.is_open && now > self.began + *most);
        let too_long = most.map(|most| {
            let rule = self.meter.rule();
            let cause = format!("time of a run of rule '{rule}': {} s allowed", most.as_secs());
            Refusal::new(PolicyLimit::RunTime, cause, "ask for a shorter run")
        });
        over.or(too_long)
    }
}

/// What a netperf is told that knows no words.
pub(super) const fn errno(limit: PolicyLimit) -> i32 {
    match limit {
        PolicyLimit::Address | PolicyLimit::Token | PolicyLimit::Cpus | PolicyLimit::Spin => {
            libc::EACCES
        }
        PolicyLimit::Sessions | PolicyLimit::Streams | PolicyLimit::Queue => libc::EUSERS,
        PolicyLimit::RunStreams | PolicyLimit::RunTime | PolicyLimit::Rate => libc::ERANGE,
        PolicyLimit::RunsPerHour | PolicyLimit::BytesPerDay => libc::EDQUOT,
        PolicyLimit::Udp => libc::EPROTONOSUPPORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_paced_to_no_more_than_the_rate() {
        for bytes in [1, 64, 1400, 65_507] {
            for rate in [8_000, 125_000, 1_250_000, 125_000_000, 12_500_000_000_u64] {
                let pace = datagram_pace(rate, bytes);
                let paced = per_second(&pace) * bytes as f64;
                assert!(paced <= rate as f64 * 1.001, "{bytes} B at {rate} B/s: {paced}");
                assert!(paced >= rate as f64 * 0.45 || bytes < 100, "{bytes} B at {rate}: {paced}");
            }
        }
    }
}
