//! Whether anything still moves: a peer that is stopped keeps its connections open, and a path that
//! swallows packets says nothing.
//!
//! Enters: what the workers have counted, and what the kernel knows of the connections. Leaves:
//! that nothing has moved for too long. A slow link is no standstill: bytes that the peer's kernel
//! acknowledges count, however few, while a call that sends many lasts.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::Engine;
use crate::metrics::flow;
use podperf_model::plan::FlowRole;
use podperf_model::reading::TcpInfo;

/// Longest time between two looks.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at an engine now and then.
#[derive(Debug)]
pub struct StandstillWatch {
    timeout: Duration,
    /// By the workers, and by the kernel: read only while the workers have nothing to show.
    moved: [u64; 2],
    /// For how long that has been all.
    idle: Duration,
    last: Instant,
}

impl StandstillWatch {
    /// Begins now.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, moved: [0; 2], idle: Duration::ZERO, last: Instant::now() }
    }

    fn interval(&self) -> Duration {
        MAX_INTERVAL.min(self.timeout / 4)
    }

    /// When the next look is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.last + self.interval()
    }

    /// Looks. True: nothing has moved for too long.
    pub fn is_stalled(&mut self, engine: &Engine) -> bool {
        self.look(engine.moved_by_workers(), || engine.moved_by_kernel())
    }

    /// Looks at a drain, which is looked at often. True: it stands still.
    pub(super) fn is_stuck(&mut self, engine: &Engine) -> bool {
        Instant::now() >= self.due() && self.is_stalled(engine)
    }

    /// The last look saw something move.
    pub(super) const fn moves(&self) -> bool {
        self.idle.is_zero()
    }

    /// Something moved that is not seen here.
    pub fn note_progress(&mut self) {
        self.idle = Duration::ZERO;
    }

    fn look(&mut self, workers: u64, kernel: impl FnOnce() -> u64) -> bool {
        let now = Instant::now();
        // A process that was stopped itself has not seen what its peers did.
        let seen = (now - self.last).min(self.interval() * 2);
        self.last = now;
        let [before, kernel_before] = self.moved;
        let kernel = if workers == before { kernel() } else { kernel_before };
        let moved = [workers, kernel];
        self.idle = if moved == self.moved { self.idle + seen } else { Duration::ZERO };
        self.moved = moved;
        self.idle >= self.timeout
    }
}

impl Engine {
    /// TCP_INFO of all lasting connections.
    pub(super) fn tcp_infos(&self) -> impl Iterator<Item = TcpInfo> {
        self.shared.sockets.iter().filter_map(|socket| flow::read(socket.as_fd()))
    }

    /// A sum that changes with all that the workers move. Who asks by datagrams and asks again
    /// moves nothing.
    fn moved_by_workers(&self) -> u64 {
        let plan = &self.shared.plan;
        let flows = (0..).zip(&self.shared.tallies).map(|(id, tally)| {
            let count = tally.read();
            let asks = plan.workload.is_udp() && plan.flow_role(self.role, id) == FlowRole::Request;
            let sent = if asks { 0 } else { count.bytes_sent };
            sent.wrapping_add(count.bytes_received).wrapping_add(count.transactions)
        });
        flows.fold(0, u64::wrapping_add)
    }

    /// A sum that changes with all that the peers' kernels acknowledge and this one receives.
    fn moved_by_kernel(&self) -> u64 {
        let moved = self.tcp_infos().map(|info| info.bytes_acked.wrapping_add(info.bytes_received));
        moved.fold(0, u64::wrapping_add)
    }

    /// How long nothing may move before the run has come to a standstill: as the plan says, and
    /// twice the time between two payloads at the least.
    #[must_use]
    pub fn stall_timeout(&self) -> Duration {
        let segment_bytes = self.tcp_infos().map(|info| info.mss_bytes).max().unwrap_or(0);
        let plan = &self.shared.plan;
        plan.stall_timeout.max(plan.payload_gap(segment_bytes).saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_not_stalled_and_what_does_not_is() {
        let mut watch = StandstillWatch::new(Duration::ZERO);
        assert!(watch.look(0, || 0));
        let mut watch = StandstillWatch::new(Duration::from_secs(10));
        let looks_after = |watch: &mut StandstillWatch, seconds, workers, kernel| {
            watch.last = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            watch.look(workers, || kernel)
        };
        for _ in 0..9 {
            assert!(!looks_after(&mut watch, 1, 0, 0));
        }
        assert!(!looks_after(&mut watch, 1, 1, 0));
        // This process was stopped.
        assert!(!looks_after(&mut watch, 30, 1, 0));
        assert!(watch.due() > Instant::now());
        let stalled = (0..8).map(|_| looks_after(&mut watch, 1, 1, 0));
        assert_eq!(stalled.collect::<Vec<_>>(), [[false; 7].as_slice(), &[true]].concat());
        assert!(!looks_after(&mut watch, 1, 1, 7), "the kernel's bytes count too");
        watch.idle = Duration::from_secs(10);
        watch.note_progress();
        assert!(!looks_after(&mut watch, 1, 1, 7));
    }
}
