//! Errors that the run outlived.

use super::{Doubt, RunEvidence, count};
use crate::plan::Role;
use crate::result::run::TransientError;
use crate::result::span::ROLES;
use crate::result::wording::end_name;

/// Error numbers of one end that a warning tells of, the most frequent first.
const MAX_TOLD: usize = 4;

/// One warning for each end and number of an error.
pub(super) fn transient_errors(seen: &RunEvidence<'_>) -> Vec<Doubt> {
    ROLES.into_iter().flat_map(|role| of_end(seen, role)).collect()
}

fn of_end(seen: &RunEvidence<'_>, role: Role) -> Vec<Doubt> {
    let all = || seen.run.transient_errors.iter().filter(|error| error.end == role);
    let mut numbers: Vec<i32> = all().map(|error| error.errno).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut sums: Vec<Sum<'_>> = numbers
        .into_iter()
        .filter_map(|number| Sum::of(all().filter(move |error| error.errno == number)))
        .collect();
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.count));
    sums.truncate(MAX_TOLD);
    sums.iter().map(|sum| sum.doubt(end_name(role))).collect()
}

/// All errors of one number at one end.
struct Sum<'a> {
    one: &'a TransientError,
    count: u64,
    streams: usize,
    /// Seconds of the first and the last, where the window opened.
    time: Option<(f64, f64)>,
}

impl<'a> Sum<'a> {
    fn of(mut errors: impl Iterator<Item = &'a TransientError>) -> Option<Self> {
        let whole = |one: &'a TransientError| Self {
            one,
            count: one.count,
            streams: 1,
            time: one.first_seconds.zip(one.last_seconds),
        };
        let first = whole(errors.next()?);
        Some(errors.map(whole).fold(first, |sum, more| Self {
            count: sum.count.saturating_add(more.count),
            streams: sum.streams + 1,
            time: sum.time.zip(more.time).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))),
            ..sum
        }))
    }

    fn doubt(&self, end: &str) -> Doubt {
        let Self { one, count: errors, streams, time } = self;
        let streams = count(u64::try_from(*streams).unwrap_or(u64::MAX), "stream");
        let time = time.map_or_else(String::new, |(first, last)| {
            format!(", from {first:.3} s to {last:.3} s of the window")
        });
        let errors = count(*errors, "error");
        let text = format!("{end}: the run outlived {errors} on {streams}{time}: {}", one.cause);
        let remedy = "look at the links, routes, addresses and firewalls of the path at that time; \
                      --strict ends a run at the first";
        (text, remedy.to_owned())
    }
}
