//! The unit that a rate is shown in (`-f`), and the conversion to it.

use crate::options::{Options, Unit};

/// A number that can be shown: what is no number, or beyond all of them, becomes zero. Readers
/// feed the text to calculators that know neither `nan` nor `inf`.
pub(super) fn tame(value: f64) -> f64 {
    // Adding zero turns minus zero into zero.
    if value.is_finite() { value + 0.0 } else { 0.0 }
}

/// A quotient that can be shown.
pub(super) fn per(amount: f64, of: f64) -> f64 {
    tame(amount / of)
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "a count to be divided and rounded for print")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// The unit of `asked`, or the test's own: transactions where there are any, else 10^6 bits.
pub(super) fn resolve(asked: Option<Unit>, transacts: bool) -> Unit {
    let megabits = Unit::Bits(2);
    match asked {
        None if transacts => Unit::Transactions,
        None => megabits,
        Some(Unit::Transactions) if !transacts => megabits,
        Some(unit) => unit,
    }
}

/// The unit of the result.
pub(super) fn of_result(options: &Options) -> Unit {
    resolve(options.unit, options.shape.direction.transacts())
}

/// The unit of what goes one way: never transactions.
pub(super) fn of_one_way(options: &Options) -> Unit {
    resolve(options.unit, false)
}

/// The unit's word; a `/s` or `/sec` follows it.
pub(super) const fn word(unit: Unit) -> &'static str {
    match unit {
        Unit::Bits(0) => "10^0bits",
        Unit::Bits(1) => "10^3bits",
        Unit::Bits(2) => "10^6bits",
        Unit::Bits(_) => "10^9bits",
        Unit::Bytes(0) => "Bytes",
        Unit::Bytes(1) => "KBytes",
        Unit::Bytes(2) => "MBytes",
        Unit::Bytes(_) => "GBytes",
        Unit::Transactions => "Trans",
        Unit::Microseconds => "Usec",
    }
}

/// The rate in `unit`. Microseconds are those of a transaction, or of a byte where there is none.
pub(super) fn rate(unit: Unit, bytes_per_second: f64, transactions: Option<f64>) -> f64 {
    let of_powers = |base: u64, power: u32| float(base.pow(power.min(3)));
    tame(match unit {
        Unit::Bits(power) => bytes_per_second * 8.0 / of_powers(1000, power),
        Unit::Bytes(power) => bytes_per_second / of_powers(1024, power),
        Unit::Transactions => transactions.unwrap_or(0.0),
        Unit::Microseconds => 1e6 / transactions.unwrap_or(bytes_per_second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_go_by_thousands_and_bytes_by_1024() {
        assert_eq!(rate(Unit::Bits(0), 1.0, None), 8.0);
        assert_eq!(rate(Unit::Bits(3), 125e6, None), 1.0);
        assert_eq!(rate(Unit::Bytes(3), 1_073_741_824.0, None), 1.0);
        assert_eq!(rate(Unit::Microseconds, 5.0, Some(40_000.0)), 25.0);
    }

    #[test]
    fn transactions_need_a_test_that_makes_some() {
        assert_eq!(resolve(Some(Unit::Transactions), false), Unit::Bits(2));
        assert_eq!(resolve(None, true), Unit::Transactions);
        assert_eq!(resolve(Some(Unit::Bits(2)), true), Unit::Bits(2));
    }

    #[test]
    fn nothing_that_is_no_number_is_shown() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
            assert_eq!(format!("{:.2}", tame(value)), "0.00");
        }
        assert_eq!(rate(Unit::Microseconds, 0.0, None), 0.0);
    }
}
