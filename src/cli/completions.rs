//! `podperf completions`: completion scripts, made from the command line's definition.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::cli::output::print;
use podperf_model::error::Result;

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  podperf completions bash > /etc/bash_completion.d/podperf
  podperf completions fish > ~/.config/fish/completions/podperf.fish";

/// Prints the script; returns the exit status.
pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<u8> {
    // The generator panics where it cannot write, so it writes into memory.
    let mut script = Vec::new();
    generate(args.shell, command, "podperf", &mut script);
    print(|to| to.write_all(&script))
}
