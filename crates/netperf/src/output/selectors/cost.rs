//! CPU time on both ends: shares of the whole machine, and what a unit of the result costs.

use super::{Selector, Source, gone, number, zero};
use crate::figures::CpuPercent;
use crate::output::view::{TestEnd, View, real};

both_ends! { LOCAL_SHARES "LOCAL_", REMOTE_SHARES "REMOTE_";
    "CPU_UTIL" ["CPU", "Util", "%"] |view, side| share(view, side, |cpu| cpu.util_percent);
    "CPU_PERCENT_USER" ["CPU", "User", "%"] |view, side| share(view, side, |cpu| cpu.user_percent);
    "CPU_PERCENT_SYSTEM" ["CPU", "System", "%"]
        |view, side| share(view, side, |cpu| cpu.system_percent);
    "CPU_PERCENT_IOWAIT" ["CPU", "I/O", "%"]
        |view, side| share(view, side, |cpu| cpu.iowait_percent);
    "CPU_PERCENT_IRQ" ["CPU", "IRQ", "%"] |view, side| share(view, side, |cpu| cpu.irq_percent);
    "CPU_PERCENT_SWINTR" ["CPU", "swintr", "%"]
        |view, side| share(view, side, |cpu| cpu.softirq_percent);
    "CPU_METHOD" ["CPU", "Util", "Method"] |view, side| view.method(side).to_string();
}

both_ends! { LOCAL_DEMAND "LOCAL_", REMOTE_DEMAND "REMOTE_";
    "SD" ["Service", "Demand"] |view, side| format!("{:.3}", real(view.demand_us(side)));
}

rows! { DEMAND_UNITS;
    Test "SD_UNITS" ["Service", "Demand", "Units"] |view| {
        let per = if view.demand_is_per_transaction() { "usec/Tran" } else { "usec/KB" };
        per.to_owned()
    };
}

both_ends! { LOCAL_CPUS "LOCAL_", REMOTE_CPUS "REMOTE_";
    "CPU_BIND" ["CPU", "Bind"] |view, side| number(*side.of(&view.options.cpus));
    "CPU_COUNT" ["CPU", "Count"]
        |view, side| view.end(side).cpu.map_or(0, |cpu| cpu.cpus).to_string();
    "CPU_PEAK_UTIL" ["Peak", "Per CPU", "Util %"]
        |view, side| format!("{:.2}", real(peak(view, side).map(|(_, share)| share)));
    "CPU_PEAK_ID" ["Peak", "Per CPU", "ID"]
        |view, side| number(peak(view, side).map(|(cpu, _)| cpu));
    "CPU_MODEL" ["CPU", "Model"] gone;
    "CPU_FREQUENCY" ["CPU", "Frequency", "MHz"] zero;
}

fn share(view: &View<'_>, side: TestEnd, of: fn(&CpuPercent) -> f64) -> String {
    format!("{:.2}", real(view.end(side).cpu.as_ref().map(of)))
}

fn peak(view: &View<'_>, side: TestEnd) -> Option<(u32, f64)> {
    view.end(side).cpu?.peak
}
