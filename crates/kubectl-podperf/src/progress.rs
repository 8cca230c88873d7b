//! What the launcher says while it works: a line that renews itself on a terminal, plain lines
//! elsewhere. Results never go this way.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Without a terminal, a step under way is told no more often than this.
const SPACING: Duration = Duration::from_secs(15);

/// Says how things stand.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    quiet: bool,
    bar: Option<ProgressBar>,
    begun: Instant,
    told: RefCell<Instant>,
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
        Self { quiet, bar, begun: now, told: RefCell::new(now) }
    }

    /// Something that stands: it stays on the screen.
    pub(crate) fn note(&self, text: &str) {
        let text = text.replace(char::is_control, " ");
        if let Some(bar) = &self.bar {
            bar.println(text);
        } else if !self.quiet {
            // Nobody has to listen.
            let _ = writeln!(io::stderr(), "{text}");
        }
        *self.told.borrow_mut() = Instant::now();
    }

    /// What is being waited for right now.
    pub(crate) fn wait(&self, text: &str) {
        let elapsed = self.begun.elapsed().as_secs();
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{elapsed} s  {}", text.replace(char::is_control, " ")));
        } else if !self.quiet && self.told.borrow().elapsed() >= SPACING {
            self.note(&format!("{elapsed} s  {text}"));
        }
    }

    /// Makes room for a result.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
