//! All of netperf's text: banner, interim results, tables, selected figures, or one JSON document.
//!
//! Enters: [`Options`], [`Figures`] and the few [`Facts`] that only the caller knows. Leaves: text
//! with its line ends, for the caller to print. No I/O. What netperf shows for a figure that it
//! does not have (-1, mostly) is made up here and nowhere else.

mod banner;
mod classic;
mod extras;
mod interim;
mod json;
mod omni;
mod selectors;
mod tcp_info;
mod units;
mod view;

#[cfg(test)]
mod tests;

use super::figures::Figures;
use super::options::{Options, Selection};
use super::test_kind::NetperfTest;
use view::View;

pub use banner::{Names, banner};
pub use interim::interim;
pub use json::{SCHEMA, failure, json, refusal};
pub use omni::listing;
pub use selectors::is_name;
pub use tcp_info::tcp_info;

/// What neither options nor figures tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The test's UUID, given (`-u`) or made.
    pub uuid: String,
    /// Who the test runs between.
    pub names: Names,
}

/// Everything that follows the banner and the interim results.
#[must_use]
pub fn result(options: &Options, figures: &Figures, facts: &Facts) -> String {
    if options.json {
        return format!("{:#}\n", json(options, figures, facts));
    }
    let view = View { options, figures, facts };
    let full = options.verbosity > 1;
    let selected = options.data.selection.is_some() || options.test == NetperfTest::Omni;
    let mut text = if selected { omni::selection(&view) } else { classic::table(&view) };
    if full && !selected {
        text.push_str(&extras::extras(&view));
    }
    if full {
        text.push_str(&extras::histogram(&view));
    }
    if !selected {
        text.push_str(&extras::percentiles(&view));
    }
    text
}

/// What was reached in words, for a test that is not whole: no table, so that nobody takes it for a
/// whole one's.
#[must_use]
pub fn rate(options: &Options, figures: &Figures) -> String {
    let unit = units::of_result(options);
    let (bytes, transactions) = (figures.bytes_per_second, figures.transactions_per_second);
    format!("{:.2} {}/s", units::rate(unit, bytes, transactions), units::word(unit))
}

/// Something will be shown that needs the time of each transaction or call.
#[must_use]
pub fn wants_latency(options: &Options) -> bool {
    let selected = |selection: &Selection| {
        let names = selection.blocks.iter().flatten().flatten();
        names.into_iter().any(|name| selectors::needs_latency(name))
    };
    options.statistics
        || options.json
        || options.verbosity > 1
        || !options.percentiles.is_empty()
        || options.data.selection.as_ref().is_some_and(selected)
}
