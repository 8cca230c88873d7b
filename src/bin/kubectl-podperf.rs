//! The launcher's entry (`kubectl podperf`): the command line in, one call, the exit status out.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match podperf::kubernetes::run(std::env::args_os()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // With standard error gone, the exit status alone has to tell.
            let _ = writeln!(std::io::stderr(), "kubectl-podperf: error: {error}");
            ExitCode::from(error.kind.exit_status())
        }
    }
}
