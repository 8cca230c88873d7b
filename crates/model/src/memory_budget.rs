//! The memory that an end may use for runs, and the words in which it refuses one that needs more.
//!
//! Enters: the limits that hold for a process, with their names. Leaves: a budget, and errors that
//! name the need, the budget, where the budget comes from, and what to do. No I/O here.

use crate::error::{Code, Error, Kind, Result};

/// Bytes that runs may take, and why so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBudget {
    bytes: u64,
    /// Of one run.
    run_bytes: u64,
    /// In words: "75 % of the machine's memory, 23540 MiB".
    origin: String,
}

impl MemoryBudget {
    /// Takes three quarters of the smallest of `limits`, each with its name ("the machine's
    /// memory"), for one run or several. Without a limit, everything.
    #[must_use]
    pub fn within(limits: impl IntoIterator<Item = (u64, String)>) -> Self {
        let smallest = limits.into_iter().min_by_key(|(bytes, _)| *bytes);
        let Some((limit, name)) = smallest else {
            return Self::of(u64::MAX, "no limit is known".to_owned());
        };
        // Without a product that could wrap.
        Self::of(limit - limit.div_ceil(4), format!("75 % of {name}, {}", mib(limit)))
    }

    /// Takes what was asked for by `option`.
    #[must_use]
    pub fn asked(bytes: u64, option: &str) -> Self {
        Self::of(bytes, option.to_owned())
    }

    const fn of(bytes: u64, origin: String) -> Self {
        Self { bytes, run_bytes: bytes, origin }
    }

    /// Of all runs together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Leaves at most half to one run, because others may come.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { run_bytes: self.bytes / 2, ..self }
    }

    /// Accepts a run that needs `needed` bytes while others have reserved `reserved`.
    ///
    /// # Errors
    /// Naming the need, the budget, where it comes from, and `remedy` beside what always helps.
    pub fn check(&self, needed: u64, reserved: u64, remedy: &str) -> Result<()> {
        let Self { bytes, run_bytes, .. } = *self;
        if needed <= run_bytes && needed <= bytes.saturating_sub(reserved) {
            return Ok(());
        }
        let needs = format!("it needs {} of memory at this end", mib(needed));
        let (cause, first) = if needed > run_bytes && run_bytes < bytes {
            let of = format!("half of {self}");
            (format!("{needs}, and one run may take {}: {of}", whole_mib(run_bytes)), "")
        } else if needed > run_bytes {
            (format!("{needs}, more than {self}"), "")
        } else {
            let taken = mib(reserved);
            (format!("{needs}, and other runs have {taken} of {self}"), "try again later, ")
        };
        Err(Error::new(Kind::Unmeasured, "take memory for the run", cause)
            .with_code(Code::ResourceExhausted)
            .with_limit("memory")
            .with_remedy(format!(
                "{first}use fewer streams or workers, shorter messages or socket buffers, or \
                 {remedy}"
            )))
    }
}

impl std::fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the memory budget of {} ({})", whole_mib(self.bytes), self.origin)
    }
}

/// Mebibytes, rounded up: of what is needed or taken.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Mebibytes, rounded down: of what there is.
fn whole_mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB_BYTES: u64 = 1 << 20;

    #[test]
    fn the_smallest_limit_counts_and_is_named() {
        let limits = [(400 * MIB_BYTES, "the limit on address space".to_owned())];
        let more = [(1 << 40, "the machine's memory".to_owned())];
        let budget = MemoryBudget::within(more.into_iter().chain(limits));
        let text = "the memory budget of 300 MiB (75 % of the limit on address space, 400 MiB)";
        assert_eq!(budget.to_string(), text);
        assert!(budget.check(300 * MIB_BYTES, 0, "").is_ok());
        assert!(MemoryBudget::within([]).check(u64::MAX, 0, "").is_ok());
        assert!(MemoryBudget::within([(0, String::new())]).check(1, 0, "").is_err());
    }

    #[test]
    fn a_refusal_names_need_budget_origin_and_remedy() {
        let budget = MemoryBudget::asked(100 * MIB_BYTES, "--max-memory").shared();
        let refusal = |needed: u64, reserved: u64| {
            let refused =
                budget.check(needed * MIB_BYTES, reserved * MIB_BYTES, "raise --max-memory there");
            let error = refused.unwrap_err();
            assert_eq!((error.kind, error.code), (Kind::Unmeasured, Code::ResourceExhausted));
            error.to_string()
        };
        assert_eq!(
            refusal(51, 0),
            "take memory for the run: it needs 51 MiB of memory at this end, and one run may take \
             50 MiB: half of the memory budget of 100 MiB (--max-memory); use fewer streams or \
             workers, shorter messages or socket buffers, or raise --max-memory there"
        );
        let others = "other runs have 60 MiB of the memory budget of 100 MiB (--max-memory); try \
                      again later, use fewer";
        assert!(refusal(41, 60).contains(others), "{}", refusal(41, 60));
        assert!(budget.check(40 * MIB_BYTES, 60 * MIB_BYTES, "").is_ok());
        assert!(budget.check(1, u64::MAX, "").is_err());
        let own = MemoryBudget::asked(100 * MIB_BYTES, "--max-memory");
        let refused = own.check(101 * MIB_BYTES, 0, "").unwrap_err().to_string();
        assert!(
            refused.contains("needs 101 MiB of memory at this end, more than the"),
            "{refused}"
        );
    }
}
