//! Where a machine's calibration is kept: one JSON document.
//!
//! Enters: the environment and a record. Leaves: the record that is stored, or why there is none.
//! Whether it holds for this machine is judged where a run is at hand.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use podperf_model::result::calibration::{Calibration, SCHEMA};

/// Names another file.
pub const VARIABLE: &str = "PODPERF_CALIBRATION";

/// The file for this user: `$PODPERF_CALIBRATION`, else `podperf/calibration.json` below
/// `$XDG_CACHE_HOME`, else below `~/.cache` (XDG Base Directory Specification). Nothing where the
/// environment has none of them.
#[must_use]
pub fn path() -> Option<PathBuf> {
    locate(|name| std::env::var_os(name))
}

fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification ignores relative paths.
    let absolute = |name| set(name).filter(|path| path.is_absolute());
    set(VARIABLE).or_else(|| {
        let cache = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(cache.join("podperf/calibration.json"))
    })
}

/// The stored record; nothing where there is no file.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn load(path: &Path) -> Result<Option<Calibration>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let unreadable = |cause: String| format!("{} is no {SCHEMA}: {cause}", path.display());
    let record: Calibration =
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    if record.schema != SCHEMA {
        return Err(unreadable(format!("its schema is {}", record.schema)));
    }
    Ok(Some(record))
}

/// Stores a record, in one step: whoever reads sees the old one or the new one.
///
/// # Errors
/// What the file system reports.
pub fn save(record: &Calibration, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let stored = fs::write(&draft, render(record)).and_then(|()| fs::rename(&draft, path));
    stored.inspect_err(|_| _ = fs::remove_file(&draft))
}

/// The document, indented, with a newline at its end.
///
/// # Panics
/// Never: its keys are text and its values plain data.
#[must_use]
pub fn render(record: &Calibration) -> String {
    let mut text = serde_json::to_string_pretty(record).expect("a calibration is plain data");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use podperf_model::result::calibration::testing::calibration;

    #[test]
    fn the_variable_comes_before_the_cache_and_the_cache_before_home() {
        let at = |set: &[(&str, &str)]| {
            locate(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            })
        };
        let home = ("HOME", "/home/a");
        let file = Some(PathBuf::from("/home/a/.cache/podperf/calibration.json"));
        assert_eq!(at(&[home]), file);
        assert_eq!(at(&[home, ("XDG_CACHE_HOME", "")]), file);
        assert_eq!(at(&[home, ("XDG_CACHE_HOME", "relative")]), file);
        let cache = ("XDG_CACHE_HOME", "/cache");
        assert_eq!(at(&[home, cache]), Some("/cache/podperf/calibration.json".into()));
        assert_eq!(at(&[home, cache, (VARIABLE, "here.json")]), Some("here.json".into()));
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/calibration.json");
        assert_eq!(load(&path), Ok(None));
        let record = calibration();
        for _ in 0..2 {
            save(&record, &path).unwrap();
            assert_eq!(load(&path), Ok(Some(record.clone())));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(load(&path.join("below a file")), Ok(None));
    }

    #[test]
    fn another_document_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.json");
        let later = Calibration { schema: "podperf.calibration/v9".to_owned(), ..calibration() };
        for (text, reason) in [
            (String::new(), "EOF while parsing"),
            ("{}".to_owned(), "missing field"),
            (render(&later), "its schema is podperf.calibration/v9"),
        ] {
            fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err();
            assert!(error.contains(reason) && error.contains("calibration.json"), "{error}");
        }
        assert!(load(folder.path()).unwrap_err().contains("directory"));
    }
}
