//! Stands in for what reads results or searches (`podperf compare`, `merge`, `saturate`, and
//! `report` but for spools) where the program was built without the feature `documents`, as the
//! image's is: it says so.

use std::ffi::OsString;

use clap::Args;

use podperf_model::error::{Error, Kind, Result};

/// Not in this build.
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(super) struct NoDocumentsArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

pub(super) use NoDocumentsArgs as CompareArgs;
pub(super) use NoDocumentsArgs as MergeArgs;
pub(super) use NoDocumentsArgs as SaturateArgs;

/// Says where there is one.
pub(super) fn run(_args: &NoDocumentsArgs) -> Result<u8> {
    refuse()
}

pub(super) fn refuse() -> Result<u8> {
    let cause = "this build has no compare, merge, report and saturate; the image's engine leaves \
                 them out, because it measures one run at a time and reads no results";
    Err(Error::new(Kind::Usage, "answer", cause)
        .with_remedy("use the podperf that `cargo build --release -p podperf` makes"))
}
