//! Who may use a server, and how much of it: rules by address and token, and what is used of them.
//!
//! Enters: a TOML file, addresses, proofs, summaries of what runs ask for, and the bytes that they
//! move. Leaves: runs that may go on, places in a queue, refusals that name the limit and when to
//! come again, and a file with what was used. Knows no protocol: the servers ask.

mod address_range;
mod admission;
mod file;
mod meter;
mod policy_file;
mod refusal;
mod rule;
mod run_meter;
mod run_rules;
mod state_file;
mod table_reader;
mod token;
mod tokens;
mod usage;
mod words;

pub use address_range::AddressRange;
pub use admission::{
    Admission, AdmittedClient, AdmittedRun, Decision, QueueState, QueuedRun, Requirement,
};
pub use file::{MAX_POLICY_BYTES, ReadToken, read_policy};
pub use policy_file::PolicyFile;
pub use refusal::{PolicyLimit, Refusal};
pub use rule::{CpuChoice, GroupLimits, LimitSet, Policy, PolicyRule, QueueLimits, RunLimits};
pub use run_meter::{Outgoing, RunMeter};
pub use run_rules::RequestedRun;
pub use table_reader::PolicyFault;
pub use token::Token;
pub use tokens::TimedToken;
