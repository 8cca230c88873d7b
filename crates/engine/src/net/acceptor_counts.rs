//! What an acceptor counts: connections that came, those that are pending, and those it dropped.
//!
//! Enters: what befalls each connection. Leaves: numbers, for whoever asks from any thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::address_limits::ReachedLimit;
use podperf_model::error::Code;

/// Counts of one acceptor since it began.
#[derive(Debug, Default)]
pub struct AcceptorCounts {
    accepted: AtomicU64,
    silent: AtomicU64,
    begun: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
}

impl AcceptorCounts {
    /// Connections that came.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those that are pending now, by how far they have come.
    pub fn pending(&self) -> [(&'static str, u64); 2] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("silent", count(&self.silent)), ("begun", count(&self.begun))]
    }

    /// Connections that were dropped before their first message was whole, or for what it said, by
    /// reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_pending(&self, silent: usize, begun: usize) {
        self.silent.store(silent as u64, Ordering::Relaxed);
        self.begun.store(begun as u64, Ordering::Relaxed);
    }

    pub(super) fn evict(&self, limit: ReachedLimit) {
        self.drop_for(match limit {
            ReachedLimit::Address(_) => "limit_of_address",
            ReachedLimit::Prefix(_) => "limit_of_prefix",
            ReachedLimit::InAll(_) => "limit_in_all",
            ReachedLimit::Descriptors => "descriptors",
        });
    }

    pub(super) fn fail(&self, code: Code) {
        self.drop_for(match code {
            Code::Timeout => "timeout",
            Code::Unauthorized => "unauthorized",
            Code::Protocol => "protocol",
            Code::ConnectionLost => "connection_lost",
            Code::Refused => "refused",
            _ => "other",
        });
    }

    fn drop_for(&self, reason: &'static str) {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() +=
            1;
    }
}
