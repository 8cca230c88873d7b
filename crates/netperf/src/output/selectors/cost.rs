//! CPU time on both ends: shares of the whole machine, and what a unit of the result costs.

use super::Selector;
use crate::figures::CpuPercent;
use crate::output::view::{TestEnd, View, real, whole};

/// An end's shares of CPU time.
macro_rules! shares {
    ($side:expr, $prefix:literal, $end:literal) => {
        &[
            Selector::end($side, concat!($prefix, "_CPU_UTIL"), [$end, "CPU", "Util", "%"], util),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PERCENT_USER"),
                [$end, "CPU", "User", "%"],
                |view, side| share(view, side, |cpu| cpu.user_percent),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PERCENT_SYSTEM"),
                [$end, "CPU", "System", "%"],
                |view, side| share(view, side, |cpu| cpu.system_percent),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PERCENT_IOWAIT"),
                [$end, "CPU", "I/O", "%"],
                |view, side| share(view, side, |cpu| cpu.iowait_percent),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PERCENT_IRQ"),
                [$end, "CPU", "IRQ", "%"],
                |view, side| share(view, side, |cpu| cpu.irq_percent),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PERCENT_SWINTR"),
                [$end, "CPU", "swintr", "%"],
                |view, side| share(view, side, |cpu| cpu.softirq_percent),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_METHOD"),
                [$end, "CPU", "Util", "Method"],
                |view, side| view.method(side).to_string(),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_SD"),
                [$end, "Service", "Demand", ""],
                |view, side| format!("{:.3}", real(view.demand_us(side))),
            ),
        ]
    };
}

/// An end's CPUs.
macro_rules! cpus {
    ($side:expr, $prefix:literal, $end:literal) => {
        &[
            Selector::end($side, concat!($prefix, "_CPU_BIND"), [$end, "CPU", "Bind", ""], bind),
            Selector::end($side, concat!($prefix, "_CPU_COUNT"), [$end, "CPU", "Count", ""], count),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PEAK_UTIL"),
                [$end, "Peak", "Per CPU", "Util %"],
                |view, side| format!("{:.2}", real(peak(view, side).map(|(_, share)| share))),
            ),
            Selector::end(
                $side,
                concat!($prefix, "_CPU_PEAK_ID"),
                [$end, "Peak", "Per CPU", "ID"],
                |view, side| whole(peak(view, side).map(|(number, _)| number)).to_string(),
            ),
            Selector::fixed(
                concat!($prefix, "_CPU_MODEL"),
                [$end, "CPU", "Model", ""],
                "Deprecated",
            ),
            Selector::fixed(
                concat!($prefix, "_CPU_FREQUENCY"),
                [$end, "CPU", "Frequency", "MHz"],
                "0",
            ),
        ]
    };
}

pub(super) static LOCAL: &[Selector] = shares!(TestEnd::Local, "LOCAL", "Local");
pub(super) static REMOTE: &[Selector] = shares!(TestEnd::Remote, "REMOTE", "Remote");
pub(super) static LOCAL_CPUS: &[Selector] = cpus!(TestEnd::Local, "LOCAL", "Local");
pub(super) static REMOTE_CPUS: &[Selector] = cpus!(TestEnd::Remote, "REMOTE", "Remote");

fn util(view: &View<'_>, side: TestEnd) -> String {
    share(view, side, |cpu| cpu.util_percent)
}

fn share(view: &View<'_>, side: TestEnd, of: fn(&CpuPercent) -> f64) -> String {
    format!("{:.2}", real(view.end(side).cpu.as_ref().map(of)))
}

fn bind(view: &View<'_>, side: TestEnd) -> String {
    whole(*side.of(&view.options.cpus)).to_string()
}

fn count(view: &View<'_>, side: TestEnd) -> String {
    view.end(side).cpu.map_or(0, |cpu| cpu.cpus).to_string()
}

fn peak(view: &View<'_>, side: TestEnd) -> Option<(u32, f64)> {
    view.end(side).cpu?.peak
}
