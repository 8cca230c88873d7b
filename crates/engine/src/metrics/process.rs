//! The process's own CPU time, and that of the thread that asks.
//!
//! Enters: nothing. Leaves: getrusage(2) and the thread's CPU clock.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};

use crate::metrics::source::FactResult;
use podperf_model::reading::ProcessTimes;

/// What the process, all its threads, has used since it started.
pub(super) fn times() -> FactResult<ProcessTimes> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|errno| format!("getrusage: {errno}"))?;
    Ok(ProcessTimes {
        user_us: microseconds(usage.user_time()),
        system_us: microseconds(usage.system_time()),
        max_rss_kib: unsigned(usage.max_rss()),
        voluntary_switches: unsigned(usage.voluntary_context_switches()),
        involuntary_switches: unsigned(usage.involuntary_context_switches()),
    })
}

/// CPU time the calling thread has used, in nanoseconds; 0 where there is no such clock.
pub fn thread_cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| unsigned(time.tv_sec()) * 1_000_000_000 + unsigned(time.tv_nsec()))
}

fn microseconds(time: TimeVal) -> u64 {
    unsigned(time.tv_sec()) * 1_000_000 + unsigned(time.tv_usec())
}

/// The kernel keeps these counts in signed types; none is ever below zero.
fn unsigned(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_thread_and_process() {
        let (process, thread) = (times().unwrap(), thread_cpu_ns());
        while thread_cpu_ns() < thread + 30_000_000 {
            std::hint::black_box(0);
        }
        let after = times().unwrap();
        let used = after.user_us + after.system_us - process.user_us - process.system_us;
        assert!(used >= 20_000, "30 ms of work show as {used} us");
        assert!(after.max_rss_kib > 0);
    }
}
