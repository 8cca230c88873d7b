//! Bad weather: what networks do to a run. Each condition is a guard of its own, set up in a
//! network namespace and undone when dropped; a namespace that is gone already took its conditions
//! along.

pub(crate) mod black_hole;
pub(crate) mod cgroups;
pub(crate) mod closed_ports;
pub(crate) mod duplicate;
pub(crate) mod load_balancer;
pub(crate) mod loss;
pub(crate) mod nat;
pub(crate) mod offloads;
pub(crate) mod outage;
pub(crate) mod reject;
pub(crate) mod reorder;
pub(crate) mod shaper;

use super::namespaces::within;

/// Runs `program` in the namespace `place`; what it says. It has to succeed.
fn set_up(place: &str, program: &str, words: &str) -> String {
    let output = within(Some(place), program).args(words.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} {words}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words} in {place}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same where it does not matter whether there still is something to undo.
fn undo(place: &str, program: &str, words: &str) {
    let _ = within(Some(place), program).args(words.split_whitespace()).output();
}
