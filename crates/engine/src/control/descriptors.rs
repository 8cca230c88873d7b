//! Checks whether this process may open as many connections as a plan asks for, before the first is
//! opened: a listener without descriptors could only keep its client waiting.

use nix::sys::resource::{Resource, getrlimit};

use podperf_model::error::{Code, Error, Kind, Result};

/// Readiness sets, timers and files of /proc beside the connections.
const SPARE_DESCRIPTORS: u64 = 16;

/// Checks that there is room for `connections` more.
///
/// # Errors
/// Naming the limit, when there is none. A limit that cannot be read is not checked.
pub(super) fn check(connections: u64) -> Result<()> {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    if open + connections + SPARE_DESCRIPTORS <= limit {
        return Ok(());
    }
    let cause = format!("the limit on open files is {limit}, of which {open} are in use");
    Err(Error::new(Kind::Unmeasured, format!("open {connections} connections"), cause)
        .with_code(Code::ResourceExhausted)
        .with_remedy("raise that limit (ulimit -n), or use fewer streams"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_limit_is_refused_by_name() {
        assert!(check(1).is_ok());
        let refused = check(u64::from(u32::MAX)).unwrap_err().to_string();
        assert!(refused.contains("limit on open files"), "{refused}");
    }
}
