//! Where points of runs go while these are under way: a server that takes them by HTTP, and a
//! folder on disk for as long as that is away.
//!
//! Enters: lines, each of which is one point, and a sink's address. Leaves: requests, or files that
//! are sent later. What a line says is not looked at; that it may be sent twice without being
//! there twice is a promise of whoever made it. The measurement never waits: lines are handed to a
//! thread.

mod answer;
mod backlog;
mod delivery;
mod http;
mod retry;
mod sender;
mod spool;
#[cfg(feature = "testing")]
pub mod testing;
mod url;

pub use answer::HttpAnswer;
pub use http::{HttpSink, Transport};
pub use sender::{DeliveryReport, Sender};
pub use spool::{SpoolReport, default_spool, send_spool};
pub use url::{SinkUrl, masked_url};
