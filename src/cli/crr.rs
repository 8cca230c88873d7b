//! `podperf crr`: connect, request, response, close.

use clap::Args;

use crate::cli::Measurement;
use crate::cli::common::{ExchangeArgs, MeasureArgs, PacingArgs, WaitArgs, WorkloadChoice};
use crate::cli::system::System;
use crate::cli::values::choice;
use podperf_model::error::Result;
use podperf_model::plan::{Close, CrrPlan, SocketPlan, StopCondition};
use podperf_model::units::{parse_count, parse_frequency};

/// Measures connections: each transaction opens one, sends a request, reads the response and closes
/// it. Latency is from before the connection to the last byte of the response.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transactions", after_help = EXAMPLES)]
pub(super) struct CrrArgs {
    /// Connections at a time
    #[arg(short = 'P', long, value_name = "N", default_value = "1",
          value_parser = parse_count::<u32>)]
    flows: u32,
    #[command(flatten)]
    exchange: ExchangeArgs,
    /// Start so many transactions per second over all flows, on a fixed schedule, and count latency
    /// from the time each was due. Default: each connection follows the last
    #[arg(long, value_name = "RATE", value_parser = parse_frequency)]
    rate: Option<f64>,
    #[command(flatten)]
    pacing: PacingArgs,
    /// Way in which a connection ends
    #[arg(long, value_name = "HOW", default_value = "server", value_parser = choice::<Close>())]
    close: Close,
    /// End after so many transactions over all flows, instead of after a time
    #[arg(short = 'n', long, value_name = "N", help_heading = "Window",
          value_parser = parse_count::<u64>, conflicts_with = "time")]
    transactions: Option<u64>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    shared: MeasureArgs,
}

const EXAMPLES: &str = "\
Connections go to a port of their own at the server (see podperf serve --data-port), which takes
them from this client's address alone.

Examples:
  podperf crr                             ten seconds over loopback
  podperf crr hostB -P 8 --response 4K    eight at a time, responses of 4 KiB
  podperf crr hostB --close rst           no TIME-WAIT anywhere
  podperf crr hostB --rate 1000           a thousand connections per second, stalls not hidden";

impl CrrArgs {
    /// Makes what was typed a measurement, or an error that says what is allowed.
    pub(super) fn resolve(self, system: &System) -> Result<Measurement> {
        let work = WorkloadChoice {
            workload: CrrPlan {
                request_bytes: self.exchange.request,
                response_bytes: self.exchange.response,
                rate_per_second: self.rate,
                close: self.close,
            }
            .into(),
            flows: self.flows,
            count: self.transactions.map(|total| StopCondition::Transactions { total }),
            socket: SocketPlan { no_delay: true, ..SocketPlan::default() },
            wait: self.wait,
            pacing: self.pacing,
        };
        self.shared.resolve(work, system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{assert_plan, default_plan};
    use podperf_model::plan::Workload;
    use podperf_model::plan::{Plan, Wait};
    use podperf_model::units::Bytes;

    #[test]
    fn crr_options_become_a_plan() {
        type Change = fn(&mut Plan, &mut CrrPlan);
        let cases: &[(&str, Change)] = &[
            ("", |_, _| ()),
            ("h -P 16 --wait spin", |plan, _| (plan.flows, plan.client.wait) = (16, Wait::Spin)),
            ("h --request 64 --response 4K", |_, crr| {
                (crr.request_bytes, crr.response_bytes) = (Bytes(64), Bytes(4_096));
            }),
            ("h --rate 2.5K --close rst", |_, crr| {
                (crr.rate_per_second, crr.close) = (Some(2_500.0), Close::Rst);
            }),
            ("h --close client -n 1000", |plan, crr| {
                crr.close = Close::Client;
                plan.stop_condition = StopCondition::Transactions { total: 1_000 };
            }),
        ];
        for (options, change) in cases {
            let mut crr = CrrPlan {
                request_bytes: Bytes(1),
                response_bytes: Bytes(1),
                rate_per_second: None,
                close: Close::Server,
            };
            let mut plan = default_plan(Workload::Crr(crr.clone()));
            change(&mut plan, &mut crr);
            plan.workload = Workload::Crr(crr);
            assert_plan(&format!("crr {options}"), &plan);
        }
    }
}
