//! What was used of a policy, in a file, so that a restart gives nobody a second share of the day.
//!
//! Enters and leaves: use by group. The file is written beside its place and renamed to it, so that
//! it is whole at any time.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::usage::{Group, GroupUse, Members, Usage};

/// What the file calls itself.
const SCHEMA: &str = "podperf.policy-state/v1";
/// Longest file that is read: more than all groups that are kept take.
const MAX_STATE_BYTES: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct SavedUsage {
    schema: String,
    groups: Vec<SavedGroup>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedGroup {
    /// Absent: all rules together.
    rule: Option<String>,
    members: SavedMembers,
    /// Absent: together.
    network: Option<IpAddr>,
    day_since_1970: i64,
    bytes: u64,
    hour_since_1970: i64,
    runs: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedMembers {
    Together,
    Address,
    Prefix,
}

/// Reads what was used; absent: there is no such file yet.
///
/// # Errors
/// When it cannot be read, or is another file.
pub(super) fn read(path: &Path) -> io::Result<Option<Usage>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_STATE_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let saved: SavedUsage = serde_json::from_str(&text)?;
    if saved.schema != SCHEMA {
        return Err(io::Error::other(format!("its schema is not {SCHEMA}")));
    }
    let groups = saved.groups.into_iter().map(restored).collect();
    Ok(Some(Usage { groups, is_changed: false }))
}

/// Writes what is used.
///
/// # Errors
/// When it cannot be written; what was there before is still whole.
pub(super) fn write(path: &Path, groups: &[(Group, GroupUse)]) -> io::Result<()> {
    let groups = groups.iter().map(saved).collect();
    let text = serde_json::to_vec(&SavedUsage { schema: SCHEMA.into(), groups })?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn saved((group, used): &(Group, GroupUse)) -> SavedGroup {
    let (members, bits) = match group.members {
        Members::Together => (SavedMembers::Together, None),
        Members::Address(bits) => (SavedMembers::Address, Some(bits)),
        Members::Prefix(bits) => (SavedMembers::Prefix, Some(bits)),
    };
    SavedGroup {
        rule: group.rule.as_deref().map(str::to_owned),
        members,
        network: bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()),
        day_since_1970: used.day,
        bytes: used.bytes,
        hour_since_1970: used.hour,
        runs: used.runs,
    }
}

/// Nobody has a session any more.
fn restored(saved: SavedGroup) -> (Group, GroupUse) {
    let bits = saved.network.map_or(0, |ip| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    });
    let members = match saved.members {
        SavedMembers::Together => Members::Together,
        SavedMembers::Address => Members::Address(bits),
        SavedMembers::Prefix => Members::Prefix(bits),
    };
    let used = GroupUse {
        day: saved.day_since_1970,
        hour: saved.hour_since_1970,
        bytes: saved.bytes,
        runs: saved.runs,
        ..GroupUse::default()
    };
    (Group { rule: saved.rule.map(Into::into), members }, used)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_was_used_is_read_again_and_sessions_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert!(read(&path).unwrap().is_none());
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().to_bits();
        let used =
            GroupUse { sessions: 3, streams: 9, day: 20_787, hour: 498_900, bytes: 7, runs: 2 };
        let groups: Vec<(Group, GroupUse)> = [
            (None, Members::Together),
            (Some("lab"), Members::Together),
            (Some("lab"), Members::Address(ip("::ffff:192.0.2.7"))),
            (Some("lab"), Members::Address(ip("2001:db8:1:2::"))),
            (None, Members::Prefix(ip("2001:db8:1::"))),
        ]
        .into_iter()
        .map(|(rule, members)| (Group { rule: rule.map(Into::into), members }, used))
        .collect();
        write(&path, &groups).unwrap();
        write(&path, &groups).unwrap();
        let restored = read(&path).unwrap().unwrap().groups;
        let over = GroupUse { sessions: 0, streams: 0, ..used };
        let expected: HashMap<Group, GroupUse> =
            groups.into_iter().map(|(group, _)| (group, over)).collect();
        assert_eq!(restored, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_such_file_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "{}", "nonsense", r#"{"schema":"podperf.run/v1","groups":[]}"#] {
            fs::write(&file, text).unwrap();
            assert!(read(file.path()).is_err(), "{text}");
        }
    }
}
