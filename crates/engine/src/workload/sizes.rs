//! Sizes of request and response, as every loop that transacts uses them.
//!
//! Enters: the plan's sizes. Leaves: the same as lengths of memory. Nothing is allocated here.

use podperf_model::units::Bytes;

/// The most that one receive or send call moves where messages may be of any size.
pub(super) const MAX_CALL_BYTES: usize = 256 << 10;

/// Bytes of one request and of one response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) request: usize,
    pub(super) response: usize,
}

impl Sizes {
    pub(super) fn of(request: Bytes, response: Bytes) -> Self {
        Self { request: request.as_usize(), response: response.as_usize() }
    }
}
