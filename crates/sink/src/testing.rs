//! What tests of the crates above see of how an answer is read; for tests alone.

use std::io;

use crate::answer::{Delivery, HttpAnswer, judge};
use crate::http;
use crate::url::SinkUrl;
use podperf_model::error::Error;

/// Reads what a sink at `url` answered, whole or not: nothing where points were taken, or more is
/// to come.
#[must_use]
pub fn failure(url: &SinkUrl, received: &[u8], is_all: bool) -> Option<Error> {
    let outcome: io::Result<HttpAnswer> = http::answer(received, is_all).transpose()?;
    match judge(url, outcome) {
        Delivery::Delivered => None,
        Delivery::Later(error, _) | Delivery::Refused(error) => Some(error),
    }
}
