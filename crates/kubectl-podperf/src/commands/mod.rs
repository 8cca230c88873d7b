//! The subcommands of `kubectl podperf`, one file each.
//!
//! Enters: a command line. Leaves: an exit status.

mod collect;
mod deploy;
mod destroy;
mod finish;
mod plan;
mod preflight;
mod prepared;
mod run;
mod signal;

use std::ffi::OsString;
use std::io::{self, Write as _};

use clap::Parser as _;
use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as MissingSubcommand;
use tokio::runtime::Builder;

use crate::plan::options::{LauncherCli, LauncherCommand};
use podperf_model::During as _;
use podperf_model::error::{Kind, Result};

/// Carries out a command line (the program's name first); returns the exit status.
///
/// # Errors
/// When the command line cannot be carried out.
pub(crate) fn execute<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<u8> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match LauncherCli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => return Ok(print_parser_message(&message)),
    };
    let runtime =
        Builder::new_current_thread().enable_all().build().during("start the launcher")?;
    runtime.block_on(async {
        match cli.command {
            LauncherCommand::Run(args) => run::run(args, words).await,
            LauncherCommand::Plan(args) => plan::run(args).await,
            LauncherCommand::Preflight(args) => preflight::run(args).await,
            LauncherCommand::Deploy(args) => deploy::run(args).await,
            LauncherCommand::Collect(args) => collect::run(args, words).await,
            LauncherCommand::Destroy(args) => destroy::run(args).await,
        }
    })
}

/// Prints help, the version or a usage error; returns the exit status.
fn print_parser_message(message: &clap::Error) -> u8 {
    // Without a subcommand it is the whole help, which is no sentence to be prefixed.
    if message.use_stderr() && message.kind() != MissingSubcommand {
        let _ = write!(io::stderr(), "kubectl-podperf: ");
    }
    match (message.print(), u8::try_from(message.exit_code())) {
        (Ok(()), Ok(status)) => status,
        _ => Kind::Usage.exit_status(),
    }
}
