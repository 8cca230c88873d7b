//! What the runs of one server have reserved of its memory budget.
//!
//! Enters: what a run needs, before anything is allocated for it. Leaves: a reservation that ends
//! when it is dropped, or a refusal that names the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::memory_limits::{address_space_limit, memory_budget};
use crate::metrics::roots::Roots;
use podperf_model::error::Result;
use podperf_model::memory_budget::MemoryBudget;
use podperf_model::units::Bytes;
use podperf_sys::allocator::{return_large_blocks, share_one_arena};

/// A server's budget and what is reserved of it.
#[derive(Debug)]
pub struct MemoryAccount {
    budget: MemoryBudget,
    reserved: Arc<AtomicU64>,
}

/// Memory of one run, until it is dropped.
#[derive(Debug)]
pub struct MemoryReservation {
    reserved: Arc<AtomicU64>,
    bytes: u64,
}

impl MemoryAccount {
    /// Opens the account of a server: of `asked` bytes (`--max-memory`), else of what this process
    /// may use. `one_at_a_time`: no other run comes meanwhile, so that one may take all of it.
    #[must_use]
    pub fn open(asked: Option<Bytes>, one_at_a_time: bool) -> Self {
        // What a run gives back here is there for others too.
        return_large_blocks();
        if address_space_limit().is_some() {
            share_one_arena();
        }
        let budget = asked.map_or_else(
            || memory_budget(&Roots::default()),
            |asked| MemoryBudget::asked(asked.0, "--max-memory"),
        );
        let budget = if one_at_a_time { budget } else { budget.shared() };
        Self { budget, reserved: Arc::default() }
    }

    /// The budget.
    #[must_use]
    pub const fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// What is reserved now.
    pub fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Reserves `needed` bytes for a run.
    ///
    /// # Errors
    /// When that is more than a run may take, or more than is left.
    pub fn reserve(&self, needed: u64) -> Result<MemoryReservation> {
        let mut reserved = self.reserved.load(Ordering::Relaxed);
        loop {
            self.budget.check(needed, reserved, "raise --max-memory of the server")?;
            let sum = reserved.saturating_add(needed);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.reserved.compare_exchange_weak(reserved, sum, success, failure) {
                Ok(_) => break,
                Err(other) => reserved = other,
            }
        }
        Ok(MemoryReservation { reserved: Arc::clone(&self.reserved), bytes: needed })
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_has_reserved_no_other_gets_until_it_is_over() {
        let account = MemoryAccount::open(Some(Bytes(100)), false);
        assert!(account.reserve(51).is_err(), "more than half");
        let first = account.reserve(50).unwrap();
        let second = account.reserve(30).unwrap();
        assert!(account.reserve(21).is_err());
        drop(first);
        let third = account.reserve(50).unwrap();
        drop((second, third));
        assert_eq!(account.reserved.load(Ordering::Relaxed), 0);
        assert!(MemoryAccount::open(Some(Bytes(100)), true).reserve(100).is_ok());
    }

    #[test]
    fn runs_that_come_at_once_never_pass_the_budget_together() {
        let account = MemoryAccount::open(Some(Bytes(64)), false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let own = account.reserve(20);
                        assert!(account.reserved.load(Ordering::Relaxed) <= 64);
                        drop(own);
                    }
                });
            }
        });
        assert_eq!(account.reserved.load(Ordering::Relaxed), 0);
    }
}
