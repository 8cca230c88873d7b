//! What was measured, and where: one paragraph a subject. What is not known says why.

use super::{Paragraph, names, short};
use crate::text::layout::number;
use crate::text::row;
use podperf_model::facts::{DeviceFacts, HostFacts};
use podperf_model::plan::Role;
use podperf_model::result::cluster::{BASELINE, ClusterFacts, ClusterPlan, ClusterRun, NodeFacts};
use podperf_model::result::run::Status;
use podperf_model::result::wording::count;
use podperf_model::units::{float, rate_text};

const ENDS: [(&str, Role); 2] = [("client", Role::Client), ("server", Role::Server)];

pub(crate) fn head(run: &ClusterRun) -> Vec<Paragraph> {
    let facts = &run.cluster;
    let mut rows = vec![row("run", state(run)), row("plan", plan(&run.plan))];
    rows.push(row("nodes", ENDS.map(|(end, role)| node(end, facts.nodes.get(role))).join("; ")));
    rows.extend(ENDS.map(|(end, role)| row(end, machine(run, role))));
    rows.push(row("cluster", cluster(facts)));
    rows.push(row("network", mtu(facts)));
    rows.push(row("devices", devices(run)));
    rows
}

fn state(run: &ClusterRun) -> String {
    let measured = run.summary.rows.iter().any(|row| row.samples > 0);
    let state = match run.status {
        Status::Complete => "complete",
        Status::Incomplete if measured => "INCOMPLETE: a part was measured",
        Status::Incomplete => "INCOMPLETE: nothing was measured",
    };
    let (name, version) = (short(&run.run_id), short(&run.podperf_version));
    let (start, end) = (short(&run.started_at), short(&run.ended_at));
    format!("{name}, podperf {version}, {state}; from {start} to {end}")
}

fn plan(plan: &ClusterPlan) -> String {
    let flows: Vec<String> = plan.flows.iter().map(u32::to_string).collect();
    let mut parts = vec![
        format!("paths {}", names(&plan.paths)),
        format!("tests {}", names(&plan.tests)),
        format!("flows {}", flows.join(", ")),
        format!(
            "{} of {} s after {} s of warm-up, order drawn with seed {}",
            count(plan.samples, "sample"),
            plan.window_seconds,
            plan.warm_up_seconds,
            plan.seed
        ),
    ];
    let others = [
        (plan.pairs, 1, "pairs at once"),
        (plan.policies, 0, "policies on the server of path policies"),
        (plan.idle_policies, 0, "policies that select no pod"),
        (plan.background_services, 0, "services in the background"),
    ];
    let others = others.into_iter().filter(|(number, usual, _)| number > usual);
    parts.extend(others.map(|(number, _, what)| format!("{number} {what}")));
    parts.push(format!("tolerance {} %", number(100.0 * plan.tolerance_share, 1)));
    parts.join("; ")
}

fn node(end: &str, facts: &NodeFacts) -> String {
    let name = if facts.name.is_empty() { "unknown".to_owned() } else { short(&facts.name) };
    let mut about = vec![facts.zone.as_deref().map_or_else(
        || "zone unknown (no label)".to_owned(),
        |zone| format!("zone {}", short(zone)),
    )];
    about.extend(facts.addresses.first().map(|address| short(address)));
    format!("{end} on {name} ({})", about.join(", "))
}

/// The first run's word on an end, on the baseline's path or on another.
fn told(run: &ClusterRun, role: Role, baseline: bool) -> Option<(&str, &HostFacts)> {
    let samples = run.samples.iter().filter(|sample| (sample.path == BASELINE) == baseline);
    let mut facts = samples.flat_map(|sample| {
        let hosts = sample.runs.iter().filter_map(move |run| run.host.get(role).as_ref());
        hosts.map(|host| (sample.path.as_str(), host))
    });
    facts.next()
}

fn machine(run: &ClusterRun, role: Role) -> String {
    let node = run.cluster.nodes.get(role);
    let host = told(run, role, true).or_else(|| told(run, role, false)).map(|(_, host)| host);
    let known = |what: &str, field: &str, fact: Option<String>| {
        fact.map_or_else(
            || {
                let why =
                    host.map(|host| host.unknown.get(field).map_or("not told", String::as_str));
                format!("{what} unknown ({})", clipped(why.unwrap_or("no run told of it")))
            },
            |fact| format!("{what} {}", short(&fact)),
        )
    };
    let kernel = node.kernel.clone().or_else(|| host?.kernel.clone());
    let cpus = host.and_then(|host| host.cpus_online).map(|cpus| cpus.to_string());
    let mut parts = vec![
        known("Linux", "kernel", kernel),
        known("CPU", "cpu_model", host.and_then(|host| host.cpu_model.clone())),
        known("CPUs online", "cpus_online", cpus.or_else(|| node.cpus.clone())),
        known("governor", "governor", host.and_then(|host| host.governor.clone())),
    ];
    parts.extend(
        [&node.os_image, &node.container_runtime].into_iter().flatten().map(|it| short(it)),
    );
    parts.join("; ")
}

/// A reason that does not fill the page.
fn clipped(reason: &str) -> String {
    const MAX_CHARS: usize = 120;
    reason.chars().take(MAX_CHARS).collect()
}

/// A fact of the cluster, or why it is not known.
fn fact(facts: &ClusterFacts, field: &str, value: Option<&str>) -> String {
    value.map_or_else(
        || {
            let why = facts.unknown.get(field).map_or("not looked for", String::as_str);
            format!("unknown ({})", clipped(why))
        },
        short,
    )
}

fn cluster(facts: &ClusterFacts) -> String {
    let of = |field: &str, value: &Option<String>| fact(facts, field, value.as_deref());
    let version = facts
        .cni_version
        .as_ref()
        .map_or_else(String::new, |version| format!(" {}", short(version)));
    format!(
        "Kubernetes {}; network plugin {}{version}, encapsulation {}; kube-proxy {}",
        of("kubernetes_version", &facts.kubernetes_version),
        of("cni", &facts.cni),
        of("encapsulation", &facts.encapsulation),
        of("kube_proxy_mode", &facts.kube_proxy_mode)
    )
}

fn mtu(facts: &ClusterFacts) -> String {
    let of = |field: &str, value: Option<u32>| {
        fact(facts, field, value.map(|bytes| format!("{bytes} B")).as_deref())
    };
    format!(
        "MTU of nodes {}, of pods {}",
        of("node_mtu_bytes", facts.node_mtu_bytes),
        of("pod_mtu_bytes", facts.pod_mtu_bytes)
    )
}

/// The devices of the nodes' own network, and those inside the pods.
fn devices(run: &ClusterRun) -> String {
    let mut parts = Vec::new();
    for (end, role) in ENDS {
        parts.push(match told(run, role, true) {
            Some((_, host)) => format!("{end}'s node: {}", device(host)),
            None => format!("{end}'s node: unknown (needs a run on the path {BASELINE})"),
        });
    }
    for (end, role) in ENDS {
        parts.extend(
            told(run, role, false)
                .map(|(path, host)| format!("{end} on path {}: {}", short(path), device(host))),
        );
    }
    parts.join("; ")
}

fn device(host: &HostFacts) -> String {
    let Some(device) = &host.device else {
        let why = host.unknown.get("device").map_or("not told", String::as_str);
        return format!("unknown ({})", clipped(why));
    };
    let DeviceFacts { name, driver, mtu_bytes, speed_bits_per_second, offloads, .. } = device;
    let mut text = short(name);
    text.extend(driver.iter().map(|driver| format!(" ({})", short(driver))));
    text.push_str(&speed_bits_per_second.map_or_else(
        || ", speed unknown".to_owned(),
        |speed| format!(", {}", rate_text(float(speed))),
    ));
    text.extend(mtu_bytes.map(|mtu| format!(", MTU {mtu} B")));
    for (state, on) in [("on", true), ("off", false)] {
        let those = offloads.iter().filter(|(_, is_on)| **is_on == on);
        let those: Vec<String> = those.map(|(name, _)| short(name)).collect();
        if !those.is_empty() {
            text.push_str(&format!(", {} {state}", those.join(" ")));
        }
    }
    text
}
