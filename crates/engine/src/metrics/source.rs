//! Reading the kernel's text files.
//!
//! Enters: paths. Leaves: text and numbers, or the reason why there is none as a sentence that
//! names the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A result whose error is the reason, for people, why a figure is absent.
pub(super) type FactResult<T> = Result<T, String>;

/// Larger than any file read here: /proc/stat of a machine with thousands of CPUs and interrupts.
const MAX_FILE_BYTES: usize = 64 << 20;

/// A file kept open and read again from its start: the kernel writes its text anew each time.
#[derive(Debug)]
pub(super) struct KernelFile {
    file: File,
    path: PathBuf,
}

impl KernelFile {
    pub(super) fn open(path: PathBuf) -> FactResult<Self> {
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(reason(&path, error)),
        }
    }

    /// All of its text as of now, in `buffer`, which grows to what it needs and is then reused.
    pub(super) fn read<'b>(&self, buffer: &'b mut Vec<u8>) -> FactResult<Cow<'b, str>> {
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                if filled >= MAX_FILE_BYTES {
                    return Err(reason(&self.path, "too long to be what it is taken for"));
                }
                buffer.resize((filled * 2).max(16 << 10), 0);
            }
            match self.file.read_at(&mut buffer[filled..], filled as u64) {
                Ok(0) => return Ok(String::from_utf8_lossy(&buffer[..filled])),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(reason(&self.path, error)),
            }
        }
    }
}

/// The text of a small file without surrounding blanks.
pub(super) fn text(path: &Path) -> FactResult<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
        Err(error) => Err(reason(path, error)),
    }
}

/// The number that a small file consists of.
pub(super) fn number<T: FromStr>(path: &Path) -> FactResult<T> {
    let text = text(path)?;
    text.parse().map_err(|_| reason(path, format!("'{text}' is not the number expected")))
}

/// The numbers that a small file lists, with blanks between them.
pub(super) fn numbers<const N: usize>(path: &Path) -> FactResult<[u64; N]> {
    let text = text(path)?;
    let numbers: Option<Vec<u64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| reason(path, format!("'{text}' is not {N} numbers")))
}

/// Most CPUs a list may name; Linux is built for 8192 at most.
const MAX_CPUS: usize = 1 << 16;

/// The CPUs of a kernel list such as `0-3,8` (cpuset(7), "List format").
pub(super) fn cpu_list(path: &Path) -> FactResult<Vec<u32>> {
    let text = text(path)?;
    parse_cpu_list(&text).ok_or_else(|| reason(path, format!("'{text}' is not a list of CPUs")))
}

fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let room = MAX_CPUS - cpus.len();
        if last < first || usize::try_from(last - first).is_ok_and(|more| more >= room) {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// "/proc/stat: no such file".
pub(super) fn reason(path: &Path, cause: impl Display) -> String {
    format!("{}: {cause}", path.display())
}

/// For `map_err`: the reason out of what was being done and the error.
pub(super) fn failed_to(what: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// Collects the reasons of absent facts.
#[derive(Debug, Default)]
pub(super) struct Unknown(pub(super) BTreeMap<String, String>);

impl Unknown {
    /// The value, or nothing and its reason under `name`.
    pub(super) fn note<T>(&mut self, name: &str, reading: FactResult<T>) -> Option<T> {
        match reading {
            Ok(value) => Some(value),
            Err(reason) => {
                self.0.insert(name.to_owned(), reason);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cpu_lists_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_list("0-2,8,10-11"), Some(vec![0, 1, 2, 8, 10, 11]));
        assert_eq!(parse_cpu_list(""), Some(vec![]));
        for odd in ["a", "3-1", "1-", "-", "0-4294967295", "0-65535,70000", "1 2"] {
            assert_eq!(parse_cpu_list(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_file_is_read_anew_and_in_full() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stat");
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        let file = KernelFile::open(path.clone()).unwrap();
        let mut buffer = Vec::new();
        assert_eq!(file.read(&mut buffer).unwrap().len(), 100_000);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), "short");
    }

    #[test]
    fn a_reason_names_the_file() {
        let reason = KernelFile::open("/nowhere/stat".into()).unwrap_err();
        assert!(reason.starts_with("/nowhere/stat: No such file"), "{reason}");
    }

    proptest! {
        #[test]
        fn no_cpu_list_panics(text in "[-0-9,a ]{0,40}") {
            prop_assert!(parse_cpu_list(&text).is_none_or(|cpus| cpus.len() <= MAX_CPUS));
        }
    }
}
