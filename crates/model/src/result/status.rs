//! The exit status of a run, and of a search made of runs.

use crate::error::{Code, Error, Kind};
use crate::result::run::{Run, Status};
use crate::result::saturation::Saturation;

impl Run {
    /// Something was measured. A run that stood still without anything received has its figures,
    /// and measured nothing.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        let transactions = self.transactions.as_ref().map_or(0, |all| all.count);
        let bytes = self.throughput.as_ref().map(|all| all.bytes_received);
        let nothing_came = |error: &Error| match error.code {
            Code::NothingReceived => error.kind == Kind::Unmeasured,
            Code::Stalled => transactions == 0 && bytes == Some(0),
            _ => false,
        };
        bytes.is_some() && !self.errors.iter().any(nothing_came)
    }

    /// The error that says that the run stood still; who finds out why adds it there.
    #[must_use]
    pub fn standstill_mut(&mut self) -> Option<&mut Error> {
        let stands =
            |error: &&mut Error| matches!(error.code, Code::NothingReceived | Code::Stalled);
        self.errors.iter_mut().find(stands)
    }

    /// 0: complete. 130, 143 or 5: ended by SIGINT, by SIGTERM, or by the user's deadline (the
    /// first of these that happened), whatever was measured. 4: incomplete, with something
    /// measured. 3: nothing was measured, or nothing received.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.status == Status::Complete {
            return 0;
        }
        let told =
            |kind: &Kind| matches!(kind, Kind::Interrupted | Kind::Terminated | Kind::Deadline);
        let measured = if self.is_measured() { Kind::Incomplete } else { Kind::Unmeasured };
        let mut kinds = self.errors.iter().map(|error| error.kind);
        kinds.find(told).unwrap_or(measured).exit_status()
    }
}

impl Saturation {
    /// 0: the search came to its own end, whatever it shows. 2: a rate that was given is below what
    /// was measured. 130, 143, 5, 4 or 3: as for a run.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.status == Status::Complete {
            return 0;
        }
        let told = [Kind::Usage, Kind::Interrupted, Kind::Terminated, Kind::Deadline];
        let measured = if self.curve.is_empty() { Kind::Unmeasured } else { Kind::Incomplete };
        let mut kinds = self.errors.iter().map(|error| error.kind);
        kinds.find(|kind| told.contains(kind)).unwrap_or(measured).exit_status()
    }
}
