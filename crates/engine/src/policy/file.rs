//! Reads a policy out of TOML.
//!
//! Enters: text, and how a token's file is read. Leaves: a [`Policy`] in which every value is
//! within its bounds, or where the text is broken. docs/SERVER.md describes the keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address_range::AddressRange;
use super::rule::{CpuChoice, GroupLimits, LimitSet, Policy, PolicyRule, QueueLimits, RunLimits};
use super::table_reader::{PolicyFault, PolicyField, TableReader};
use super::token::Token;
use super::tokens::TimedToken;
use podperf_model::plan::parse_cpus;
use podperf_model::units::{BitRate, Bytes};

/// Longest policy.
pub const MAX_POLICY_BYTES: u64 = 256 << 10;
/// Of each list.
const MAX_RULES: usize = 256;
const MAX_TOKENS: usize = 64;
const MAX_ADDRESSES: usize = 4096;
const MAX_NAME_CHARS: usize = 64;
/// Most of what is counted.
const MAX_SESSIONS: u32 = 1024;
const MAX_STREAMS: u32 = 1_048_576;
const MAX_RUNS_PER_HOUR: u32 = 1_000_000;
const MAX_QUEUED_RUNS: u32 = 64;
/// Longest times.
const MAX_RUN_TIME: Duration = Duration::from_secs(7 * 86_400);
const MAX_QUEUE_WAIT: Duration = Duration::from_secs(86_400);
/// The kernel's pacing counts whole bytes a second, and a run may have many streams.
const MIN_RATE: BitRate = BitRate(64_000);

/// How the secret in a token's file is read: what is wrong with it, in words.
pub type ReadToken<'a> = &'a dyn Fn(&Path) -> Result<Token, String>;

/// Reads a policy; `read_token` is asked for every token that stands in a file of its own.
///
/// # Errors
/// Naming line, column and key, when it is none.
pub fn read_policy(text: &str, read_token: ReadToken<'_>) -> Result<Policy, PolicyFault> {
    let mut top = TableReader::parse(text)?;
    let state = top.take("state").map(|field| path(&field)).transpose()?;
    let all = match top.take("all") {
        Some(field) => {
            let mut all = field.table()?;
            let limits = limit_set(&mut all)?;
            all.finish()?;
            limits
        }
        None => LimitSet::default(),
    };
    let rules = top.require("rule")?;
    let place = rules.place.clone();
    let mut read: Vec<PolicyRule> = Vec::new();
    for table in rules.tables()? {
        let place = table.place.clone();
        let rule = rule(table, read_token)?;
        if read.iter().any(|other| other.name == rule.name) {
            return Err(place.fault(format!("another rule is named '{}' already", rule.name)));
        }
        read.push(rule);
    }
    if read.is_empty() || read.len() > MAX_RULES {
        return Err(place.fault(format!("allowed: 1 to {MAX_RULES} rules")));
    }
    top.finish()?;
    Ok(Policy { state, all, rules: read })
}

fn path(field: &PolicyField<'_>) -> Result<PathBuf, PolicyFault> {
    match field.text()? {
        "" => Err(field.place.fault("allowed: the path of a file")),
        text => Ok(text.into()),
    }
}

/// What the log and clients are told.
fn name(field: &PolicyField<'_>) -> Result<Arc<str>, PolicyFault> {
    let text = field.text()?;
    let is_plain = |char: char| !char.is_control() && char != '\'';
    if (1..=MAX_NAME_CHARS).contains(&text.chars().count()) && text.chars().all(is_plain) {
        return Ok(text.into());
    }
    Err(field.place.fault(format!("allowed: 1 to {MAX_NAME_CHARS} characters, no quotes")))
}

fn rule(mut table: TableReader<'_>, read_token: ReadToken<'_>) -> Result<PolicyRule, PolicyFault> {
    let named = name(&table.require("name")?)?;
    let field = table.require("addresses")?;
    let place = field.place.clone();
    let addresses = field.list(AddressRange::parse)?;
    if addresses.len() > MAX_ADDRESSES {
        return Err(place.fault(format!("allowed: at most {MAX_ADDRESSES} ranges")));
    }
    // A key that nobody knows may be a misspelt one of these.
    let tokens = tokens(&mut table, read_token);
    let limits = limit_set(&mut table)?;
    let queue = table.take("queue").map(queue).transpose()?;
    table.finish()?;
    Ok(PolicyRule { name: named, addresses, tokens: tokens?, limits, queue })
}

/// The tokens of a rule; it has to say where none is needed.
fn tokens(
    table: &mut TableReader<'_>,
    read_token: ReadToken<'_>,
) -> Result<Vec<TimedToken>, PolicyFault> {
    let anonymous = table.take("anonymous");
    let is_anonymous = anonymous.as_ref().map(PolicyField::truth).transpose()?.unwrap_or(false);
    let place = table.place.clone();
    let tokens = match table.take("token") {
        None => Vec::new(),
        Some(field) => {
            let read = |table| token(table, read_token);
            field.tables()?.into_iter().map(read).collect::<Result<_, _>>()?
        }
    };
    match (is_anonymous, tokens.len()) {
        (true, 0) | (false, 1..=MAX_TOKENS) => Ok(tokens),
        (false, 0) => Err(place.fault(
            "who may come is not said: give it a [[rule.token]], or anonymous = true for all",
        )),
        (true, _) => Err(place.fault("it has tokens, so it is not anonymous = true")),
        (false, _) => Err(place.fault(format!("allowed: at most {MAX_TOKENS} tokens"))),
    }
}

fn token(mut table: TableReader<'_>, read_token: ReadToken<'_>) -> Result<TimedToken, PolicyFault> {
    let named = table.take("name").map(|field| name(&field)).transpose()?;
    let (file, secret) = (table.take("file"), table.take("secret"));
    let token = match (&file, &secret) {
        (Some(file), None) => {
            let from = path(file)?;
            read_token(&from)
                .map_err(|cause| file.place.fault(format!("'{}': {cause}", from.display())))?
        }
        (None, Some(secret)) => {
            Token::from_text(secret.text()?).map_err(|error| secret.place.fault(error.cause))?
        }
        _ => return Err(table.place.fault("allowed: either file or secret, one of them")),
    };
    let mut instant = |key| table.take(key).map(|field| field.instant()).transpose();
    let (not_before, not_after) = (instant("not_before")?, instant("not_after")?);
    if not_before.zip(not_after).is_some_and(|(from, until)| from >= until) {
        return Err(table.place.fault("not_after has to be later than not_before"));
    }
    table.finish()?;
    Ok(TimedToken { name: named, token, not_before, not_after })
}

fn limit_set(table: &mut TableReader<'_>) -> Result<LimitSet, PolicyFault> {
    let mut group = |key: &'static str| match table.take(key) {
        Some(field) => {
            let mut table = field.table()?;
            let limits = group(&mut table)?;
            table.finish()?;
            Ok(limits)
        }
        None => Ok(GroupLimits::default()),
    };
    let (each_address, each_prefix) = (group("each_address")?, group("each_prefix")?);
    let run = table.take("run").map_or_else(|| Ok(RunLimits::default()), run)?;
    Ok(LimitSet { together: self::group(table)?, each_address, each_prefix, run })
}

fn group(table: &mut TableReader<'_>) -> Result<GroupLimits, PolicyFault> {
    let mut count = |key, most| table.take(key).map(|field| field.count(1..=most)).transpose();
    let sessions = count("sessions", MAX_SESSIONS)?;
    let streams = count("streams", MAX_STREAMS)?;
    let runs_per_hour = count("runs_per_hour", MAX_RUNS_PER_HOUR)?;
    let bytes_per_day = table.take("bytes_per_day");
    let bytes_per_day = bytes_per_day.map(|field| field.quantity(Bytes(1))).transpose()?;
    let rate = table.take("rate");
    if let (Some(rate), None) = (&rate, sessions) {
        let cause = "each session has an equal share of it, so 'sessions' has to stand beside it";
        return Err(rate.place.fault(cause));
    }
    let least = BitRate(MIN_RATE.0 * u64::from(sessions.unwrap_or(1)));
    let rate = rate.map(|field| field.quantity(least)).transpose()?;
    Ok(GroupLimits { sessions, streams, rate, bytes_per_day, runs_per_hour })
}

fn run(field: PolicyField<'_>) -> Result<RunLimits, PolicyFault> {
    let mut table = field.table()?;
    let streams = table.take("streams");
    let streams = streams.map(|field| field.count(1..=MAX_STREAMS)).transpose()?;
    let time = table.take("time").map(|field| field.duration(MAX_RUN_TIME)).transpose()?;
    let rate = table.take("rate").map(|field| field.quantity(MIN_RATE)).transpose()?;
    let udp = table.take("udp").map(|field| field.truth()).transpose()?;
    let udp_rate = table.take("udp_rate");
    if let (Some(rate), Some(false)) = (&udp_rate, udp) {
        return Err(rate.place.fault("there is no udp here: udp = false"));
    }
    let udp_rate = udp_rate.map(|field| field.quantity(MIN_RATE)).transpose()?;
    let cpus = table.take("cpus").map(|field| cpus(&field)).transpose()?;
    let spin = table.take("spin").map(|field| field.truth()).transpose()?;
    table.finish()?;
    Ok(RunLimits { streams, time, rate, udp, udp_rate, cpus, spin })
}

fn cpus(field: &PolicyField<'_>) -> Result<CpuChoice, PolicyFault> {
    match field.text()? {
        "none" => Ok(CpuChoice::None),
        "any" => Ok(CpuChoice::Any),
        list => parse_cpus(list).map(CpuChoice::Of).ok_or_else(|| {
            field.place.fault("allowed: \"none\", \"any\" or CPUs such as \"0,2,4-7\"")
        }),
    }
}

fn queue(field: PolicyField<'_>) -> Result<QueueLimits, PolicyFault> {
    let mut table = field.table()?;
    let length = table.require("length")?.count(1..=MAX_QUEUED_RUNS)?;
    let wait = table.require("wait")?.duration(MAX_QUEUE_WAIT)?;
    table.finish()?;
    Ok(QueueLimits { length, wait })
}

#[cfg(test)]
mod tests;
