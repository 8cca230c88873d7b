//! Points that a sink did not take yet.
//!
//! Enters: lines that were not delivered. Leaves: requests when the sink may be tried again, and
//! else a file, or lines in memory where there is none.

use std::io;
use std::path::PathBuf;

use crate::delivery::{SinkState, Undelivered};
use crate::spool::{MAX_REQUEST_BYTES, RunSpool};

/// Kept in memory where there is no spool, or its disk is full.
const MAX_HELD_BYTES: usize = 8 << 20;

/// Points that could not be delivered yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) spool: Option<RunSpool>,
    pub(crate) spooled: u64,
    held: String,
    pub(crate) held_points: u64,
    pub(crate) lost: u64,
    pub(crate) spool_error: Option<io::Error>,
}

impl Backlog {
    /// None yet. `spool`: the folder where it is written; absent: it is kept in memory.
    pub(crate) fn new(spool: Option<PathBuf>) -> Self {
        Self { spool: spool.map(RunSpool::new), ..Self::default() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.spooled == 0 && self.held_points == 0
    }

    pub(crate) fn keep(&mut self, lines: &str, points: u64) {
        if points == 0 {
            return;
        }
        match self.spool.as_mut().map(|spool| spool.append(lines)) {
            Some(Ok(())) => return self.spooled += points,
            Some(Err(error)) => self.spool_error = Some(error),
            None => {}
        }
        if self.held.len() + lines.len() <= MAX_HELD_BYTES {
            self.held.push_str(lines);
            self.held_points += points;
        } else {
            self.lost += points;
        }
    }

    /// Delivers what is kept, as far as the sink takes it: what is on disk first.
    pub(crate) fn drain(&mut self, sink: &mut SinkState) {
        let spooled = &mut self.spooled;
        let drained = self.spool.as_mut().map(|spool| {
            spool.drain(|lines, points| {
                sink.post(lines, points)?;
                *spooled = spooled.saturating_sub(points);
                Ok(())
            })
        });
        match drained {
            Some(Err(error)) => self.spool_error = Some(error),
            Some(Ok(Err(Undelivered))) => return,
            Some(Ok(Ok(()))) | None => {}
        }
        while !self.held.is_empty() {
            let end = piece_end(&self.held);
            let points = self.held[..end].lines().count() as u64;
            if sink.post(&self.held[..end], points).is_err() {
                return;
            }
            self.held.drain(..end);
            self.held_points = self.held_points.saturating_sub(points);
        }
    }

    /// Writes what is held in memory to the spool, which may take it now.
    pub(crate) fn spool_held(&mut self) {
        let (held, points) =
            (std::mem::take(&mut self.held), std::mem::take(&mut self.held_points));
        self.keep(&held, points);
    }
}

/// Where the lines end that one request takes.
fn piece_end(lines: &str) -> usize {
    if lines.len() <= MAX_REQUEST_BYTES {
        return lines.len();
    }
    let fits = lines.as_bytes()[..MAX_REQUEST_BYTES].iter().rposition(|byte| *byte == b'\n');
    fits.or_else(|| lines.find('\n')).map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_a_line_does() {
        assert_eq!(piece_end("a\nb\n"), 4);
        let line = format!("{}\n", "x".repeat(MAX_REQUEST_BYTES / 2));
        assert_eq!(piece_end(&line.repeat(3)), line.len());
    }
}
