//! A thread for each client that has named itself: a bounded number of them, of one address and in
//! all, and what panics takes its own session with it and no other.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};

use super::Log;
use super::address_limits::{AddressCounts, AddressLimits};
use podperf_model::error::{Code, Error, Kind, Result};

/// Starts and counts the threads of a server's clients.
pub struct ClientThreads<'a> {
    name: &'static str,
    limits: AddressLimits,
    running: Mutex<AddressCounts>,
    log: Log<'a>,
}

/// A client's place among those that have a thread; dropped, it is free.
#[derive(Debug)]
pub struct ClientPlace<'a> {
    counts: &'a Mutex<AddressCounts>,
    ip: IpAddr,
}

impl<'env> ClientThreads<'env> {
    /// Bounds them by `limits`, each called `name`.
    #[must_use]
    pub fn new(name: &'static str, limits: AddressLimits, log: Log<'env>) -> Self {
        Self { name, limits, running: Mutex::default(), log }
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        lock(&self.running).in_all
    }

    /// Takes a place for a client at `ip`.
    ///
    /// # Errors
    /// Naming the limit, when there are as many clients as it allows.
    pub fn admit(&self, ip: IpAddr) -> Result<ClientPlace<'_>> {
        let added = lock(&self.running).add(ip, &self.limits);
        let place = added.map(|()| ClientPlace { counts: &self.running, ip });
        place.map_err(|limit| {
            let cause = format!("too many clients: the limit is {limit}");
            Error::new(Kind::Unmeasured, "admit the client", cause)
                .with_code(Code::Refused)
                .with_limit("clients")
                .with_remedy("try again in a few seconds, or end other clients")
        })
    }

    /// Serves a client, `peer`, which has a place, by `body`, in a thread of its own. Where none is
    /// to be had the client comes back, with the reason, so that it can be told.
    pub fn spawn<'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        place: ClientPlace<'scope>,
        (peer, client): (&str, T),
        body: impl FnOnce(T) + Send + 'scope,
    ) -> Option<(Error, T)>
    where
        'env: 'scope,
    {
        let name = peer.to_owned();
        // What a thread that does not start was to own is lost with it.
        let client = Arc::new(Mutex::new(Some(client)));
        let shared = Arc::clone(&client);
        let take = |shared: &Mutex<Option<T>>| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        let guarded = move || {
            let client = take(&shared);
            drop(shared);
            let served = catch_unwind(AssertUnwindSafe(|| client.map(body)));
            drop(place);
            if served.is_err() {
                (self.log)(&format!("{name}: the session panicked; others go on"));
            }
        };
        let started = Builder::new().name(self.name.into()).spawn_scoped(scope, guarded);
        let error = started.err()?;
        let error = Error::system(Kind::Unmeasured, "start a session's thread", &error)
            .with_remedy(
                "try again when the server has less to do, or raise its limit on threads \
                 (pids.max, TasksMax, ulimit -u)",
            )
            .with_limit("threads")
            .with_peer(peer);
        take(&client).map(|client| (error, client))
    }
}

impl Drop for ClientPlace<'_> {
    fn drop(&mut self) {
        lock(self.counts).remove(self.ip);
    }
}

/// Nothing panics while it counts.
fn lock(counts: &Mutex<AddressCounts>) -> MutexGuard<'_, AddressCounts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn clients_beyond_a_limit_are_told_and_a_panic_frees_its_place() {
        let lines = Mutex::new(Vec::new());
        let log = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let limits = AddressLimits { per_address: 1, per_prefix: 2, in_all: 3 };
        let threads = ClientThreads::new("test-client", limits, &log);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        std::thread::scope(|scope| {
            let (release, held) = bounded::<()>(0);
            let place = threads.admit(ip("192.0.2.1")).unwrap();
            assert!(threads.spawn(scope, place, ("a", held), |held| _ = held.recv()).is_none());
            let refused = threads.admit(ip("192.0.2.1")).unwrap_err().to_string();
            assert!(refused.contains("1 at a time from one address"), "{refused}");
            drop(threads.admit(ip("192.0.2.2")).unwrap());
            drop(release);
            while threads.running() > 0 {
                std::thread::yield_now();
            }
            let place = threads.admit(ip("192.0.2.1")).unwrap();
            assert!(threads.spawn(scope, place, ("c", ()), |()| panic!("for the test")).is_none());
        });
        assert_eq!(threads.running(), 0);
        assert_eq!(lines.into_inner().unwrap(), ["c: the session panicked; others go on"]);
    }
}
