//! Which two nodes are measured: pure functions over the cluster's nodes.
//!
//! Enters: the nodes as the API server has them (or nothing, where they may not be listed), and
//! what the user asked for. Leaves: a pair, or the reason why there is none, node by node.

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

use crate::plan::node;
use crate::plan::options::NodeArgs;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::NodeFacts;

const SYSTEM: &str = "kubernetes.io/os";

/// The nodes of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodePlacement {
    pub(crate) client: NodeFacts,
    pub(crate) server: NodeFacts,
    /// Another node than the server's, for a NodePort: a third one where there is one.
    pub(crate) other: NodeFacts,
    pub(crate) tolerations: Vec<Toleration>,
}

/// What the placement has to fulfil beside the options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacementNeeds {
    /// Whether some path leads to another node.
    pub(crate) two_nodes: bool,
}

/// Chooses the nodes.
///
/// # Errors
/// When no pair fits, with each node and what speaks against it.
pub(crate) fn choose(
    nodes: &[Node],
    asked: &NodeArgs,
    needs: PlacementNeeds,
) -> Result<NodePlacement> {
    let tolerations = tolerations(&asked.tolerations)?;
    let client_labels = selector("--client-selector", asked.client_selector.as_deref())?;
    let server_labels = selector("--server-selector", asked.server_selector.as_deref())?;
    let named = |option: &str, name: &Option<String>| {
        let Some(name) = name else { return Ok(()) };
        let node = nodes.iter().find(|node| node::facts(node).name == *name);
        let why = match node {
            None => Some(format!("there is no such node; there are {}", names(nodes))),
            Some(node) => unusable(node, &tolerations),
        };
        why.map_or(Ok(()), |why| Err(refused(format!("{option} {name}: {why}"))))
    };
    named("--client-node", &asked.client_node)?;
    named("--server-node", &asked.server_node)?;
    let candidates = |name: &Option<String>, labels: &[(String, String)]| {
        let mut found: Vec<NodeFacts> = nodes
            .iter()
            .filter(|node| unusable(node, &tolerations).is_none() && node::has_labels(node, labels))
            .map(node::facts)
            .filter(|facts| name.as_ref().is_none_or(|name| *name == facts.name))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    };
    let clients = candidates(&asked.client_node, &client_labels);
    let servers = candidates(&asked.server_node, &server_labels);
    let both_named = asked.client_node.is_some() && asked.server_node.is_some();
    let fits = |client: &NodeFacts, server: &NodeFacts| {
        let zones = if asked.across_zones {
            client.zone != server.zone
        } else {
            both_named || client.zone == server.zone
        };
        client.name != server.name
            && zones
            && (both_named || client.architecture == server.architecture)
    };
    let pair = clients
        .iter()
        .flat_map(|client| servers.iter().map(move |server| (client, server)))
        .find(|(client, server)| fits(client, server));
    let pair = match (pair, clients.first()) {
        (None, Some(client)) if !needs.two_nodes => Some((client, client)),
        (pair, _) => pair,
    };
    let Some((client, server)) = pair else {
        return Err(refused(no_pair(nodes, &tolerations, (&clients, &servers), asked)));
    };
    let third =
        nodes.iter().filter(|node| unusable(node, &tolerations).is_none()).map(node::facts).find(
            |node| {
                node.name != client.name && node.name != server.name && !node.addresses.is_empty()
            },
        );
    Ok(NodePlacement {
        client: client.clone(),
        server: server.clone(),
        other: third.unwrap_or_else(|| client.clone()),
        tolerations,
    })
}

/// The pair that was named, where the nodes may not be listed.
///
/// # Errors
/// When one was not named.
pub(crate) fn by_name(asked: &NodeArgs) -> Result<NodePlacement> {
    let facts = |name: &str| NodeFacts { name: name.to_owned(), ..NodeFacts::default() };
    let (Some(client), Some(server)) = (&asked.client_node, &asked.server_node) else {
        let cause = "this account may not list nodes, so it cannot choose";
        return Err(refused(cause.to_owned())
            .with_remedy("name two with --client-node and --server-node, or grant `nodes list`"));
    };
    Ok(NodePlacement {
        client: facts(client),
        server: facts(server),
        other: facts(client),
        tolerations: tolerations(&asked.tolerations)?,
    })
}

fn refused(cause: String) -> Error {
    Error::new(Kind::Unmeasured, "choose two nodes", cause)
}

fn no_pair(
    nodes: &[Node],
    tolerations: &[Toleration],
    (clients, servers): (&[NodeFacts], &[NodeFacts]),
    asked: &NodeArgs,
) -> String {
    let mut reasons: Vec<String> = nodes
        .iter()
        .filter_map(|node| Some((node::facts(node).name, unusable(node, tolerations)?)))
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    let usable = |nodes: &[NodeFacts]| {
        let names: Vec<String> = nodes
            .iter()
            .map(|node| {
                let zone = node.zone.as_deref().unwrap_or("none");
                let architecture = node.architecture.as_deref().unwrap_or("unknown");
                format!("{} (zone {zone}, {architecture})", node.name)
            })
            .collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    reasons.push(format!("usable for clients: {}", usable(clients)));
    reasons.push(format!("usable for servers: {}", usable(servers)));
    let wanted = if asked.across_zones {
        "two different usable nodes in different zones are needed"
    } else {
        "two different usable nodes of one zone and architecture are needed (--across-zones for \
         two zones, or name both)"
    };
    format!("{wanted}; {}", reasons.join("; "))
}

fn names(nodes: &[Node]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| node::facts(node).name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Why nothing can be placed on a node; none: it can.
fn unusable(node: &Node, tolerations: &[Toleration]) -> Option<String> {
    if let Some(why) = node::not_ready(node) {
        return Some(why);
    }
    let spec = node.spec.as_ref();
    if spec.and_then(|spec| spec.unschedulable).unwrap_or(false) {
        return Some("it is cordoned (kubectl uncordon makes it schedulable)".to_owned());
    }
    if node::label(node, SYSTEM).is_some_and(|system| system != "linux") {
        return Some("it does not run Linux".to_owned());
    }
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let taint = taints
        .iter()
        .find(|taint| taint.effect != "PreferNoSchedule" && !tolerated(taint, tolerations))?;
    let value = taint.value.as_ref().map_or_else(String::new, |value| format!("={value}"));
    let taint = format!("{}{value}:{}", taint.key, taint.effect);
    Some(format!("it has the taint {taint} (--toleration '{taint}' bears it)"))
}

fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let key = toleration.key.as_ref().is_none_or(|key| *key == taint.key);
        let value = toleration.operator.as_deref() == Some("Exists")
            || toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("");
        let effect = toleration.effect.as_ref().is_none_or(|effect| *effect == taint.effect);
        key && value && effect
    })
}

/// `KEY`, `KEY=VALUE`, each with `:EFFECT` or without, or `*`.
fn tolerations(typed: &[String]) -> Result<Vec<Toleration>> {
    typed.iter().map(|text| toleration(text)).collect()
}

fn toleration(text: &str) -> Result<Toleration> {
    if text == "*" {
        return Ok(Toleration { operator: Some("Exists".into()), ..Toleration::default() });
    }
    let (taint, effect) = match text.split_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if key.is_empty() || effect.is_some_and(|effect| !effects.contains(&effect)) {
        let allowed = "allowed: KEY[=VALUE][:NoSchedule|PreferNoSchedule|NoExecute], or *";
        return Err(Error::usage("--toleration", text, allowed));
    }
    Ok(Toleration {
        key: Some(key.to_owned()),
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.to_owned()),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
        ..Toleration::default()
    })
}

fn selector(option: &str, typed: Option<&str>) -> Result<Vec<(String, String)>> {
    let Some(typed) = typed else { return Ok(Vec::new()) };
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    let pairs: Option<Vec<_>> = typed.split(',').map(pair).collect();
    pairs.ok_or_else(|| Error::usage(option, typed, "allowed: KEY=VALUE, several with commas"))
}

#[cfg(test)]
mod tests;
