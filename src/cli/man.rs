//! `podperf man`: manual pages, made from the command line's definition.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::{Man, generate_to};

use crate::cli::output::print;
use podperf_model::error::{Error, Result};

/// Prints the manual page, or writes one for podperf and each of its subcommands.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Write podperf.1 and one page for each subcommand into this directory
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  podperf man | man -l -
  podperf man --dir /usr/local/share/man/man1";

/// Writes the pages; returns the exit status.
pub(super) fn run(args: &ManArgs, command: clap::Command) -> Result<u8> {
    let Some(dir) = &args.dir else { return print(|to| Man::new(command).render(to)) };
    generate_to(command, dir).map_err(|error| Error::usage("--dir", dir.display(), error))?;
    Ok(0)
}
