//! One sink, and how it took what it was sent.
//!
//! Enters: lines. Leaves: one request, and when the next may be tried, if ever.

use std::time::Instant;

use crate::answer::{Delivery, judge};
use crate::http::Transport;
use crate::retry::RetryWaits;
use podperf_model::error::{Error, Result};

/// How the sink took what it was sent.
pub(crate) struct SinkState {
    transport: Box<dyn Transport>,
    pub(crate) waits: RetryWaits,
    /// It is away until then.
    pub(crate) next_try: Option<Instant>,
    /// It said so itself.
    pub(crate) asks_to_wait: bool,
    /// It refuses for good.
    pub(crate) refuses: bool,
    pub(crate) delivered: u64,
    pub(crate) error: Option<Error>,
}

/// A request that delivered nothing.
pub(crate) struct Undelivered;

impl SinkState {
    /// Of a sink that nothing was sent to.
    pub(crate) fn new(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            waits: RetryWaits::default(),
            next_try: None,
            asks_to_wait: false,
            refuses: false,
            delivered: 0,
            error: None,
        }
    }

    pub(crate) fn may_be_tried(&self) -> bool {
        !self.refuses && self.next_try.is_none_or(|next| Instant::now() >= next)
    }

    pub(crate) fn post(&mut self, lines: &str, points: u64) -> Result<(), Undelivered> {
        let outcome = self.transport.post(lines);
        match judge(self.transport.url(), outcome) {
            Delivery::Delivered => {
                self.delivered += points;
                (self.next_try, self.waits, self.error) = (None, RetryWaits::default(), None);
                return Ok(());
            }
            Delivery::Later(error, asked) => {
                let wait = self.waits.next_wait(asked);
                self.next_try = Some(Instant::now() + wait);
                self.asks_to_wait = asked.is_some();
                self.error = Some(error);
            }
            Delivery::Refused(error) => {
                (self.next_try, self.refuses, self.error) = (None, true, Some(error));
            }
        }
        Err(Undelivered)
    }
}
