//! The progress that the launcher shows on standard error: a line that is renewed on a terminal,
//! plain lines elsewhere. Results never go this way.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Least time between two lines about a step under way, where there is no terminal.
const MIN_NOTE_INTERVAL: Duration = Duration::from_secs(15);

/// Writes the progress.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    quiet: bool,
    bar: Option<ProgressBar>,
    started: Instant,
    last_note: RefCell<Instant>,
}

impl ProgressLine {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Self { quiet, bar, started: now, last_note: RefCell::new(now) }
    }

    /// Writes a line that stays on the screen.
    pub(crate) fn note(&self, text: &str) {
        let text = text.replace(char::is_control, " ");
        if let Some(bar) = &self.bar {
            bar.println(text);
        } else if !self.quiet {
            // Nobody has to listen.
            let _ = writeln!(io::stderr(), "{text}");
        }
        *self.last_note.borrow_mut() = Instant::now();
    }

    /// Shows what is waited for right now.
    pub(crate) fn wait(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs();
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{elapsed} s  {}", text.replace(char::is_control, " ")));
        } else if !self.quiet && self.last_note.borrow().elapsed() >= MIN_NOTE_INTERVAL {
            self.note(&format!("{elapsed} s  {text}"));
        }
    }

    /// Clears the line, to make room for a result.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
