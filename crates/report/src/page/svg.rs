//! What the figures share: scales with round ticks, the frame of a plot, lines with their legend.
//!
//! A figure is 340 units wide, so that its text is legible on a phone; wider screens have several
//! side by side. Colours are the style sheet's, by class: it has those of Okabe and Ito, which
//! people with any colour vision tell apart, and lines differ by their dashes too.

use maud::{Markup, html};

/// Width of every figure, in units of its own.
pub(super) const WIDTH: f64 = 340.0;
/// Space for the numbers left of a plot.
const LEFT: f64 = 46.0;
const RIGHT: f64 = 317.0;
const TOP: f64 = 18.0;
const PLOT_HEIGHT: f64 = 190.0;
/// Height of a line of text.
pub(super) const LINE: f64 = 15.0;
/// Lines that look different.
const STYLES: usize = 16;

/// A coordinate, to a tenth of a unit.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A figure for people: three digits that count, no more.
pub(super) fn plain(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Values to places along an axis.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    pub(super) ticks: Vec<f64>,
}

impl Scale {
    /// From zero to a round number at or above `high`.
    pub(super) fn from_zero(high: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
        let rough = high / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|round| round * power);
        let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
        let steps = (high / step - 1e-9).ceil().max(1.0);
        let mut ticks = vec![0.0];
        let mut number = 1.0;
        while number <= steps {
            ticks.push(number * step);
            number += 1.0;
        }
        Self { low: 0.0, high: steps * step, logarithmic: false, ticks }
    }

    /// From zero to `high`, without ticks.
    pub(super) fn up_to(high: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
        Self { low: 0.0, high, logarithmic: false, ticks: Vec::new() }
    }

    /// Logarithmic, from a power of ten at or below `low` to one at or above `high`; a range within
    /// one power has ticks between.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low { high } else { 10.0 * low };
        let decades = |value: f64, up: bool| {
            let power = value.log10();
            10_f64.powf(if up { (power - 1e-9).ceil() } else { (power + 1e-9).floor() })
        };
        let (low, high) = (decades(low, false), decades(high, true));
        let factors: &[f64] = if high / low > 150.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut decade = low;
        while decade <= high * 1.001 {
            ticks.extend(factors.iter().map(|factor| factor * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| *tick <= high * 1.001);
        Self { low, high, logarithmic: true, ticks }
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Lines in one plot.
pub(super) struct LinePlot {
    /// For those who hear it rather than see it.
    pub(super) said: String,
    pub(super) x_title: String,
    pub(super) y_title: String,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// What stands at a tick of x.
    pub(super) x_text: fn(f64) -> String,
    pub(super) lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl LinePlot {
    pub(super) fn draw(&self) -> Markup {
        let bottom = TOP + PLOT_HEIGHT;
        let across = |value: f64| LEFT + (RIGHT - LEFT) * self.x.share(value);
        let up = |value: f64| bottom - PLOT_HEIGHT * self.y.share(value);
        let legend = bottom + 44.0;
        let height = legend + LINE * self.lines.len() as f64;
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {}", at(height))) role="img" aria-label=(self.said) {
                text.axis x="2" y="11" { (self.y_title) }
                @for tick in &self.y.ticks {
                    path.grid d=(format!("M{LEFT} {}H{RIGHT}", at(up(*tick)))) {}
                    text.end x=(LEFT - 4.0) y=(at(up(*tick) + 4.0)) { (plain(*tick)) }
                }
                @for tick in &self.x.ticks {
                    path.grid d=(format!("M{} {TOP}V{}", at(across(*tick)), at(bottom + 4.0))) {}
                    text.middle x=(at(across(*tick))) y=(at(bottom + 16.0)) {
                        ((self.x_text)(*tick))
                    }
                }
                text.middle.axis x=(at(f64::midpoint(LEFT, RIGHT))) y=(at(bottom + 31.0)) {
                    (self.x_title)
                }
                @for (number, (_, points)) in self.lines.iter().enumerate() {
                    @let places = points.iter().map(|(x, y)| (across(*x), up(*y)));
                    (line(number, places))
                }
                @for (number, (name, _)) in self.lines.iter().enumerate() {
                    @let y = legend + LINE * number as f64;
                    (line(number, [(4.0, y), (34.0, y)].into_iter()))
                    text x="40" y=(at(y + 4.0)) { (name) }
                }
            }
        }
    }
}

fn line(number: usize, points: impl Iterator<Item = (f64, f64)>) -> Markup {
    let points: Vec<String> = points.map(|(x, y)| format!("{},{}", at(x), at(y))).collect();
    if let [point] = &points[..] {
        let (x, y) = point.split_once(',').unwrap_or(("0", "0"));
        return html! { circle class=(style(number)) cx=(x) cy=(y) r="3" {} };
    }
    html! { polyline class=(style(number)) points=(points.join(" ")) {} }
}

fn style(number: usize) -> String {
    format!("line l{}", number % STYLES)
}

/// Squares with their names, side by side.
pub(super) fn squares(names: &[(&str, &str)], y: f64) -> Markup {
    html! {
        @for (place, (class, name)) in names.iter().enumerate() {
            @let x = 2.0 + 86.0 * place as f64;
            rect class=(class) x=(at(x)) y=(at(y - 9.0)) width="10" height="10" {}
            text x=(at(x + 14.0)) y=(at(y)) { (name) }
        }
    }
}
