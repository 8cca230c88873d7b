//! podperf as netperf and netserver: their command line, their output, their records on the wire.
//!
//! Enters: the words of a command line. Leaves: netperf's output on both streams and its exit
//! status. The engine does the measuring: `data` makes a plan of what was asked and runs it, on
//! either end.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

pub mod client;
pub mod confidence;
pub mod data;
pub mod figures;
pub mod options;
pub mod output;
pub mod server;
pub mod signals;
pub mod test_kind;
pub mod wire;

use options::{ExitMessage, Options, SelectableFigures};

/// What podperf is called as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The client.
    Netperf,
    /// The server.
    Netserver,
}

impl Program {
    /// By the name that the process was started under.
    #[must_use]
    pub fn called(name: &OsStr) -> Option<Self> {
        match Path::new(name).file_name()?.to_str()? {
            "netperf" => Some(Self::Netperf),
            "netserver" => Some(Self::Netserver),
            _ => None,
        }
    }

    /// Does what the words after the name ask for.
    #[must_use]
    pub fn run(self, words: &[OsString]) -> ExitCode {
        ExitCode::from(match self {
            Self::Netperf => netperf(words),
            Self::Netserver => netserver(words),
        })
    }
}

fn netperf(words: &[OsString]) -> u8 {
    let figures = SelectableFigures { is_name: output::is_name, listing: output::listing };
    let options = match options::netperf(words, figures) {
        Ok(options) => options,
        Err(message) if message.status != 0 && options::wants_document(words) => {
            // The usage behind it is for people.
            let why = message.out.split("\n\n").chain(message.err.split("\n\n"));
            let why = why.map(str::trim).find(|text| !text.is_empty()).unwrap_or_default();
            let document = output::refusal(&options::command_line(words), why);
            let err = format!("{}{}", message.out, message.err);
            return print(&ExitMessage { out: format!("{document:#}\n"), err, ..message });
        }
        Err(message) => return print(&message),
    };
    match client::run(&options) {
        Ok(status) => status,
        Err(message) if options.json => print(&as_document(&options, message)),
        Err(message) => print(&message),
    }
}

/// With `--json` standard output has a document whatever happens, and standard error the text.
fn as_document(options: &Options, message: ExitMessage) -> ExitMessage {
    let text = format!("{}{}", message.out, message.err);
    let out = format!("{:#}\n", output::failure(options, text.trim_end()));
    ExitMessage { out, err: text, ..message }
}

fn netserver(words: &[OsString]) -> u8 {
    options::netserver(words)
        .map_or_else(|message| print(&message), |options| server::start(&options))
}

/// Prints what is said; its exit status, or that of a failure where standard output takes no more.
fn print(message: &ExitMessage) -> u8 {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(message.out.as_bytes()).and_then(|()| out.flush());
    // With standard error gone, the exit status alone has to tell.
    let _ = std::io::stderr().write_all(message.err.as_bytes());
    match written {
        Err(error) if !message.out.is_empty() => {
            let failure = client::unwritten(&error);
            let _ = std::io::stderr().write_all(failure.err.as_bytes());
            if message.status == 0 { failure.status } else { message.status }
        }
        _ => message.status,
    }
}
