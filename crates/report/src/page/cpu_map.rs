//! Where the kernel's work ran: softirq and system time by CPU and time, of both ends.
//!
//! Documents tell it of the busiest CPUs by interval; older ones by CPU for a whole window alone:
//! of those a map has a column a window.

use maud::{Markup, html};

use super::over_time::{Moment, thinned};
use super::svg::{LINE, Scale, WIDTH, at, plain};
use super::{PageFigure, label};
use crate::cluster::{ClusterTable, short};
use crate::overview::Subject;
use crate::text::layout::{maybe, number};
use podperf_model::plan::Role;
use podperf_model::result::cluster::Row;
use podperf_model::result::run::{Cpu, Interval, IntervalCpu, Run};
use podperf_model::result::wording::end_name;

/// CPUs of a map: those with most of such work.
const MAX_CPUS: usize = 16;
const MAX_COLUMNS: usize = 24;
/// Rows that have maps: of each path and test the one with most flows, as far as this goes.
const MAX_ROWS: usize = 6;
const CELLS_LEFT: f64 = 58.0;
const CELL_HEIGHT: f64 = 12.0;

pub(super) fn figures(subject: &Subject) -> Vec<PageFigure> {
    let mut rows: Vec<&Row> = Vec::new();
    for row in subject.rows.iter().filter(|row| row.samples > 0) {
        match rows.iter_mut().find(|own| (&own.path, &own.test) == (&row.path, &row.test)) {
            Some(known) => *known = if row.flows > known.flows { row } else { known },
            None => rows.push(row),
        }
    }
    let left = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    let mut figures = Vec::new();
    for row in rows {
        for role in [Role::Client, Role::Server] {
            figures.extend(figure(subject, row, role, left));
        }
    }
    figures
}

/// A line of a map: a CPU, or all of them.
struct MapLine {
    name: String,
    /// Shares of its time, 0 to 1.
    moments: Vec<Moment>,
}

fn figure(subject: &Subject, row: &Row, role: Role, left: usize) -> Option<PageFigure> {
    let runs: Vec<&Run> = subject.whole(row).filter_map(|sample| sample.runs.first()).collect();
    let mut lines = by_cpu(&runs, role);
    let cpus = lines.len();
    if cpus == 0 {
        return None;
    }
    let busiest = |line: &MapLine| line.moments.iter().filter_map(|own| own.2).fold(0.0, f64::max);
    lines.sort_by(|a, b| busiest(b).total_cmp(&busiest(a)));
    lines.truncate(MAX_CPUS);
    lines.insert(0, whole(&runs, role));
    lines.iter_mut().for_each(|line| line.moments = thinned(&line.moments, MAX_COLUMNS));
    let (end, test) = (end_name(role), short(&row.test));
    let title = format!("{test}, {}: kernel time of the {end}'s CPUs", label(&row.path, row.flows));
    let mut caption =
        "Share of softirq and system time, by the scale below. The first line is the \
                       mean of all CPUs, the others are CPUs, the busiest first."
            .to_owned();
    if cpus > MAX_CPUS {
        caption.push_str(&format!(" {} CPUs with less are left out.", cpus - MAX_CPUS));
    }
    if left > 0 {
        caption.push_str(&format!(" {left} other rows have no map here."));
    }
    let table = table(&title, &lines);
    Some(PageFigure { caption, svg: drawn(&lines), table, title })
}

fn kernel(cpu: &Cpu) -> impl Iterator<Item = (u32, f64)> {
    cpu.per_cpu.iter().map(|line| (line.cpu, line.modes.softirq + line.modes.system))
}

/// Windows one after the other: start, length, run.
fn windows<'a>(runs: &[&'a Run]) -> Vec<(f64, f64, &'a Run)> {
    let mut before = 0.0;
    let place = |run: &&'a Run| {
        let seconds = run.window.as_ref().map(|window| window.seconds);
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0)?;
        before += seconds;
        Some((before - seconds, seconds, *run))
    };
    runs.iter().filter_map(place).collect()
}

fn by_cpu(runs: &[&Run], role: Role) -> Vec<MapLine> {
    let windows = windows(runs);
    let mut cpus: Vec<u32> = Vec::new();
    for (_, _, run) in &windows {
        cpus.extend(run.cpu.get(role).iter().flat_map(kernel).map(|(id, _)| id));
    }
    cpus.sort_unstable();
    cpus.dedup();
    let line = |id: u32| {
        let moments = windows.iter().flat_map(|window| cpu_moments(window, role, id)).collect();
        MapLine { name: format!("CPU {id}"), moments }
    };
    cpus.into_iter().map(line).collect()
}

/// A CPU in a window: by interval, where the document has it so; as one otherwise.
fn cpu_moments((start, length, run): &(f64, f64, &Run), role: Role, id: u32) -> Vec<Moment> {
    let told = run.intervals.iter().filter_map(|own| Some((own, own.cpu.get(role).as_ref()?)));
    let told: Vec<_> = told.collect();
    if told.iter().all(|(_, cpu)| cpu.kernel_share_by_cpu.is_empty()) {
        let cpu = run.cpu.get(role).as_ref();
        let share = cpu.and_then(|cpu| kernel(cpu).find(|own| own.0 == id).map(|own| own.1));
        return vec![(*start, *length, share)];
    }
    let moment = |(own, cpu): (&Interval, &IntervalCpu)| {
        // What is not told of is less than a hundredth, or less than sixteen others have.
        let share = cpu.kernel_share_by_cpu.get(&id).copied().unwrap_or(0.0);
        (start + own.start_seconds, own.end_seconds - own.start_seconds, Some(share))
    };
    told.into_iter().map(moment).collect()
}

/// All CPUs together, by interval.
fn whole(runs: &[&Run], role: Role) -> MapLine {
    let mut moments = Vec::new();
    for (start, _, run) in windows(runs) {
        let cpus = run.cpu.get(role).as_ref().map_or(1.0, |cpu| f64::from(cpu.cpus.max(1)));
        for own in &run.intervals {
            let share = own.cpu.get(role).as_ref().map(|cpu| (cpu.softirq + cpu.system) / cpus);
            let length = own.end_seconds - own.start_seconds;
            moments.push((start + own.start_seconds, length, share));
        }
    }
    MapLine { name: "all".to_owned(), moments }
}

fn drawn(lines: &[MapLine]) -> Markup {
    let ends = lines.iter().flat_map(|line| &line.moments).map(|own| own.0 + own.1);
    let last = ends.fold(0.0, f64::max);
    let scale = Scale::up_to(last);
    let across = |second: f64| CELLS_LEFT + (WIDTH - CELLS_LEFT - 4.0) * scale.share(second);
    let bottom = LINE + CELL_HEIGHT * lines.len() as f64;
    // One path a level, for the page to stay small.
    let mut levels = vec![String::new(); 6];
    for (number, line) in lines.iter().enumerate() {
        let y = LINE + CELL_HEIGHT * number as f64;
        for (start, length, share) in &line.moments {
            let Some(share) = share else { continue };
            let (x, right) = (across(*start), across(start + length));
            let cell =
                format!("M{} {}H{}v{}H{}z", at(x), at(y), at(right), CELL_HEIGHT - 1.0, at(x));
            levels[level(*share)].push_str(&cell);
        }
    }
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", at(bottom + 46.0))) role="img"
            aria-label="Map of softirq and system time by CPU and time" {
            @for (number, path) in levels.iter().enumerate() {
                path class=(format!("h{number}")) d=(path) {}
            }
            @for (number, line) in lines.iter().enumerate() {
                text.end x=(CELLS_LEFT - 4.0) y=(at(LINE + CELL_HEIGHT * number as f64 + 10.0)) {
                    (line.name)
                }
            }
            text.start x=(CELLS_LEFT) y=(at(bottom + 12.0)) { "0" }
            text.end x=(WIDTH - 4.0) y=(at(bottom + 12.0)) { (plain(last)) " s measured" }
            @for number in 0..levels.len() {
                @let x = CELLS_LEFT + 44.0 * number as f64;
                rect class=(format!("h{number}")) x=(at(x)) y=(at(bottom + 20.0)) width="40"
                    height="10" {}
                text x=(at(x)) y=(at(bottom + 42.0)) { (LEVEL_NAMES[number]) }
            }
        }
    }
}

const LEVEL_NAMES: [&str; 6] = ["< 5 %", "5–24", "25–44", "45–64", "65–84", "85 % +"];

/// Level of a share, as [`LEVEL_NAMES`] has it.
fn level(share: f64) -> usize {
    let bounds = [0.05, 0.25, 0.45, 0.65, 0.85];
    bounds.iter().filter(|bound| share >= **bound).count()
}

fn table(title: &str, lines: &[MapLine]) -> ClusterTable {
    let longest = lines.iter().max_by_key(|line| line.moments.len());
    let longest = longest.map_or(&[][..], |line| &line.moments);
    let mut header = vec!["% of the time from".to_owned()];
    header.extend(longest.iter().map(|(start, ..)| format!("{} s", number(*start, 1))));
    let cells = |line: &MapLine| {
        let mut cells = vec![line.name.clone()];
        // A line with fewer moments has each over several columns of the one with most.
        let at_time = |start: f64| {
            let own = line.moments.iter().rev().find(|own| own.0 <= start + 1e-9);
            own.and_then(|own| own.2).map(|share| 100.0 * share)
        };
        cells.extend(longest.iter().map(|(start, ..)| maybe(at_time(*start), 0)));
        cells
    };
    ClusterTable { title: title.to_owned(), header, rows: lines.iter().map(cells).collect() }
}
