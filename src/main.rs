//! The engine's entry: the command line in, one call, the exit status out. Errors are printed here
//! and nowhere else. Called as netperf or netserver, it is that program.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use podperf_netperf::Program;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some((name, rest)) = words.split_first()
        && let Some(program) = Program::called(name)
    {
        return program.run(rest);
    }
    match podperf::run_command_line(words) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // With standard error gone, the exit status alone has to tell.
            let _ = writeln!(std::io::stderr(), "podperf: error: {error}");
            ExitCode::from(error.kind.exit_status())
        }
    }
}
