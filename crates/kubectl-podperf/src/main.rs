//! The launcher, `kubectl podperf`: places pods that run the engine, follows their log, and turns
//! what they measured into one document.
//!
//! Enters: a command line and a kubeconfig. Leaves: a results directory, tables, and a cluster as
//! it was before. It opens no measuring socket: the engine runs in the pods, its plan in their
//! specification, its result in the coordinator's log (`agents`).
//!
//! ```text
//! options ─ preset ─▶ Settings ─▶ layout · placement · trial ─▶ manifest
//!                                          │
//!           api ◀── deploy ─ targets ─ endpoints ─ verify
//!                      │
//!                   follow ─▶ Told ─▶ gather · fingerprint · document ─▶ results
//!                      │
//!                   cleanup
//! ```

mod access;
mod api;
mod cleanup;
mod collect;
mod deploy;
mod destroy;
mod diagnose;
mod document;
mod endpoints;
mod fingerprint;
mod follow;
mod gather;
mod layout;
mod manifest;
mod namespace;
mod options;
mod placement;
mod plan;
mod preflight;
mod preset;
mod progress;
mod ready;
mod results;
mod run;
mod scenario;
mod signal;
mod targets;
mod trial;
mod values;
mod verify;

#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as MissingSubcommand;
use tokio::runtime::Builder;

use options::{Cli, Command};
use podperf_model::error::{Error, Kind, Result};

fn main() -> ExitCode {
    match run(std::env::args_os()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // With standard error gone, the exit status alone has to tell.
            let _ = writeln!(std::io::stderr(), "kubectl-podperf: error: {error}");
            ExitCode::from(error.kind.exit_status())
        }
    }
}

/// Carries out a command line (the program's name first); returns the exit status.
///
/// # Errors
/// When the command line cannot be carried out.
fn run<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<u8> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(message) => {
            // Without a subcommand it is the whole help, which is no sentence to be prefixed.
            if message.use_stderr() && message.kind() != MissingSubcommand {
                let _ = write!(io::stderr(), "kubectl-podperf: ");
            }
            let printed = message.print();
            let status = u8::try_from(message.exit_code());
            return Ok(match (printed, status) {
                (Ok(()), Ok(status)) => status,
                _ => Kind::Usage.exit_status(),
            });
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Unmeasured, "start the launcher", error))?;
    runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, words).await,
            Command::Plan(args) => plan::run(args).await,
            Command::Preflight(args) => preflight::run(args).await,
            Command::Deploy(args) => run::deploy(args).await,
            Command::Collect(args) => collect::run(args, words).await,
            Command::Destroy(args) => destroy::run(args).await,
        }
    })
}
