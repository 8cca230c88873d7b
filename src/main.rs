//! The engine's entry: the command line in, one call, the exit status out. Errors are printed here
//! and nowhere else.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match podperf::cli::run(std::env::args_os()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // With standard error gone, the exit status alone has to tell.
            let _ = writeln!(std::io::stderr(), "podperf: error: {error}");
            ExitCode::from(error.kind.exit_status())
        }
    }
}
