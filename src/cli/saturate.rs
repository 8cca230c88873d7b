//! `podperf saturate`: how many streams fill a path.
//!
//! Enters: the command line. Leaves: one document about many runs, each with a session of its own.
//! Which run comes next, and what all of them say, is `report::saturation`'s business.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use clap::Args;
use crossbeam_channel::Receiver;

use crate::cli::common::{
    MeasureArgs, PacingArgs, PeerArgs, PlacementArgs, SocketArgs, WaitArgs, WindowArgs,
    WorkloadChoice, direction,
};
use crate::cli::output::{Output, OutputArgs};
use crate::cli::sinks::SinkArgs;
use crate::cli::system::System;
use crate::cli::values::{choice, percent};
use crate::cli::{Measurement, calibrate, in_queue, signals, wait_for_server};
use podperf_engine::control::client::{Hooks, QueuePlace, Target, measure_with};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::limits::Limits;
use podperf_model::plan::{
    CheckedPlan, EndPlan, LoadPlan, Plan, ReceiveMethod, RrPlan, SendMethod, SocketPlan,
    StopCondition, StreamPlan,
};
use podperf_model::result::run::Run;
use podperf_model::units::{BitRate, Bytes, parse_count, parse_duration};
use podperf_report::json;
use podperf_report::saturation::live::LiveCurve;
use podperf_report::saturation::{MIN_MAX_STREAMS, SearchRecord, SearchSettings, text};

/// Samples of the answer and its neighbours beyond those of other numbers of streams.
const REPEATS: usize = 2;
/// Windows of latency by windows of goodput.
const LATENCY_WINDOWS: u32 = 2;
/// Readings between the edges of a window, by which the verdict tells a queue.
const INTERVALS: u32 = 4;
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Of the order of the samples. A search of the same curve goes the same way.
const SEED: u64 = 1;

/// Finds how many streams fill a path: goodput of 1, 2, 3, 4, 6, 8 … streams in repeated,
/// interleaved samples, until more streams are shown to gain nothing; and what keeps them from it,
/// what it costs, and what it does to latency.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search", after_help = EXAMPLES)]
pub(super) struct SaturateArgs {
    /// Streams that are tried at the most
    #[arg(long, value_name = "N", default_value = "64", value_parser = parse_count::<u32>)]
    max_streams: u32,
    /// Gain, in percent, below which more streams count as no gain: by the upper end of its
    /// interval. `5` and `5%` are the same
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent)]
    tolerance: f64,
    /// Samples of each number of streams; the answer and its neighbours get two more
    #[arg(long, value_name = "N", default_value = "5", value_parser = parse_count::<u32>)]
    samples: u32,
    /// Begin no sample after this time
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    time_limit: Duration,
    /// Rate of the link, to hold goodput against: bit/s with K, M, G or T (powers of 1000).
    /// Default: that of the slower device, where it has one
    #[arg(long, value_name = "RATE")]
    link: Option<BitRate>,
    /// Length of the window of one sample
    #[arg(short, long, value_name = "TIME", default_value = "1", value_parser = parse_duration)]
    time: Duration,
    /// Warm-up before each window, not counted
    #[arg(short = 'O', long, value_name = "TIME", default_value = "0.3",
          value_parser = parse_duration)]
    omit: Duration,
    /// Bytes of one send call and of one receive call
    #[arg(short, long, value_name = "SIZE", default_value = "128K", help_heading = "Streams")]
    length: Bytes,
    /// Let the server send and the client receive
    #[arg(short = 'R', long, help_heading = "Streams")]
    reverse: bool,
    /// Method by which the sender hands bytes to the kernel
    #[arg(long, value_name = "METHOD", default_value = "auto", help_heading = "Streams",
          value_parser = choice::<SendMethod>())]
    send: SendMethod,
    /// Method by which the receiver takes them
    #[arg(long, value_name = "METHOD", default_value = "read", help_heading = "Streams",
          value_parser = choice::<ReceiveMethod>())]
    recv: ReceiveMethod,
    /// Limit for each stream, paced by the kernel: bit/s with K, M, G or T (powers of 1000).
    /// Default: unlimited
    #[arg(short, long, value_name = "RATE", help_heading = "Sockets")]
    bitrate: Option<BitRate>,
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    placement: PlacementArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Sizes: K, M, G and T are powers of 1024. Times: seconds unless said (500ms, 2m, 1h).

Exit status: 0 the search came to its end, whatever it shows; 2 usage, or a --link below what was
measured; 3 nothing could be measured; 4 it broke off (what was measured is printed); 5 deadline
passed; 130 ended by SIGINT, 143 by SIGTERM or SIGHUP.

Examples:
  podperf saturate 192.0.2.2                  how many streams fill the way there
  podperf saturate hostB -R                   and the way back
  podperf saturate hostB --link 50G           with the share of the link that they fill
  podperf saturate hostB -b 1G                streams that are held to 1 Gbit/s each
  podperf saturate hostB -t 3 --time-limit 5m longer windows, where goodput varies
  podperf saturate hostB -o search.json       the answer on standard output, all of it in a file";

/// A search that may start: every rule has accepted its plans.
struct SaturationRuns {
    /// Of a run with one stream.
    plan: CheckedPlan,
    target: Target,
    /// When the whole command is to end.
    deadline: Option<Instant>,
    stop: Receiver<Kind>,
}

/// Searches, and hands the document over.
pub(super) fn run(args: SaturateArgs, system: &System, arguments: &[OsString]) -> Result<u8> {
    let settings = args.settings()?;
    let (link, max_streams) = (args.link, args.max_streams);
    let Measurement { plan, mut target, wait_for_server, output, sinks: _ } =
        args.resolve(system)?;
    with_streams(&plan, max_streams)?;
    with_latency(&plan, Some(max_streams))?;
    let output = Output::open(output)?;
    let stop = signals::watch()?;
    if let Some(wait_for_server) = wait_for_server {
        wait_for_server::wait(&mut target, wait_for_server, &stop);
    }
    let begun = Instant::now();
    let deadline = target.deadline.map(|limit| begun + limit);
    let mut record = SearchRecord::new((*plan).clone(), settings, link);
    let runs = SaturationRuns { plan, target, deadline, stop };
    runs.search(&mut record, &output, begun)?;
    let mut document = record.finish(begun.elapsed());
    document.command = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (as_json, as_text) =
        (|| json::render(&document), |to: &mut dyn std::io::Write| text::render(&document, to));
    output.hand_over(&document.errors, document.exit_status(), &as_json, &as_text)
}

impl SaturateArgs {
    /// How to search. The latency at the end has its time within the limit.
    fn settings(&self) -> Result<SearchSettings> {
        let most = Limits::default().connections - 1;
        if !(MIN_MAX_STREAMS..=most).contains(&self.max_streams) {
            let allowed = format!("allowed: {MIN_MAX_STREAMS} to {most}");
            return Err(Error::usage("--max-streams", self.max_streams, allowed));
        }
        if self.tolerance <= 0.0 {
            return Err(Error::usage("--tolerance", "0", "allowed: more than 0 percent"));
        }
        if !(2..=1_000).contains(&self.samples) {
            let allowed = "allowed: 2 to 1000: one alone has no interval";
            return Err(Error::usage("--samples", self.samples, allowed));
        }
        if self.link.is_some_and(|link| link.0 == 0) {
            return Err(Error::usage("--link", "0", "allowed: more than 0 bit/s"));
        }
        let sample_time = self.omit.saturating_add(self.time);
        let latency = self.omit.saturating_add(self.time.saturating_mul(LATENCY_WINDOWS));
        let least = sample_time.saturating_add(latency.saturating_mul(2));
        if self.time_limit < least {
            let value = humantime::format_duration(self.time_limit);
            let allowed = format!(
                "allowed: {} or more, which one sample and two of latency take (-t, -O)",
                humantime::format_duration(least)
            );
            return Err(Error::usage("--time-limit", value, allowed));
        }
        let samples = usize::try_from(self.samples).unwrap_or(usize::MAX);
        Ok(SearchSettings {
            max_streams: self.max_streams,
            tolerance_share: self.tolerance,
            samples,
            repeats: samples + REPEATS,
            sample_time,
            time_limit: self.time_limit - latency,
            seed: SEED,
        })
    }

    /// Makes what was typed a measurement of one stream.
    fn resolve(self, system: &System) -> Result<Measurement> {
        let window = WindowArgs {
            time: self.time,
            omit: self.omit,
            strict: false,
            interval: (self.time / INTERVALS).max(MIN_INTERVAL),
        };
        let work = WorkloadChoice {
            workload: StreamPlan {
                direction: direction(self.reverse, false),
                message_bytes: self.length,
                send: self.send,
                receive: self.recv,
            }
            .into(),
            flows: 1,
            count: None,
            socket: SocketPlan { pacing_bits_per_second: self.bitrate, ..SocketPlan::default() },
            wait: WaitArgs::default(),
            pacing: PacingArgs::default(),
        };
        let Self { peer, socket, placement, output, .. } = self;
        let sinks = SinkArgs::default();
        MeasureArgs { peer, window, socket, placement, output, sinks }.resolve(work, system)
    }
}

impl SaturationRuns {
    /// Latency of the idle path, the samples, and latency beside the streams of the answer.
    fn search(&self, record: &mut SearchRecord, output: &Output, begun: Instant) -> Result<()> {
        let mut live = output.talks().map(LiveCurve::new);
        record.add_latency(self.measure(&with_latency(&self.plan, None)?, output));
        while let Some(streams) = record.next_streams(begun.elapsed()) {
            let run = self.measure(&with_streams(&self.plan, streams)?, output);
            let goodput = run.throughput.as_ref().map(|all| all.bits_per_second);
            record.add(run);
            if let Some(live) = &mut live {
                live.sample(record.search(), streams, goodput);
            }
        }
        if let Some(streams) = record.answer() {
            record.add_latency(self.measure(&with_latency(&self.plan, Some(streams))?, output));
        }
        if let Some(live) = &mut live {
            live.finish();
        }
        Ok(())
    }

    fn measure(&self, plan: &CheckedPlan, output: &Output) -> Run {
        let now = Instant::now();
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let target = Target { deadline: left, ..self.target.clone() };
        let log = output.log();
        let mut queued = |place: QueuePlace| log(&in_queue(place));
        let hooks = Hooks {
            watch: &mut |_| (),
            queued: &mut queued,
            before_start: &mut || Ok(()),
            opened: &mut |_| (),
        };
        let mut run = measure_with(plan, &target, hooks, &self.stop);
        calibrate::hold_against_stored(&mut run);
        run
    }
}

/// The plan of a run with so many streams.
fn with_streams(plan: &Plan, streams: u32) -> Result<CheckedPlan> {
    let at_most = |end: &EndPlan| EndPlan {
        workers: end.workers.map(|workers| workers.min(streams)),
        ..end.clone()
    };
    let (client, server) = (at_most(&plan.client), at_most(&plan.server));
    CheckedPlan::new(Plan { flows: streams, client, server, ..plan.clone() }, &Limits::default())
}

/// The plan of a run for latency, beside so many streams.
fn with_latency(plan: &Plan, streams: Option<u32>) -> Result<CheckedPlan> {
    let load = streams.zip(plan.workload.stream()).map(|(streams, stream)| LoadPlan {
        streams,
        stream: StreamPlan {
            send: SendMethod::Write,
            receive: ReceiveMethod::Read,
            ..stream.clone()
        },
    });
    let stop_condition = match plan.stop_condition {
        StopCondition::Time { window } => {
            StopCondition::Time { window: window.saturating_mul(LATENCY_WINDOWS) }
        }
        other => other,
    };
    let latency = Plan {
        workload: RrPlan { load, ..RrPlan::default() }.into(),
        stop_condition,
        socket: SocketPlan { no_delay: true, ..plan.socket.clone() },
        flows: 1,
        ..plan.clone()
    };
    CheckedPlan::new(latency, &Limits::default())
}
