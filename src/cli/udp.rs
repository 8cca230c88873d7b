//! `podperf udp`: datagrams.

use std::time::Duration;

use clap::Args;

use crate::cli::Measurement;
use crate::cli::common::{
    ExchangeArgs, MeasureArgs, PacingArgs, WaitArgs, WorkloadChoice, direction,
};
use crate::cli::system::System;
use crate::cli::values::choice;
use podperf_model::error::Result;
use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
use podperf_model::plan::{SocketPlan, StopCondition};
use podperf_model::units::{BitRate, Bytes, parse_count, parse_duration};

/// Measures datagrams: loss, reordering, duplicates and jitter of streams at a rate, or with --rr
/// the latency of requests and responses.
#[derive(Debug, Args)]
#[command(next_help_heading = "Datagrams", after_help = EXAMPLES,
          mut_group("exchange", |sizes| sizes.requires("rr")))]
pub(super) struct UdpArgs {
    /// Flows, in each direction
    #[arg(short = 'P', long, value_name = "N", default_value = "1",
          value_parser = parse_count::<u32>)]
    streams: u32,
    /// Payload that each flow sends: bit/s with K, M, G or T (powers of 1000); 0: as fast as it can
    #[arg(short, long, value_name = "RATE", default_value = "1M")]
    bitrate: BitRate,
    #[command(flatten)]
    pacing: PacingArgs,
    /// Payload of a datagram, 16 to 65507 bytes. Default: what the path carries unfragmented
    #[arg(short, long, value_name = "SIZE")]
    length: Option<Bytes>,
    /// Let the server send and the client receive
    #[arg(short = 'R', long, conflicts_with = "bidir")]
    reverse: bool,
    /// Run as many flows each way, at once
    #[arg(long)]
    bidir: bool,
    /// Let the kernel cut one send into many datagrams (UDP_SEGMENT); auto: when unlimited, or
    /// where several datagrams fall due within a millisecond (--pacing precise: 100 µs)
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = choice::<Offload>())]
    gso: Offload,
    /// Let the kernel hand over many datagrams at once (UDP_GRO); auto: where it can
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = choice::<Offload>())]
    gro: Offload,
    /// Fragment what is larger than the path's MTU, instead of refusing it
    #[arg(long)]
    fragment: bool,
    /// End when so much has been sent over all flows of one direction, instead of after a time
    #[arg(short = 'n', long, value_name = "SIZE", help_heading = "Window",
          conflicts_with_all = ["time", "rr"])]
    bytes: Option<Bytes>,
    /// Exchange requests and responses of one datagram each, one in flight on a flow
    #[arg(long, help_heading = "Request/response",
          conflicts_with_all = ["bitrate", "length", "reverse", "bidir", "gso", "gro"])]
    rr: bool,
    #[command(flatten, next_help_heading = "Request/response")]
    exchange: ExchangeArgs,
    /// Time after which a response counts as lost and the next request is sent
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Request/response",
          requires = "rr", value_parser = parse_duration)]
    timeout: Duration,
    /// End after so many requests over all flows, instead of after a time
    #[arg(long, value_name = "N", help_heading = "Window", requires = "rr",
          value_parser = parse_count::<u64>, conflicts_with = "time")]
    transactions: Option<u64>,
    #[command(flatten)]
    shared: MeasureArgs,
}

const EXAMPLES: &str = "\
Sizes: K, M, G and T are powers of 1024. Times: seconds unless said (500ms, 2m, 1h).
The path must carry UDP to the server's port as well as TCP.

Examples:
  podperf udp 192.0.2.2                       1 Mbit/s for ten seconds: loss and jitter
  podperf udp hostB -b 500M -P 4              four flows of 500 Mbit/s each
  podperf udp hostB -b 0                      as fast as one flow goes
  podperf udp hostB -R -b 1G -w 4M            the other way round, with larger socket buffers
  podperf udp hostB -l 64                     small datagrams
  podperf udp hostB --rr                      latency of one-byte requests and responses
  podperf udp hostB --rr -P 16 --timeout 50ms sixteen flows; lost after 50 ms";

impl UdpArgs {
    /// Makes what was typed a measurement, or an error that says what is allowed.
    pub(super) fn resolve(self, system: &System) -> Result<Measurement> {
        let workload = if self.rr {
            UdpRrPlan {
                request_bytes: self.exchange.request,
                response_bytes: self.exchange.response,
                timeout: self.timeout,
                fragment: self.fragment,
            }
            .into()
        } else {
            UdpPlan {
                direction: direction(self.reverse, self.bidir),
                datagram_bytes: self.length,
                bits_per_second: (self.bitrate.0 > 0).then_some(self.bitrate),
                gso: self.gso,
                gro: self.gro,
                fragment: self.fragment,
            }
            .into()
        };
        let bytes = self.bytes.map(|total_bytes| StopCondition::Bytes { total_bytes });
        let transactions = self.transactions.map(|total| StopCondition::Transactions { total });
        let work = WorkloadChoice {
            workload,
            flows: self.streams,
            count: bytes.or(transactions),
            socket: SocketPlan::default(),
            wait: WaitArgs::default(),
            pacing: self.pacing,
        };
        self.shared.resolve(work, system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{assert_plan, default_plan};
    use podperf_model::plan::Direction;
    use podperf_model::plan::Plan;
    use podperf_model::plan::Workload;

    #[test]
    fn udp_options_become_a_plan() {
        type Change = fn(&mut Plan, &mut UdpPlan);
        let cases: &[(&str, Change)] = &[
            ("", |_, _| ()),
            ("h -b 0", |_, udp| udp.bits_per_second = None),
            ("h -b 2.5G -P 3", |plan, udp| {
                (plan.flows, udp.bits_per_second) = (3, Some(BitRate(2_500_000_000)));
            }),
            ("h -l 1K", |_, udp| udp.datagram_bytes = Some(Bytes(1_024))),
            ("h -R", |_, udp| udp.direction = Direction::Down),
            ("h --bidir", |_, udp| udp.direction = Direction::Both),
            ("h --gso off --gro on", |_, udp| (udp.gso, udp.gro) = (Offload::Off, Offload::On)),
            ("h --fragment", |_, udp| udp.fragment = true),
            ("h -n 1M", |plan, _| {
                plan.stop_condition = StopCondition::Bytes { total_bytes: Bytes(1 << 20) }
            }),
            ("h -w 4M", |plan, _| plan.socket.buffer_bytes = Some(Bytes(4 << 20))),
        ];
        for (options, change) in cases {
            let mut udp = UdpPlan {
                direction: Direction::Up,
                datagram_bytes: None,
                bits_per_second: Some(BitRate(1_000_000)),
                gso: Offload::Auto,
                gro: Offload::Auto,
                fragment: false,
            };
            let mut plan = default_plan(Workload::Udp(udp.clone()));
            change(&mut plan, &mut udp);
            plan.workload = Workload::Udp(udp);
            assert_plan(&format!("udp {options}"), &plan);
        }
        let rr = |request, response, timeout| {
            let (request_bytes, response_bytes) = (Bytes(request), Bytes(response));
            let timeout = Duration::from_millis(timeout);
            let rr = UdpRrPlan { request_bytes, response_bytes, timeout, fragment: false };
            default_plan(Workload::UdpRr(rr))
        };
        assert_plan("udp h --rr", &rr(1, 1, 1_000));
        assert_plan(
            "udp h --rr --request 64 --response 1K --timeout 50ms --transactions 9",
            &Plan { stop_condition: StopCondition::Transactions { total: 9 }, ..rr(64, 1_024, 50) },
        );
    }
}
