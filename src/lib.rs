//! The program `podperf` as a library, and an interface for programs that measure by themselves.
//!
#![doc = include_str!("api.md")]

mod cli;
mod plan_builder;

use crossbeam_channel::bounded;

pub use plan_builder::PlanBuilder;
pub use podperf_engine::control::client::Target;
pub use podperf_engine::control::server::{BackgroundServer, ServeOptions};
pub use podperf_engine::policy::Token;
pub use podperf_model::error::{Code, Error, Kind, Result};
pub use podperf_model::plan::limits::Limits;
pub use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
pub use podperf_model::plan::{
    Backend, CheckedPlan, Close, CrrPlan, Direction, EndPlan, LoadPlan, Pin, Plan, ReceiveMethod,
    RrPlan, SendMethod, SocketPlan, StopCondition, StreamPlan, Wait, Workload,
};
pub use podperf_model::result::run::{Run, Status};
pub use podperf_model::units::{BitRate, Bytes};

#[doc(hidden)]
pub use cli::{check_command_line, run_command_line};

/// Measures `plan` against `target` and waits for the end. What goes wrong stands in
/// [`Run::errors`], beside whatever was measured before.
#[must_use]
pub fn measure(plan: &CheckedPlan, target: &Target) -> Run {
    let (_keep, stop) = bounded(1);
    podperf_engine::control::client::measure(plan, target, &mut |_| {}, &stop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_the_first_example() {
        let example = include_str!("api.md").split("```").nth(1).unwrap();
        assert!(include_str!("../README.md").contains(&format!("```{example}```")));
    }
}
