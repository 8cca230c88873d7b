//! Keeps a plan to the rate that a server's policy grants its run.
//!
//! Enters: a plan, and a rate each way. Leaves: the plan that both ends make of them alike.

use super::rules::MIN_PACING_RATE;
use super::{FlowRole, Plan, Role, Workload};
use crate::units::BitRate;

impl Plan {
    /// The same with what its flows send, each way, kept to `rate`: each to an equal part, unless
    /// less was asked for. Connections that do not last end before the kernel paces them: they are
    /// left as they are.
    #[must_use]
    pub fn kept_to(mut self, rate: BitRate) -> Self {
        let sending = |role| {
            let sends = |id: &u32| self.flow_role(role, *id) != FlowRole::Receive;
            (0..self.connections()).filter(sends).count() as u64
        };
        let flows = sending(Role::Client).max(sending(Role::Server)).max(1);
        let each = BitRate(rate.0 / flows).max(MIN_PACING_RATE);
        let own = match &mut self.workload {
            Workload::Crr(_) => return self,
            Workload::Udp(udp) => &mut udp.bits_per_second,
            _ => &mut self.socket.pacing_bits_per_second,
        };
        if own.is_none_or(|asked| asked > each) {
            *own = Some(each);
            self.socket.policy_bits_per_second = Some(each);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Direction, LoadPlan, RrPlan, StreamPlan};
    use crate::result::testing::{rr_plan, stream_plan, udp_input};

    fn stream(direction: Direction) -> StreamPlan {
        StreamPlan { direction, ..stream_plan().streams().unwrap().clone() }
    }

    fn streams(direction: Direction, flows: u32, asked: Option<u64>) -> Plan {
        let mut plan = Plan { workload: stream(direction).into(), flows, ..stream_plan() };
        plan.socket.pacing_bits_per_second = asked.map(BitRate);
        plan
    }

    fn kept(plan: Plan, rate: u64) -> [Option<u64>; 2] {
        let socket = plan.kept_to(BitRate(rate)).socket;
        [socket.pacing_bits_per_second, socket.policy_bits_per_second]
            .map(|rate| rate.map(|rate| rate.0))
    }

    #[test]
    fn each_flow_has_an_equal_part_and_less_stays_as_it_was_asked_for() {
        for direction in [Direction::Up, Direction::Down, Direction::Both] {
            let unpaced = streams(direction, 3, None);
            assert_eq!(kept(unpaced, 90_000_000), [Some(30_000_000); 2], "{direction:?}");
        }
        let more = streams(Direction::Up, 2, Some(70_000_000));
        assert_eq!(kept(more, 90_000_000), [Some(45_000_000); 2]);
        let less = streams(Direction::Up, 2, Some(30_000_000));
        assert_eq!(kept(less, 90_000_000), [Some(30_000_000), None]);
        let many = streams(Direction::Up, 4_000, None);
        assert_eq!(kept(many, 9_000), [Some(8); 2]);
    }

    #[test]
    fn transactions_and_a_load_share_the_rate_and_datagrams_keep_it_by_their_schedule() {
        let load = LoadPlan { streams: 2, stream: stream(Direction::Both) };
        let workload = RrPlan { load: Some(load), ..RrPlan::default() }.into();
        let loaded = Plan { workload, flows: 3, ..rr_plan() };
        assert_eq!(kept(loaded, 50_000_000), [Some(10_000_000); 2], "3 flows and 2 streams a way");

        let mut datagrams = Plan { flows: 4, ..udp_input().plan };
        if let Workload::Udp(udp) = &mut datagrams.workload {
            udp.bits_per_second = None;
        }
        let datagrams = datagrams.kept_to(BitRate(40_000_000));
        assert_eq!(datagrams.workload.datagram_rate(), Some(BitRate(10_000_000)));
        assert_eq!(datagrams.socket.pacing_bits_per_second, None);
        assert_eq!(datagrams.socket.policy_bits_per_second, Some(BitRate(10_000_000)));
    }
}
