//! Where a run's figures go beside its result: a sink that takes points by HTTP, and a file that a
//! scraper reads.
//!
//! Enters: options, and a run as its window opens, intervals end and it finishes. Leaves: points,
//! handed to threads that wait so that the run need not. What goes wrong with them is told at the
//! end and costs no result.

use std::collections::HashSet;
use std::env::{self, VarError};
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process;

use clap::Args;

use crate::cli::metrics_file::MetricsFile;
use crate::cli::output::print_line;
use crate::cli::system::read_token;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::run::{Interval, OpenedRun, Run};
use podperf_report::points::{self, PointSeries};
use podperf_sink::{DeliveryReport, HttpSink, Sender, SinkUrl, default_spool, masked_url};

/// Holds the sink's token when no file is named.
const TOKEN_VARIABLE: &str = "PODPERF_SINK_TOKEN";
/// The option that takes an address with secrets in it.
const SINK: &str = "--sink";

/// Where figures go while they are measured.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct SinkArgs {
    /// Send points of the run and of its intervals to this address, while it runs, in InfluxDB line
    /// protocol: http://influxdb:8086/write?db=podperf and the like (docs/SINKS.md)
    #[arg(long, value_name = "URL")]
    sink: Option<String>,
    /// File with the sink's token. Default: the environment variable PODPERF_SINK_TOKEN, if set
    #[arg(long, value_name = "FILE", requires = "sink")]
    sink_token_file: Option<PathBuf>,
    /// Folder for points that the sink does not take, which `podperf report --spool` sends later.
    /// Default: podperf/spool below $XDG_STATE_HOME, else below ~/.local/state
    #[arg(long, value_name = "DIR", requires = "sink")]
    sink_spool: Option<PathBuf>,
    /// Write the latest figures into this file and renew it each interval, as OpenMetrics: for the
    /// node exporter's collector of text files, which reads names that end in .prom
    #[arg(long, value_name = "FILE")]
    openmetrics: Option<PathBuf>,
}

impl SinkArgs {
    /// Whether figures are to go anywhere.
    pub(super) const fn asks(&self) -> bool {
        self.sink.is_some() || self.openmetrics.is_some()
    }

    /// Reads what was typed, before anything is measured.
    pub(super) fn check(self) -> Result<CheckedSinks> {
        let sink = self.sink.map(|url| http_sink(&url, self.sink_token_file.as_deref()));
        if let Some(folder) = &self.sink_spool {
            let made = fs::create_dir_all(folder)
                .and_then(|()| try_file(&folder.join(format!(".podperf-{}", process::id()))));
            made.map_err(|error| {
                let cause = format!("{error}; allowed: a folder that can be written");
                Error::usage("--sink-spool", folder.display(), cause)
            })?;
        }
        let metrics_file = self.openmetrics.map(MetricsFile::check);
        Ok(CheckedSinks {
            sink: sink.transpose()?,
            spool: self.sink_spool.or_else(default_spool),
            metrics_file: metrics_file.transpose()?,
        })
    }
}

/// Makes a file and removes it.
fn try_file(path: &Path) -> std::io::Result<()> {
    File::create(path).and_then(|_| fs::remove_file(path))
}

/// The sink at an address as typed, with the token of `file` or of the environment.
pub(super) fn http_sink(url: &str, file: Option<&Path>) -> Result<HttpSink> {
    let url = SinkUrl::read(SINK, url)?;
    let token = match file {
        Some(path) => Some(
            read_token(path)
                .map_err(|error| Error::usage("--sink-token-file", path.display(), error))?,
        ),
        None => match env::var(TOKEN_VARIABLE) {
            Ok(token) => Some(token).filter(|token| !token.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                let operation =
                    format!("invalid value of the environment variable {TOKEN_VARIABLE}");
                return Err(Error::new(Kind::Usage, operation, "allowed: ASCII text"));
            }
        },
    };
    HttpSink::new(url, token.as_deref().map(str::trim_end))
}

/// The words of a command line as they may be shown: without the secrets of a sink's address.
pub(super) fn masked_words(words: &[OsString]) -> Vec<String> {
    let mut is_url = false;
    let masked = words.iter().map(|word| {
        let word = word.to_string_lossy();
        let begins = is_url;
        is_url = word == SINK;
        match word.split_once('=') {
            Some((SINK, url)) => format!("{SINK}={}", masked_url(url)),
            // One that stands elsewhere was meant for it.
            _ if begins || word.contains("://") => masked_url(&word),
            _ => word.into_owned(),
        }
    });
    masked.collect()
}

/// Places that figures can go to.
#[derive(Debug)]
pub(super) struct CheckedSinks {
    sink: Option<HttpSink>,
    spool: Option<PathBuf>,
    metrics_file: Option<PathBuf>,
}

impl CheckedSinks {
    /// Starts the threads. To be called after the signals are watched.
    pub(super) fn start(self) -> Result<Sinks> {
        let Self { sink, spool, metrics_file } = self;
        Ok(Sinks {
            sender: sink.map(|sink| Sender::start(sink, spool)).transpose()?,
            metrics_file: metrics_file.map(MetricsFile::start).transpose()?,
            series: None,
            taken: HashSet::new(),
        })
    }
}

/// Takes the figures of one run.
#[derive(Debug)]
pub(super) struct Sinks {
    sender: Option<Sender>,
    metrics_file: Option<MetricsFile>,
    series: Option<PointSeries>,
    /// Hashes of the lines that the sender has, of which there may be many.
    taken: HashSet<u64>,
}

impl Sinks {
    /// Learns of a run what its points have in common.
    pub(super) fn opened(&mut self, run: &OpenedRun<'_>) {
        self.series = PointSeries::new(run);
    }

    /// Passes an interval on, as it ends. Never waits.
    pub(super) fn interval(&mut self, interval: &Interval) {
        if self.sender.is_none() && self.metrics_file.is_none() {
            return;
        }
        let point = self.series.as_ref().and_then(|series| series.interval(interval));
        let Some(point) = point else { return };
        if let Some(sender) = &self.sender {
            let line = points::line(&point);
            if sender.send(&line) {
                self.taken.insert(hash(&line));
            }
        }
        if let Some(file) = &self.metrics_file {
            file.renew(points::open_metrics(&[point]));
        }
    }

    /// Passes on what is left of a finished run, and waits for both; returns 0, or the exit status
    /// where something of it is nowhere.
    pub(super) fn finish(self, run: &Run) -> u8 {
        if self.sender.is_none() && self.metrics_file.is_none() {
            return 0;
        }
        let in_file = self
            .metrics_file
            .map_or(Ok(()), |file| file.finish(points::open_metrics(&points::latest(run))));
        let in_sink = self.sender.map_or(Ok(()), |sender| {
            let lines = points::of_run(run).map(|point| points::line(&point));
            told(sender.finish(lines.filter(|line| !self.taken.contains(&hash(line)))))
        });
        let failures = [in_file, in_sink].into_iter().filter_map(Result::err);
        failures.fold(0, |_, error| {
            print_line(&format!("error: {error}"));
            error.kind.exit_status()
        })
    }
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// Says what was not delivered, and where it is.
fn told(report: DeliveryReport) -> Result<()> {
    let DeliveryReport { spooled, spool, lost, error, spool_error, .. } = report;
    if let Some(error) = error {
        print_line(&format!("error: {error}"));
    }
    if let Some(path) = spool.filter(|_| spooled > 0) {
        let folder = path.parent().unwrap_or(&path).display();
        let file = path.display();
        print_line(&format!(
            "{spooled} points wait in {file}; send them by: podperf report --spool {folder} --sink \
             URL"
        ));
    }
    if lost == 0 {
        return Ok(());
    }
    let cause = match spool_error {
        Some(error) => error.to_string(),
        None => "there is no folder for them".to_owned(),
    };
    let operation = format!("spool {lost} points that the sink did not take");
    Err(Error::new(Kind::Incomplete, operation, cause)
        .with_remedy("name a folder by --sink-spool; the run's result has the same figures"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_in_the_command_of_a_document() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, shown) in [
            (
                "podperf rr --sink http://u:p@h/write?db=d -t 1",
                "podperf rr --sink http://***@h/write?db=d -t 1",
            ),
            ("podperf rr --sink=http://h/w?token=t", "podperf rr --sink=http://h/w?token=***"),
            ("podperf rr --sink u:p@h", "podperf rr --sink ***@h"),
            ("podperf rr h --bind=a", "podperf rr h --bind=a"),
            ("podperf rr --snik http://u:p@h/", "podperf rr --snik http://***@h/"),
            ("podperf rr --snik=http://u:p@h/", "podperf rr ***@h/"),
        ] {
            assert_eq!(masked_words(&words(line)).join(" "), shown);
        }
    }

    #[test]
    fn a_folder_or_file_that_cannot_be_written_is_a_usage_error() {
        let here = || Some("/dev/null/x".into());
        for (args, option) in [
            (SinkArgs { sink_spool: here(), ..SinkArgs::default() }, "--sink-spool"),
            (SinkArgs { openmetrics: here(), ..SinkArgs::default() }, "--openmetrics"),
            (SinkArgs { openmetrics: Some("/".into()), ..SinkArgs::default() }, "--openmetrics"),
        ] {
            let error = args.check().unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.to_string().contains(&format!("for '{option}': ")), "{error}");
        }
    }
}
