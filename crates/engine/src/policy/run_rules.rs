//! What a run is held to that no other run has a part in: its streams, length, datagrams, CPUs and
//! way of waiting.

use std::time::Duration;

use humantime::format_duration;

use super::refusal::{PolicyLimit, Refusal};
use super::rule::{CpuChoice, RunLimits};
use podperf_model::plan::cpu_list;
use podperf_model::units::BitRate;

/// A plan, as far as a policy looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedRun {
    /// Connections or flows at one time.
    pub streams: u32,
    /// Warm-up and window; absent: it ends by a count.
    pub time: Option<Duration>,
    /// It is one of datagrams.
    pub is_udp: bool,
    /// The rate of the datagrams that the client means to send, all flows together; absent: it
    /// sends none by a rate.
    pub datagram_rate: Option<BitRate>,
    /// CPUs of the server that it names; empty: none.
    pub cpus: Vec<u32>,
    /// The server's workers are to wait without sleeping.
    pub spins: bool,
}

/// Holds a run of rule `name` to its limits.
///
/// # Errors
/// Naming the first that it is beyond.
pub(super) fn check_run(limits: &RunLimits, name: &str, run: &RequestedRun) -> Result<(), Refusal> {
    let refuse = |limit, cause: String, remedy| Err(Refusal::new(limit, cause, remedy));
    if let Some(most) = limits.streams.filter(|most| run.streams > *most) {
        let cause =
            format!("streams of a run of rule '{name}': {} asked for, {most} allowed", run.streams);
        return refuse(PolicyLimit::RunStreams, cause, "ask for fewer streams");
    }
    let too_long = |most: &Duration| run.time.is_some_and(|time| time > *most);
    if let Some(most) = limits.time.filter(too_long) {
        let asked = format_duration(run.time.unwrap_or_default());
        let most = format_duration(most);
        let cause = format!("time of a run of rule '{name}': {asked} asked for, {most} allowed");
        return refuse(PolicyLimit::RunTime, cause, "ask for a shorter run");
    }
    if run.is_udp && limits.udp == Some(false) {
        let cause = format!("datagrams: rule '{name}' allows no runs of UDP");
        return refuse(PolicyLimit::Udp, cause, "measure by TCP");
    }
    let asked = run.datagram_rate.filter(|_| run.is_udp);
    if let (Some(asked), Some(most)) = (asked, limits.udp_rate)
        && asked > most
    {
        let asked =
            if asked.0 == u64::MAX { "as fast as it can".to_owned() } else { asked.to_string() };
        let cause =
            format!("rate of datagrams of rule '{name}': {asked} asked for, {most} allowed");
        return refuse(PolicyLimit::Rate, cause, "ask for less with --bitrate, of all flows");
    }
    let is_allowed = |cpu: &u32| match &limits.cpus {
        Some(CpuChoice::None) => false,
        Some(CpuChoice::Of(list)) => list.contains(cpu),
        // The server's own options say.
        Some(CpuChoice::Any) | None => true,
    };
    if !run.cpus.iter().all(is_allowed) {
        let allowed = match &limits.cpus {
            Some(CpuChoice::Of(list)) => format!("CPUs {} may be named", cpu_list(list)),
            _ => "none may be named".to_owned(),
        };
        let cause = format!(
            "CPUs of rule '{name}': the server is to run on {}, and {allowed}",
            cpu_list(&run.cpus)
        );
        return refuse(PolicyLimit::Cpus, cause, "leave them to the server");
    }
    if run.spins && limits.spin == Some(false) {
        let cause = format!("spinning: rule '{name}' does not let clients have the server spin");
        return refuse(PolicyLimit::Spin, cause, "let it block");
    }
    Ok(())
}
