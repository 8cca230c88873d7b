//! A policy in words, for whoever wants to know what it allows before a server does.

use std::fmt;

use humantime::format_duration;

use super::rule::{CpuChoice, GroupLimits, LimitSet, Policy, PolicyRule, RunLimits};
use podperf_model::plan::cpu_list;

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Some(state) => writeln!(f, "counts are kept in {}", state.display())?,
            None => writeln!(f, "counts are not kept: each start of a server begins with none")?,
        }
        writeln!(f, "everybody together:")?;
        write_limits(f, &self.all)?;
        for rule in &self.rules {
            write!(f, "{rule}")?;
        }
        writeln!(f, "whoever no rule takes is refused")
    }
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        writeln!(f, "rule '{}': clients at {}", self.name, ranges.join(", "))?;
        if self.tokens.is_empty() {
            writeln!(f, "  need no token")?;
        }
        for (number, token) in (1..).zip(&self.tokens) {
            let from = token.not_before.map(|from| format!(" from {from}")).unwrap_or_default();
            let until = token.not_after.map(|until| format!(" until {until}")).unwrap_or_default();
            let always = if from.is_empty() && until.is_empty() { " at any time" } else { "" };
            let name = token.name.as_ref().map(|name| format!(" '{name}'")).unwrap_or_default();
            writeln!(f, "  may know token {number}{name}, which holds{from}{until}{always}")?;
        }
        write_limits(f, &self.limits)?;
        match self.queue {
            Some(queue) => writeln!(
                f,
                "  queue: {} runs may wait, each for {} at most",
                queue.length,
                format_duration(queue.wait)
            ),
            None => writeln!(f, "  queue: none, so what finds no place is refused"),
        }
    }
}

fn write_limits(f: &mut fmt::Formatter<'_>, limits: &LimitSet) -> fmt::Result {
    let LimitSet { together, each_address, each_prefix, run } = limits;
    for (group, limits) in [
        ("together", together),
        ("each address (IPv6: each /64)", each_address),
        ("each /24 (IPv6: each /48)", each_prefix),
    ] {
        let words = group_words(limits);
        if !words.is_empty() {
            writeln!(f, "  {group}: {words}")?;
        }
    }
    let words = run_words(run);
    if words.is_empty() { Ok(()) } else { writeln!(f, "  each run: {words}") }
}

fn group_words(limits: &GroupLimits) -> String {
    let GroupLimits { sessions, streams, rate, bytes_per_day, runs_per_hour } = limits;
    let mut words = Vec::new();
    words.extend(sessions.map(|count| format!("{count} sessions at once")));
    words.extend(streams.map(|count| format!("{count} streams at once")));
    let share = limits.share().unwrap_or_default();
    words.extend(rate.map(|rate| format!("{rate} each way, {share} for each session")));
    words.extend(bytes_per_day.map(|bytes| format!("{bytes} a day, both ways")));
    words.extend(runs_per_hour.map(|count| format!("{count} runs an hour")));
    words.join("; ")
}

fn run_words(limits: &RunLimits) -> String {
    let RunLimits { streams, time, rate, udp, udp_rate, cpus, spin } = limits;
    let mut words = Vec::new();
    words.extend(streams.map(|count| format!("{count} streams")));
    words.extend(time.map(|time| format!("{} long", format_duration(time))));
    words.extend(rate.map(|rate| format!("{rate} each way")));
    words.extend(udp.map(|udp| if udp { "UDP allowed" } else { "no UDP" }.to_owned()));
    words.extend(udp_rate.map(|rate| format!("UDP at {rate} each way")));
    words.extend(cpus.as_ref().map(|cpus| match cpus {
        CpuChoice::None => "no choice of CPUs".to_owned(),
        CpuChoice::Any => "any choice of CPUs".to_owned(),
        CpuChoice::Of(list) => format!("a choice among the CPUs {}", cpu_list(list)),
    }));
    words.extend(spin.map(|spin| if spin { "spinning allowed" } else { "no spinning" }.to_owned()));
    words.join("; ")
}
