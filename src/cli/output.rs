//! Where a result goes: the table or the JSON document on standard output, the document in a file,
//! a line an interval on standard error.
//!
//! Enters: a finished run. Leaves: its rendering where it was asked for, and the exit status. How a
//! result looks is `report`'s business.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::Args;

use podperf_engine::net::{LogFormat, LogWriter};
use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Plan;
use podperf_model::result::run::Run;
use podperf_report::live::Live;
use podperf_report::{json, text};

/// What a shell reports for a program that SIGPIPE ended: standard output was closed early.
const PIPE_CLOSED_STATUS: u8 = 141;

/// Where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Print one JSON document on standard output instead of the table
    #[arg(short = 'J', long)]
    json: bool,
    /// Write the JSON document into this file; the table goes to standard output unless -J is given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print no live lines on standard error
    #[arg(short, long)]
    quiet: bool,
}

impl OutputArgs {
    /// Whether it names another place or form than usual.
    pub(super) const fn asks(&self) -> bool {
        self.json || self.output.is_some()
    }
}

/// An open way out for a result.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
    file: Option<(PathBuf, File)>,
}

impl Output {
    /// Opens the file before anything is measured, so that a bad path costs no run. What it held is
    /// kept until there is a result.
    pub(super) fn open(args: OutputArgs) -> Result<Self> {
        let OutputArgs { json, output, quiet } = args;
        let file = output.map(|path| {
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            match opened {
                Ok(file) => Ok((path, file)),
                Err(error) => {
                    let cause = format!("{error}; allowed: a file that can be written");
                    Err(Error::usage("--output", path.display(), cause))
                }
            }
        });
        Ok(Self { json, quiet, file: file.transpose()? })
    }

    /// Returns what prints a line about the run; nothing when told to be quiet.
    pub(super) fn log(&self) -> impl Fn(&str) + use<> {
        stderr_log(self.quiet)
    }

    /// Returns what prints each interval as it ends; nothing when told to be quiet.
    pub(super) fn live(&self, plan: &Plan) -> Option<Live> {
        self.talks().map(|terminal| Live::new(plan, terminal))
    }

    /// Whether standard error shows what goes on, and whether it is a terminal then.
    pub(super) fn talks(&self) -> Option<bool> {
        (!self.quiet).then(|| io::stderr().is_terminal())
    }

    /// Hands the result of a run over and returns the exit status.
    pub(super) fn write(self, run: &Run) -> Result<u8> {
        let (json, text) = (|| json::render(run), |to: &mut dyn Write| text::render(run, to));
        self.hand_over(&run.errors, run.exit_status(), &json, &text)
    }

    /// Hands a result over, as JSON and as text, and returns the exit status. What cannot be
    /// written is not lost: its text goes to standard error.
    pub(super) fn hand_over(
        self,
        errors: &[Error],
        exit_status: u8,
        json: &dyn Fn() -> String,
        text: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u8> {
        for error in errors {
            print_line(&format!("error: {error}"));
        }
        let as_json = self.json;
        let filed = self.file.map_or(Ok(()), |(path, file)| {
            write_file(file, &json()).map_err(|error| {
                let operation = format!("write the result to '{}'", path.display());
                Error::new(Kind::Incomplete, operation, error)
            })
        });
        let printed = print(|to| if as_json { to.write_all(json().as_bytes()) } else { text(to) });
        match filed.and(printed) {
            Ok(0) => Ok(exit_status),
            Ok(status) => Ok(status),
            Err(error) => {
                let _ = text(&mut io::stderr());
                Err(error)
            }
        }
    }
}

/// Prints a line on standard error, where nobody has to listen. What a peer wrote may stand in it,
/// so control characters do not reach the terminal.
pub(super) fn print_line(line: &str) {
    let line = line.replace(char::is_control, " ");
    let _ = writeln!(io::stderr(), "podperf: {line}");
}

/// Prints such lines, unless told to be quiet.
pub(super) fn stderr_log(quiet: bool) -> impl Fn(&str) {
    move |line| {
        if !quiet {
            print_line(line);
        }
    }
}

/// Makes a log on standard error that holds nobody up, whoever reads it or not, unless told to be
/// quiet. To be called after the signals are watched: it starts a thread.
pub(super) fn background_log(quiet: bool) -> Result<impl Fn(&str)> {
    let writer = log_writer(quiet, LogFormat::Text)?;
    Ok(move |line: &str| writer.iter().for_each(|writer| writer.write(line)))
}

/// The writer of such a log, unless told to be quiet.
pub(super) fn log_writer(quiet: bool, format: LogFormat) -> Result<Option<LogWriter>> {
    let start = || LogWriter::start("podperf", format, io::stderr()).during("start the log");
    if quiet { Ok(None) } else { start().map(Some) }
}

/// Writes to standard output; returns the exit status. A reader that went away early ends it
/// quietly.
///
/// # Errors
/// When standard output takes no more for another reason, such as a full disk.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u8> {
    let mut to = BufWriter::new(io::stdout().lock());
    match write(&mut to).and_then(|()| to.flush()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(PIPE_CLOSED_STATUS),
        Err(error) => Err(Error::new(Kind::Incomplete, "write to standard output", error)),
    }
}

fn write_file(mut file: File, document: &str) -> io::Result<()> {
    // Pipes and devices have no length to cut.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(document.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use podperf_model::result::testing;

    fn open(path: &Path) -> Result<Output> {
        Output::open(OutputArgs { json: false, output: Some(path.to_owned()), quiet: true })
    }

    #[test]
    fn what_a_file_held_is_kept_until_there_is_a_result() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let run = testing::stream_run();
        // Longer than any result, so that a tail would stay if it were not cut.
        fs::write(&file, "old".repeat(1 << 20)).unwrap();
        let output = open(file.path()).unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with("oldold"));
        write_file(output.file.unwrap().1, &json::render(&run)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), json::render(&run));
    }

    #[test]
    fn a_path_that_cannot_be_written_is_a_usage_error_that_names_it() {
        for path in ["/nonexistent/run.json", "/"] {
            let error = open(Path::new(path)).unwrap_err();
            let start = format!("invalid value '{path}' for '--output': ");
            assert!(error.to_string().starts_with(&start), "{error}");
            assert_eq!(error.kind, Kind::Usage);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let error = open(Path::new("/dev/full")).unwrap().write(&testing::stream_run());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("write the result to '/dev/full': No space left"), "{error}");
    }
}
