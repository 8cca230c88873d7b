//! A plan step by step, with what `podperf`'s command line leaves unsaid.
//!
//! Enters: a workload and what differs from the defaults. Leaves: a plan that every rule has
//! accepted, or an error that names the option, its value and what is allowed.

use std::time::Duration;

use podperf_model::error::Result;
use podperf_model::plan::limits::Limits;
use podperf_model::plan::{
    CheckedPlan, Direction, EndPlan, Plan, ReceiveMethod, RrPlan, STALL_TIMEOUT, SendMethod,
    SocketPlan, StopCondition, StreamPlan, Workload,
};
use podperf_model::units::Bytes;

/// Makes a [`CheckedPlan`]. Unless said otherwise: one flow, a second of warm-up, a window of ten
/// seconds.
#[derive(Debug, Clone)]
#[must_use]
pub struct PlanBuilder(Plan);

impl PlanBuilder {
    /// Starts from a workload.
    pub fn new(workload: Workload) -> Self {
        let second = Duration::from_secs(1);
        // A request that waits for the acknowledgement of the last one measures Nagle's timer.
        let no_delay = workload.transacts() && !workload.is_udp();
        Self(Plan {
            workload,
            stop_condition: StopCondition::Time { window: 10 * second },
            strict: false,
            pacing: None,
            warm_up: second,
            interval: second,
            stall_timeout: STALL_TIMEOUT,
            flows: 1,
            client: EndPlan::default(),
            server: EndPlan::default(),
            socket: SocketPlan { no_delay, ..SocketPlan::default() },
        })
    }

    /// Bulk transfer from client to server, as `podperf stream`.
    pub fn stream() -> Self {
        Self::new(Workload::Stream(StreamPlan {
            direction: Direction::Up,
            message_bytes: Bytes(128 << 10),
            send: SendMethod::Auto,
            receive: ReceiveMethod::Read,
        }))
    }

    /// Requests and responses of one byte, one at a time, as `podperf rr`.
    pub fn rr() -> Self {
        Self::new(RrPlan::default().into())
    }

    /// Streams in each direction, or flows of requests and responses.
    pub fn flows(self, flows: u32) -> Self {
        Self(Plan { flows, ..self.0 })
    }

    /// Closes the window after a time.
    pub fn window(self, window: Duration) -> Self {
        self.stop_condition(StopCondition::Time { window })
    }

    /// Closes the window after a time, or when so much has been moved.
    pub fn stop_condition(self, stop_condition: StopCondition) -> Self {
        Self(Plan { stop_condition, ..self.0 })
    }

    /// Time between the start and the window, not counted.
    pub fn warm_up(self, warm_up: Duration) -> Self {
        Self(Plan { warm_up, ..self.0 })
    }

    /// Time between two intermediate readings.
    pub fn interval(self, interval: Duration) -> Self {
        Self(Plan { interval, ..self.0 })
    }

    /// Ends the run when nothing has moved for so long.
    pub fn stall_timeout(self, stall_timeout: Duration) -> Self {
        Self(Plan { stall_timeout, ..self.0 })
    }

    /// Workers of both ends: how many, where they run, how they wait.
    pub fn workers(self, client: EndPlan, server: EndPlan) -> Self {
        Self(Plan { client, server, ..self.0 })
    }

    /// Asks for socket options.
    pub fn socket(self, socket: SocketPlan) -> Self {
        Self(Plan { socket, ..self.0 })
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// On the first rule that is broken.
    pub fn build(self) -> Result<CheckedPlan> {
        CheckedPlan::new(self.0, &Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_breaks_a_rule_is_refused() {
        let error = PlanBuilder::rr().flows(0).build().unwrap_err();
        assert!(error.to_string().contains("'0' for '--flows': allowed: 1 to"), "{error}");
    }
}
