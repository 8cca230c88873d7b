//! How a command that measured ends: the result is handed over, and the exit status follows.

use std::time::Duration;

use crate::plan::options::OutputForm;
use crate::progress::ProgressLine;
use crate::result::document;
use crate::result::results::ResultsDirectory;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::ClusterRun;

/// Hands the result over; returns the exit status.
pub(super) fn finish(
    run: &ClusterRun,
    results: &ResultsDirectory,
    progress: &ProgressLine,
    max_slowdown: Option<f64>,
) -> Result<u8> {
    progress.finish();
    results.write(run)?;
    if results.form() == OutputForm::Json {
        // The tables have them.
        for error in &run.errors {
            progress.note(&format!("error: {error}"));
        }
    }
    progress.note(&format!("everything is in {}/", results.directory().display()));
    progress.note(&format!("to look at: {}", results.page().display()));
    Ok(document::exit_status(run, max_slowdown))
}

/// The error of a command that took longer than `--timeout`.
pub(super) fn timed_out(timeout: Duration) -> Error {
    let cause = format!("not done within {}", humantime::format_duration(timeout));
    Error::new(Kind::Deadline, "measure", cause).with_remedy("raise --timeout, or ask for less")
}
