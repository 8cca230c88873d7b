//! Errors of system calls that a flow outlives, because they come from a path that is gone for a
//! moment: a route, a link or an address that went, a firewall's refusal, ICMP, a reset connection.
//!
//! Enters: each error, and what the flow has moved by then. Leaves: whether the flow goes on, and
//! counts by flow and error number with the times of the first and the last. All of it is off the
//! measuring path: nothing is done where no call fails.

use std::time::{Duration, Instant};

use super::{FlowFailure, Worker};
use podperf_model::plan::FlowRole;
use podperf_model::result::transient::TransientCount;

/// Errors in a row from which on a sender without a rate pauses after each.
const ERRORS_WITHOUT_PAUSE: u32 = 8;
/// How long: short beside any outage, long beside a system call.
const PAUSE: Duration = Duration::from_millis(1);

/// Errors that may pass.
pub(super) const fn may_pass(errno: i32) -> bool {
    matches!(
        errno,
        // No route, no link, no address; ICMP's reports.
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN | libc::ENONET
            | libc::ENETRESET | libc::ENODEV | libc::ENXIO | libc::EADDRNOTAVAIL
            // What the kernel says of a black hole's route, and of an own address that went.
            | libc::EINVAL
            // A firewall, here or there.
            | libc::EPERM | libc::EACCES | libc::ENOPROTOOPT | libc::EPROTO | libc::EOPNOTSUPP
            | libc::ECONNREFUSED | libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE
            | libc::ETIMEDOUT
            // A full device.
            | libc::ENOBUFS
    )
}

/// One flow's errors since it last moved something.
#[derive(Debug)]
struct Outage {
    flow: usize,
    since: Instant,
    /// What it had moved then.
    moved: u64,
    errors: u32,
}

/// The errors that one worker's flows have outlived.
pub(super) struct TransientLog<'a> {
    worker: &'a Worker<'a>,
    counts: Vec<TransientCount>,
    outages: Vec<Outage>,
    /// Payload has moved on this end.
    begun: bool,
}

impl<'a> TransientLog<'a> {
    pub(super) const fn new(worker: &'a Worker<'a>) -> Self {
        Self { worker, counts: Vec::new(), outages: Vec::new(), begun: false }
    }

    /// A call on the worker's flow number `flow` failed; `moved` is what the flow had moved by
    /// then, in whatever unit. The pause before the next try, of whoever has no schedule.
    ///
    /// # Errors
    /// The failure, where the flow ends by it: it does not pass, it has lasted too long, nothing
    /// has moved yet, or the first error is to end a flow.
    #[cold]
    #[inline(never)]
    pub(super) fn outlive(
        &mut self,
        flow: usize,
        failure: FlowFailure,
        moved: u64,
    ) -> Result<Duration, FlowFailure> {
        let Some(errno) = failure.errno().filter(|errno| may_pass(*errno)) else {
            return Err(failure);
        };
        self.begun = self.begun || moved > 0 || self.has_begun();
        if !self.begun || self.worker.shared.plan.strict {
            return Err(failure);
        }
        let outage = self.outage(flow, moved);
        outage.errors = outage.errors.saturating_add(1);
        let (since, errors) = (outage.since, outage.errors);
        if self.is_too_long(since) {
            return Err(failure);
        }
        let at_ns = self.worker.since_release_ns();
        let stream = u32::try_from(self.worker.flows.ids[flow]).ok();
        TransientCount { stream, errno, count: 1, first_ns: at_ns, last_ns: at_ns }
            .add_to(&mut self.counts);
        Ok(if errors > ERRORS_WITHOUT_PAUSE { PAUSE } else { Duration::ZERO })
    }

    /// The same on a flow of datagrams, which has moved what its tally says.
    #[cold]
    #[inline(never)]
    pub(super) fn outlive_datagrams(
        &mut self,
        flow: usize,
        failure: FlowFailure,
    ) -> Result<Duration, FlowFailure> {
        let moved = moved(self.worker, self.worker.flows.ids[flow]);
        self.outlive(flow, failure, moved)
    }

    /// A flow of which nothing but errors has come since then has failed.
    pub(super) fn is_too_long(&self, since: Instant) -> bool {
        since.elapsed() > self.worker.shared.plan.stall_timeout
    }

    pub(super) fn into_counts(self) -> Vec<TransientCount> {
        self.counts
    }

    /// The flow's errors since it last moved something.
    fn outage(&mut self, flow: usize, moved: u64) -> &mut Outage {
        let new = Outage { flow, since: Instant::now(), moved, errors: 0 };
        let known = self.outages.iter().position(|outage| outage.flow == flow);
        let place = known.unwrap_or(self.outages.len());
        if known.is_none() {
            self.outages.push(new);
        } else if self.outages[place].moved != moved {
            self.outages[place] = new;
        }
        &mut self.outages[place]
    }

    fn has_begun(&self) -> bool {
        (0..self.worker.shared.tallies.len()).any(|id| moved(self.worker, id) > 0)
    }
}

/// Bytes that tell how far a flow has come: of a sender those sent, of any other those received.
fn moved(worker: &Worker<'_>, id: usize) -> u64 {
    let count = worker.shared.tallies[id].read();
    match worker.flows.role {
        FlowRole::Send => count.bytes_sent,
        FlowRole::Receive | FlowRole::Request | FlowRole::Respond => count.bytes_received,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::workload::compat::CompatOptions;
    use crate::workload::testing::{ENDLESS, End, plan};
    use crate::workload::{Worker, WorkerFlows};
    use podperf_model::plan::udp::UdpRrPlan;
    use podperf_model::units::Bytes;

    /// What becomes of errors on flow 0 of two, each after so many bytes were received on it.
    fn outlived(strict: bool, errors: &[(i32, usize)]) -> (Vec<bool>, Vec<TransientCount>) {
        let rr = UdpRrPlan {
            request_bytes: Bytes(1),
            response_bytes: Bytes(1),
            timeout: Duration::from_secs(1),
            fragment: false,
        };
        let mut plan = plan(rr.into(), ENDLESS, 2);
        plan.strict = strict;
        let end = End::new(plan, Vec::new(), CompatOptions::default());
        let flows = WorkerFlows { role: FlowRole::Request, ids: vec![0, 1] };
        let worker = Worker { shared: &end.shared, flows: &flows, ready: &|_| true };
        let mut log = TransientLog::new(&worker);
        let mut outcomes = Vec::new();
        for (errno, bytes) in errors {
            if *bytes > 0 {
                worker.tally(0).received(*bytes);
            }
            let failure = FlowFailure::receive(io::Error::from_raw_os_error(*errno));
            outcomes.push(log.outlive_datagrams(0, failure).is_ok());
        }
        (outcomes, log.into_counts())
    }

    #[test]
    fn what_may_pass_is_outlived_once_something_has_moved() {
        let unreachable = libc::ENETUNREACH;
        let errors = [(unreachable, 0), (unreachable, 1), (libc::EPERM, 0), (unreachable, 0)];
        let (outcomes, counts) = outlived(false, &errors);
        assert_eq!(outcomes, [false, true, true, true]);
        let counts: Vec<_> = counts.iter().map(|own| (own.stream, own.errno, own.count)).collect();
        assert_eq!(counts, [(Some(0), unreachable, 2), (Some(0), libc::EPERM, 1)]);
        assert_eq!(outlived(false, &[(libc::EBADF, 1), (libc::EMSGSIZE, 1)]).0, [false, false]);
        assert_eq!(outlived(true, &[(unreachable, 1)]), (vec![false], vec![]));
    }

    #[test]
    fn whoever_sends_without_a_rate_pauses_when_errors_follow_each_other() {
        let rr = UdpRrPlan {
            request_bytes: Bytes(1),
            response_bytes: Bytes(1),
            timeout: Duration::from_secs(1),
            fragment: false,
        };
        let end = End::new(plan(rr.into(), ENDLESS, 1), Vec::new(), CompatOptions::default());
        let flows = WorkerFlows { role: FlowRole::Send, ids: vec![0] };
        let worker = Worker { shared: &end.shared, flows: &flows, ready: &|_| true };
        let mut log = TransientLog::new(&worker);
        let mut next = |moved| {
            let failure = FlowFailure::send(io::Error::from_raw_os_error(libc::EPERM));
            log.outlive(0, failure, moved).unwrap()
        };
        let pauses: Vec<Duration> = (0..10).map(|_| next(1)).collect();
        assert_eq!(pauses[..8], [Duration::ZERO; 8]);
        assert_eq!(pauses[8..], [PAUSE; 2]);
        assert_eq!(next(2), Duration::ZERO);
    }
}
