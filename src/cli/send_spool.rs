//! `podperf report --spool`: points that a sink did not take, sent again.
//!
//! Enters: a folder and a sink. Leaves: the folder without what was delivered, and a line that says
//! how much that was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::output::print;
use crate::cli::sinks::http_sink;
use podperf_model::error::Result;
use podperf_sink::send_spool;

/// A sink that is away is tried again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Points that wait in a folder because a sink did not take them. Sent twice, they change nothing
/// at the sink.
#[derive(Debug, Args)]
#[command(next_help_heading = "Spool")]
pub(super) struct SpoolArgs {
    /// Send the points that wait in this folder because a sink did not take them (--sink of stream,
    /// rr, crr and udp), and remove the files that have been delivered
    #[arg(long, value_name = "DIR", requires = "sink")]
    spool: Option<PathBuf>,
    /// Address to send them to: http://influxdb:8086/write?db=podperf and the like (docs/SINKS.md)
    #[arg(long, value_name = "URL", requires = "spool")]
    sink: Option<String>,
    /// File with the sink's token. Default: the environment variable PODPERF_SINK_TOKEN, if set
    #[arg(long, value_name = "FILE", requires = "sink")]
    sink_token_file: Option<PathBuf>,
}

/// Sends what waits in the folder that was named; returns the exit status: 0 all that was not being
/// written was delivered, 4 the sink did not take all of it. Absent where no folder was named.
pub(super) fn run(args: &SpoolArgs) -> Option<Result<u8>> {
    let (spool, sink) = args.spool.as_deref().zip(args.sink.as_deref())?;
    Some(send(spool, sink, args.sink_token_file.as_deref()))
}

/// Sends what waits in `folder` to the sink at `url` and prints how much that was; returns the exit
/// status.
fn send(folder: &Path, url: &str, token_file: Option<&Path>) -> Result<u8> {
    let mut sink = http_sink(url, token_file)?;
    let report = send_spool(folder, &mut sink, PATIENCE)?;
    print(|to| {
        writeln!(to, "{} points of {} files delivered", report.points, report.files)?;
        if report.in_use > 0 {
            writeln!(to, "{} files left alone: runs still write them", report.in_use)?;
        }
        Ok(())
    })
}
