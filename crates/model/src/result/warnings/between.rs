//! What else is on the way or on the server, and has a part in the figures.

use super::{Doubt, RunEvidence, count, doubt};
use crate::result::run::Intermediary;

pub(super) fn proxy(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let between = seen.run.between.as_ref()?;
    let changes = between.changes().filter(|_| between.kind == Intermediary::Proxy)?;
    doubt(
        format!(
            "the ends have no TCP connection with each other, the SYN that the server got is not \
             the client's: {changes}. Each end's TCP figures are those of its own connection to \
             the proxy, and the proxy's CPU has a part in the result"
        ),
        "name the server's own address for the path without it, or take the result as that of the \
         proxy",
    )
}

pub(super) fn other_sessions(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let others = seen.run.other_sessions.filter(|others| *others > 0)?;
    doubt(
        format!(
            "server: {} ran on it at the same time and shared its CPUs and its network",
            count(others, "other session")
        ),
        "measure when nobody else does: `podperf serve --max-sessions 1` lets one in at a time",
    )
}
