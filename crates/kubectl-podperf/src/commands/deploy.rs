//! `kubectl podperf deploy`: starts a run and leaves it to itself.

use tokio::time::sleep;

use super::finish::timed_out;
use super::prepared::PreparedRun;
use super::signal::{Interrupts, signal_error};
use crate::plan::options::DeployArgs;
use crate::progress::ProgressLine;
use crate::result::results;
use podperf_model::error::Result;

/// Carries out `deploy`; returns the exit status.
pub(super) async fn run(args: DeployArgs) -> Result<u8> {
    let settings = args.work.settle(args.ttl, args.quiet)?;
    let progress = ProgressLine::new(settings.quiet);
    let mut interrupts = Interrupts::watch()?;
    let prepared = interrupts.or(PreparedRun::new(settings)).await?;
    prepared.announce(&progress);
    let ended = tokio::select! {
        ended = prepared.deploy(prepared.steps(), &progress) => ended.map(|_| ()),
        kind = interrupts.next() => Err(signal_error(kind)),
        () = sleep(prepared.timeout) => Err(timed_out(prepared.timeout)),
    };
    if let Err(error) = ended {
        prepared.clean_up(&progress).await?;
        return Err(error);
    }
    progress.note(&prepared.what_stays());
    progress.finish();
    results::stdout(|to| writeln!(to, "{}", prepared.settings.run_id))?;
    Ok(0)
}
