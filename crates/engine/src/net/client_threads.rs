//! A thread for each client that has named itself: a bounded number of them, and what panics takes
//! its own session with it and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope};

use super::Log;

/// Starts and counts the threads of a server's clients.
pub struct ClientThreads<'a> {
    name: &'static str,
    max_threads: usize,
    running: AtomicUsize,
    log: Log<'a>,
}

impl<'env> ClientThreads<'env> {
    /// Bounds them to `max_threads` at a time, each called `name`.
    #[must_use]
    pub const fn new(name: &'static str, max_threads: usize, log: Log<'env>) -> Self {
        Self { name, max_threads, running: AtomicUsize::new(0), log }
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Serves the client `peer` by `body`, in a thread of its own. Where none is to be had, the
    /// client is dropped with `body`, and the log says so.
    pub fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        peer: &str,
        body: impl FnOnce() + Send + 'scope,
    ) where
        'env: 'scope,
    {
        if self.running.fetch_add(1, Ordering::Relaxed) >= self.max_threads {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return (self.log)(&format!("{peer}: too many clients; dropped"));
        }
        let client = peer.to_owned();
        let guarded = move || {
            let served = catch_unwind(AssertUnwindSafe(body));
            self.running.fetch_sub(1, Ordering::Relaxed);
            if served.is_err() {
                (self.log)(&format!("{client}: the session panicked; others go on"));
            }
        };
        if let Err(error) = Builder::new().name(self.name.into()).spawn_scoped(scope, guarded) {
            self.running.fetch_sub(1, Ordering::Relaxed);
            (self.log)(&format!("{peer}: start a session's thread: {error}; dropped"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn clients_beyond_the_bound_are_dropped_and_a_panic_frees_its_place() {
        let lines = Mutex::new(Vec::new());
        let log = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let threads = ClientThreads::new("test-client", 1, &log);
        std::thread::scope(|scope| {
            let (release, held) = bounded::<()>(0);
            threads.spawn(scope, "a", move || _ = held.recv());
            threads.spawn(scope, "b", || unreachable!("there is no thread for it"));
            drop(release);
            while threads.running() > 0 {
                std::thread::yield_now();
            }
            threads.spawn(scope, "c", || panic!("as the test wants"));
        });
        assert_eq!(threads.running(), 0);
        let lines = lines.into_inner().unwrap();
        let expected = ["b: too many clients; dropped", "c: the session panicked; others go on"];
        assert_eq!(lines, expected);
    }
}
