//! The curve as it grows, on stderr: drawn anew after each sample on a terminal, else one line a
//! sample.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::figures::{StreamSamples, known, means};
use super::search::Search;
use podperf_model::result::wording::count;
use podperf_model::units::rate_text;

/// Length of the longest bar.
const MAX_BAR_CHARS: f64 = 40.0;

/// Shows a search under way.
#[derive(Debug)]
pub struct LiveCurve {
    bar: Option<ProgressBar>,
}

impl LiveCurve {
    /// `terminal`: stderr is one.
    ///
    /// # Panics
    /// Never: the template is a constant.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.with_style(ProgressStyle::with_template("{msg}").expect("the template is valid"))
        });
        Self { bar }
    }

    /// Shows what is known after a sample of `streams` with this goodput, in bits per second. A
    /// search goes on when standard error takes no more.
    pub fn sample(&mut self, search: &Search, streams: u32, goodput: Option<f64>) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(picture(search.samples(), search.planned()));
                bar.tick();
            }
            None => drop(writeln!(std::io::stderr(), "{}", line(streams, goodput))),
        }
    }

    /// Clears the picture.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn line(streams: u32, goodput: Option<f64>) -> String {
    let goodput = goodput.map_or_else(|| "nothing measured".to_owned(), rate_text);
    format!("{:>12}  {goodput}", count(streams, "stream"))
}

/// A bar for each number of streams, as long as its share of the most.
fn picture(all: &[StreamSamples], planned: usize) -> String {
    let means = means(all);
    let most = means.iter().map(|(_, mean)| *mean).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = String::new();
    for ((streams, mean), own) in means.iter().zip(known(all)) {
        #[expect(clippy::cast_possible_truncation, reason = "at most the longest bar")]
        #[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
        let chars = (MAX_BAR_CHARS * mean / most).round() as usize;
        let (rate, samples) = (rate_text(*mean), own.goodputs.len());
        text.push_str(&format!("{streams:>6} {rate:>14} {samples:>3} {}\n", "█".repeat(chars)));
    }
    text.push_str(&format!("streams, goodput, samples; {planned} more planned"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_most() {
        let own = |streams, goodputs| StreamSamples { streams, goodputs, wanted: 5 };
        let all = [own(1, vec![1e9, 1e9]), own(2, Vec::new()), own(12, vec![2e9])];
        let expected = format!(
            "     1   1.000 Gbit/s   2 {}\n    12   2.000 Gbit/s   1 {}\nstreams, goodput, \
             samples; 3 more planned",
            "█".repeat(20),
            "█".repeat(40)
        );
        assert_eq!(picture(&all, 3), expected);
        assert!(expected.lines().all(|line| line.chars().count() <= 80));
        assert!(picture(&[own(1, Vec::new())], 15).starts_with("streams"));
    }

    #[test]
    fn a_line_names_the_streams_and_what_they_carried() {
        assert_eq!(line(1, Some(1.5e9)), "    1 stream  1.500 Gbit/s");
        assert_eq!(line(16, None), "  16 streams  nothing measured");
    }
}
