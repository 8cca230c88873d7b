//! `podperf report` where the program was built without the feature `documents`, as the image's is:
//! it sends spools, and says that it shows no results.

use std::ffi::OsString;

use clap::Args;

use super::no_documents;
use super::send_spool::{self, SpoolArgs};
use podperf_model::error::Result;

/// Sends points that a sink did not take (stream, rr, crr and udp with --sink).
#[derive(Debug, Args)]
pub(super) struct SpoolReportArgs {
    #[command(flatten)]
    spool: SpoolArgs,
    #[arg(hide = true)]
    words: Vec<OsString>,
}

pub(super) use SpoolReportArgs as ReportArgs;

/// Sends a spool; returns the exit status.
pub(super) fn run(args: &SpoolReportArgs) -> Result<u8> {
    send_spool::run(&args.spool).unwrap_or_else(no_documents::refuse)
}
