//! Options of everything that sends requests and waits for responses.
//!
//! Enters: options as typed. Leaves: the sizes of both. Under which heading the help shows them,
//! and what they need beside them, is for the subcommand to say; what else a request/response
//! workload takes is worded for each and stays with it.

use clap::Args;

use podperf_model::units::Bytes;

/// What goes each way.
#[derive(Debug, Args)]
#[group(id = "exchange")]
pub(super) struct ExchangeArgs {
    /// Size of a request
    #[arg(long, value_name = "SIZE", default_value = "1", allow_hyphen_values = true)]
    pub(super) request: Bytes,
    /// Size of a response
    #[arg(long, value_name = "SIZE", default_value = "1", allow_hyphen_values = true)]
    pub(super) response: Bytes,
}
