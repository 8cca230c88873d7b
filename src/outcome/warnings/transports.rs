//! Transports and ways of waiting that are not what was asked for.

use super::{Check, Seen, warn};
use crate::outcome::run::Warning;

pub(super) const CHECKS: &[Check] = &[fallback];

fn fallback(seen: &Seen<'_>, found: &mut Vec<Warning>) {
    for (end, half) in seen.present() {
        for reason in &half.facts.placement.fallbacks {
            warn(
                found,
                "fallback",
                format!("{end}: {reason}"),
                "podperf doctor on that end says what is refused and how to permit it",
            );
        }
    }
}
