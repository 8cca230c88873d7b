//! The launcher, `kubectl podperf`: places pods that run the engine, follows their log, and turns
//! what they measured into one document.
//!
//! Enters: a command line and a kubeconfig. Leaves: a results directory, tables, and a cluster as
//! it was before. It opens no measuring socket: the engine runs in the pods, its plan in their
//! specification, its result in the coordinator's log.
//!
//! ```text
//! plan      options ─▶ settings ─▶ test plan · layout · placement ─▶ manifests   no cluster needed
//!   ▲
//! cluster   api ◀── deploy · targets · endpoints · verify · follow ─▶ LogState · cleanup
//!   ▲
//! result    assemble · fingerprint ─▶ document ─▶ results              one document, tables, files
//!   ▲
//! commands  run · plan · preflight · deploy · collect · destroy
//! ```

mod cluster;
mod commands;
mod plan;
mod progress;
mod result;

#[cfg(test)]
mod testing;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::execute(std::env::args_os()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // With standard error gone, the exit status alone has to tell.
            let _ = writeln!(std::io::stderr(), "kubectl-podperf: error: {error}");
            ExitCode::from(error.kind.exit_status())
        }
    }
}
