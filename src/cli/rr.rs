//! `podperf rr`: request and response.

use clap::Args;

use crate::cli::Measurement;
use crate::cli::common::{ExchangeArgs, MeasureArgs, PacingArgs, WaitArgs, WorkloadChoice};
use crate::cli::system::System;
use crate::cli::values::choice;
use podperf_model::error::Result;
use podperf_model::plan::{
    Backend, Direction, LoadPlan, ReceiveMethod, RrPlan, SendMethod, SocketPlan, StopCondition,
    StreamPlan,
};
use podperf_model::units::{Bytes, parse_count, parse_frequency};

/// Measures the latency and rate of requests and responses: the full round trip of each, with mean,
/// standard deviation and percentiles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transactions", after_help = EXAMPLES)]
pub(super) struct RrArgs {
    /// Connections that exchange requests and responses
    #[arg(short = 'P', long, value_name = "N", default_value = "1",
          value_parser = parse_count::<u32>)]
    flows: u32,
    #[command(flatten)]
    exchange: ExchangeArgs,
    /// Requests in flight on one connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count::<u32>)]
    burst: u32,
    /// Start so many requests per second over all connections, on a fixed schedule, and count
    /// latency from the time each was due. Default: each request follows the last response
    #[arg(long, value_name = "RATE", value_parser = parse_frequency)]
    rate: Option<f64>,
    #[command(flatten)]
    pacing: PacingArgs,
    /// Run so many bulk streams beside the flows, in each direction of the load: latency under
    /// load, on one clock. The result has goodput of load and flows apart
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = parse_count::<u32>)]
    load: Option<u32>,
    /// Direction of the load
    #[arg(long, value_name = "WAY", default_value = "up", help_heading = "Load", requires = "load",
          value_parser = choice::<Direction>())]
    load_direction: Direction,
    /// Bytes of one send call and of one receive call of the load
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128K",
        help_heading = "Load",
        requires = "load"
    )]
    load_length: Bytes,
    /// Mechanism that moves and waits for the flows of a worker, on both ends
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = choice::<Backend>())]
    backend: Backend,
    /// End after so many transactions over all connections, instead of after a time
    #[arg(short = 'n', long, value_name = "N", help_heading = "Window",
          value_parser = parse_count::<u64>, conflicts_with = "time")]
    transactions: Option<u64>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    shared: MeasureArgs,
}

const EXAMPLES: &str = "\
Sizes: K, M, G and T are powers of 1024. Times: seconds unless said (500ms, 2m, 1h).

Examples:
  podperf rr                                  ten seconds over loopback
  podperf rr 192.0.2.2 -t 60                  one byte each way, one at a time, for a minute
  podperf rr hostB -P 16 --response 4K        sixteen connections, responses of 4 KiB
  podperf rr hostB --burst 8                  eight requests in flight
  podperf rr hostB --rate 1000                a thousand requests per second, stalls not hidden
  podperf rr hostB --wait spin --server-wait spin   without the cost of waking up
                                                    (hostB: serve --allow-client-spin)
  podperf rr hostB --load 4                   latency while four streams fill the path
  podperf rr hostB -n 1000000 -J              a million transactions, one JSON document";

impl RrArgs {
    /// Makes what was typed a measurement, or an error that says what is allowed.
    pub(super) fn resolve(self, system: &System) -> Result<Measurement> {
        let work = WorkloadChoice {
            workload: RrPlan {
                request_bytes: self.exchange.request,
                response_bytes: self.exchange.response,
                burst: self.burst,
                rate_per_second: self.rate,
                load: self.load.map(|streams| LoadPlan {
                    streams,
                    stream: StreamPlan {
                        direction: self.load_direction,
                        message_bytes: self.load_length,
                        send: SendMethod::Write,
                        receive: ReceiveMethod::Read,
                    },
                }),
                backend: self.backend,
            }
            .into(),
            flows: self.flows,
            count: self.transactions.map(|total| StopCondition::Transactions { total }),
            // A request that waits for the acknowledgement of the last one measures Nagle's timer.
            socket: SocketPlan { no_delay: true, ..SocketPlan::default() },
            wait: self.wait,
            pacing: self.pacing,
        };
        self.shared.resolve(work, system)
    }
}
