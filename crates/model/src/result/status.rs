//! The exit status of a run.

use crate::error::Kind;
use crate::result::run::{Run, Status};

impl Run {
    /// 0: complete. 130, 143 or 5: ended by SIGINT, by SIGTERM, or by the user's deadline (the
    /// first of these that happened), whatever was measured. 4: incomplete, with something
    /// measured. 3: nothing was measured.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.status == Status::Complete {
            return 0;
        }
        let told =
            |kind: &Kind| matches!(kind, Kind::Interrupted | Kind::Terminated | Kind::Deadline);
        let measured = if self.throughput.is_some() { Kind::Incomplete } else { Kind::Unmeasured };
        let mut kinds = self.errors.iter().map(|error| error.kind);
        kinds.find(told).unwrap_or(measured).exit_status()
    }
}
