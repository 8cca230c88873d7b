//! `podperf stream`: bulk transfer.

use clap::Args;

use crate::cli::Measurement;
use crate::cli::common::{MeasureArgs, PacingArgs, WaitArgs, WorkloadChoice, direction};
use crate::cli::system::System;
use crate::cli::values::choice;
use podperf_model::error::Result;
use podperf_model::plan::{ReceiveMethod, SendMethod, SocketPlan, StopCondition, StreamPlan};
use podperf_model::units::{BitRate, Bytes, parse_count};

/// Measures the throughput of bulk transfers: what the receiver got in the window, and what it cost
/// both ends.
#[derive(Debug, Args)]
#[command(next_help_heading = "Streams", after_help = EXAMPLES)]
pub(super) struct StreamArgs {
    /// Streams in each direction
    #[arg(short = 'P', long, value_name = "N", default_value = "1",
          value_parser = parse_count::<u32>)]
    streams: u32,
    /// Bytes of one send call and of one receive call
    #[arg(short, long, value_name = "SIZE", default_value = "128K")]
    length: Bytes,
    /// Let the server send and the client receive
    #[arg(short = 'R', long, conflicts_with = "bidir")]
    reverse: bool,
    /// Run as many streams each way, at once
    #[arg(long)]
    bidir: bool,
    /// Method by which the sender hands bytes to the kernel
    #[arg(long, value_name = "METHOD", default_value = "auto",
          value_parser = choice::<SendMethod>())]
    send: SendMethod,
    /// Method by which the receiver takes them
    #[arg(long, value_name = "METHOD", default_value = "read",
          value_parser = choice::<ReceiveMethod>())]
    recv: ReceiveMethod,
    /// End when so much has been received over all streams of one direction, instead of after a
    /// time
    #[arg(
        short = 'n',
        long,
        value_name = "SIZE",
        help_heading = "Window",
        conflicts_with = "time"
    )]
    bytes: Option<Bytes>,
    /// Limit for each stream, paced by the kernel: bit/s with K, M, G or T (powers of 1000).
    /// Default: unlimited
    #[arg(short, long, value_name = "RATE", help_heading = "Sockets")]
    bitrate: Option<BitRate>,
    /// Send small segments at once (TCP_NODELAY)
    #[arg(short = 'N', long, help_heading = "Sockets")]
    no_delay: bool,
    /// Send whole segments only (TCP_CORK)
    #[arg(long, help_heading = "Sockets")]
    cork: bool,
    #[command(flatten)]
    shared: MeasureArgs,
}

const EXAMPLES: &str = "\
Sizes: K, M, G and T are powers of 1024. Times: seconds unless said (500ms, 2m, 1h).

Examples:
  podperf stream                              ten seconds over loopback
  podperf stream 192.0.2.2 -P 3 -t 60 -O 5    three streams, a minute after five seconds of warm-up
  podperf stream hostB -R                     the other way round
  podperf stream hostB --bidir -P 2           two streams each way
  podperf stream hostB -n 10G -l 64K          until 10 GiB have arrived, 64 KiB a call
  podperf stream hostB -P 4 -b 2.5G           four streams of 2.5 Gbit/s each
  podperf stream [2001:db8::2]:5211 -J        one JSON document on standard output
  podperf stream hostB -o run.json            the table on standard output, the JSON in a file";

impl StreamArgs {
    /// Makes what was typed a measurement, or an error that says what is allowed.
    pub(super) fn resolve(self, system: &System) -> Result<Measurement> {
        let work = WorkloadChoice {
            workload: StreamPlan {
                direction: direction(self.reverse, self.bidir),
                message_bytes: self.length,
                send: self.send,
                receive: self.recv,
            }
            .into(),
            flows: self.streams,
            count: self.bytes.map(|total_bytes| StopCondition::Bytes { total_bytes }),
            socket: SocketPlan {
                pacing_bits_per_second: self.bitrate,
                no_delay: self.no_delay,
                cork: self.cork,
                ..SocketPlan::default()
            },
            wait: WaitArgs::default(),
            pacing: PacingArgs::default(),
        };
        self.shared.resolve(work, system)
    }
}
