//! Results of a test that still runs (`-D`).

use super::units;
use crate::figures::Interim;
use crate::options::{Format, Options};

/// One interim result with its line end, in the form that the selection asks for.
#[must_use]
pub fn interim(options: &Options, interim: &Interim) -> String {
    let transacts = options.shape.direction.transacts();
    let unit = units::resolve(options.interim_unit.or(options.unit), transacts);
    let a_second = |count: u64| units::per(units::float(count), interim.seconds);
    let transactions = transacts.then(|| a_second(interim.transactions));
    let value = units::rate(unit, a_second(interim.bytes), transactions);
    let word = units::word(unit);
    let seconds = units::tame(interim.seconds);
    let ending = units::tame(interim.ending_seconds);
    let number = interim.number;
    match options.data.selection.as_ref().map(|selection| selection.format) {
        None | Some(Format::Human) => format!(
            "Interim result: {value:>7.2} {word}/s over {seconds:.3} seconds \
             ending at {ending:.3}\n"
        ),
        Some(Format::Csv) => format!("{value:>7.2},{word}/s,{seconds:.3},{ending:.3}\n"),
        Some(Format::KeyValue) => format!(
            "NETPERF_INTERIM_RESULT[{number}]={value:.2}\n\
             NETPERF_UNITS[{number}]={word}/s\n\
             NETPERF_INTERVAL[{number}]={seconds:.3}\n\
             NETPERF_ENDING[{number}]={ending:.3}\n"
        ),
    }
}
