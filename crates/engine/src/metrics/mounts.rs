//! /proc/self/mountinfo (proc_pid_mountinfo(5)): what is mounted where.
//!
//! Enters: its text. Leaves: the mounts in order.

use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, text};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The directory of the file system that forms the root of this mount.
    pub(super) root: String,
    /// Where it is mounted.
    pub(super) point: String,
    /// Type of the file system.
    pub(super) kind: String,
    /// Options of the file system as a whole.
    pub(super) options: Vec<String>,
}

/// The mounts this process sees.
pub(super) fn read(roots: &Roots) -> FactResult<Vec<Mount>> {
    Ok(parse(&text(&roots.proc.join("self/mountinfo"))?))
}

fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    // The optional fields before the lone dash vary in number.
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let mut system = system.split(' ');
    Some(Mount {
        root: unescape(mount.next()?),
        point: unescape(mount.next()?),
        kind: system.next()?.to_owned(),
        options: system.nth(1)?.split(',').map(str::to_owned).collect(),
    })
}

/// Undoes the octal escapes of blank, tab, newline and backslash.
fn unescape(word: &str) -> String {
    ["040", "011", "012", "134"].into_iter().zip([" ", "\t", "\n", "\\"]).fold(
        word.to_owned(),
        |word, (code, character)| match word.contains('\\') {
            true => word.replace(&format!("\\{code}"), character),
            false => word,
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn optional_fields_and_escapes() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:3 - ext3 /dev/root rw\n\
                    32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let mounts = parse(text);
        assert_eq!((mounts[0].root.as_str(), mounts[0].point.as_str()), ("/mnt1", "/mnt 2"));
        assert_eq!(mounts[1].kind, "cgroup");
        assert_eq!(mounts[1].options, ["rw", "cpu", "cpuacct"]);
    }

    #[test]
    fn odd_lines_are_left_out() {
        assert_eq!(parse("36 35 98:0 /\n\n - \n1 2 3 - a b c\nnonsense - x\n"), []);
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
