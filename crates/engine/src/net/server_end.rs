//! The end of a server: no new run begins, those under way have a time to end by themselves, and
//! then they are ended.
//!
//! Enters: that the server is to end, and how many clients it has. Leaves: whether it may.

use std::time::{Duration, Instant};

use humantime::format_duration;

use super::Log;
use podperf_model::error::{Code, Error, Kind};

/// How far a server's end has come.
#[derive(Debug)]
pub struct ServerEnd<D, C> {
    /// Dropped, it tells sessions that no new run begins.
    draining: Option<D>,
    /// Dropped, it ends every session.
    closing: Option<C>,
    asked: Option<EndRequest>,
}

/// What asked for the end.
#[derive(Debug, Clone, Copy)]
struct EndRequest {
    /// Absent: the one session that was to be served is over.
    by: Option<Kind>,
    /// Until when sessions may go on.
    until: Instant,
}

impl<D, C> ServerEnd<D, C> {
    /// Of a server that serves: `draining` is dropped when no new run is to begin, `closing` when
    /// those under way are to end.
    pub const fn new(draining: D, closing: C) -> Self {
        Self { draining: Some(draining), closing: Some(closing), asked: None }
    }

    /// Asks for the end, once. Of `clients`, those under way may go on for `drain`.
    pub fn ask(&mut self, by: Option<Kind>, drain: Duration, clients: usize, log: Log<'_>) {
        if self.asked.is_some() {
            return;
        }
        self.asked = Some(EndRequest { by, until: Instant::now() + drain });
        self.draining = None;
        if by.is_some() && clients > 0 && !drain.is_zero() {
            let drain = format_duration(drain);
            log(&format!(
                "ending: no new run begins; clients under way, {clients}, may end within {drain}; \
                 a further signal ends them at once"
            ));
        }
    }

    /// Whether no new run begins.
    pub const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Ends the sessions whose time is up. With no client left the server ends; by the returned
    /// signal, if one asked for it.
    pub fn over(&mut self, clients: usize) -> Option<Option<Kind>> {
        let EndRequest { by, until } = self.asked?;
        if Instant::now() >= until {
            self.closing = None;
        }
        (clients == 0).then_some(by)
    }
}

/// What a client is told whose run does not begin any more.
#[must_use]
pub fn ending_refusal() -> Error {
    Error::new(Kind::Unmeasured, "admit the run", "the server is ending")
        .with_code(Code::Refused)
        .with_limit("ending")
        .with_remedy("try again when it is there again")
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn runs_under_way_have_their_time_and_the_first_request_counts() {
        let [draining, closing] = [Rc::new(()), Rc::new(())];
        let mut end = ServerEnd::new(Rc::clone(&draining), Rc::clone(&closing));
        let held = || (Rc::strong_count(&draining) > 1, Rc::strong_count(&closing) > 1);
        assert_eq!((end.over(0), end.is_asked(), held()), (None, false, (true, true)));
        end.ask(Some(Kind::Terminated), Duration::from_secs(3600), 2, &|_| {});
        assert_eq!((end.over(2), end.is_asked(), held()), (None, true, (false, true)));
        end.ask(Some(Kind::Interrupted), Duration::ZERO, 2, &|_| {});
        assert_eq!((end.over(1), held()), (None, (false, true)));
        assert_eq!(end.over(0), Some(Some(Kind::Terminated)));

        drop(end);
        let mut end = ServerEnd::new((), Rc::clone(&closing));
        end.ask(None, Duration::ZERO, 1, &|_| {});
        assert_eq!((end.over(1), Rc::strong_count(&closing)), (None, 1));
        assert_eq!(end.over(0), Some(None));
    }
}
