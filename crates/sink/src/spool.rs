//! Points that wait on disk: files of lines in one folder, one file a run, each locked by the
//! program that writes it.
//!
//! Enters: lines that could not be delivered. Leaves: the same lines, later, in requests. A file
//! goes when all of it has been delivered; one that was sent in part is sent again as a whole,
//! which changes nothing at the sink. A line that was cut off, by a disk that filled up or a
//! machine that stopped, is left out.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::answer::{Delivery, judge};
use crate::http::Transport;
use crate::retry::RetryWaits;
use podperf_model::error::{Error, Kind, Result};

/// Of one request's body: sinks take megabytes, proxies before them sometimes one.
pub(crate) const MAX_REQUEST_BYTES: usize = 512 << 10;
const EXTENSION: &str = "lp";

/// The folder for this user: `podperf/spool` below `$XDG_STATE_HOME`, else below `~/.local/state`
/// (XDG Base Directory Specification). Nothing where the environment has neither.
#[must_use]
pub fn default_spool() -> Option<PathBuf> {
    locate(|name| std::env::var_os(name))
}

fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // The specification ignores relative paths.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("podperf/spool"))
}

/// The file of this run, made when there is something to keep.
#[derive(Debug)]
pub(crate) struct RunSpool {
    folder: PathBuf,
    file: Option<(PathBuf, File)>,
    /// So far it has been delivered.
    delivered_bytes: u64,
}

impl RunSpool {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, file: None, delivered_bytes: 0 }
    }

    /// Where the lines are; absent: there are none.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Adds lines, all of them or none.
    pub(crate) fn append(&mut self, lines: &str) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(create(&self.folder)?);
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let length = file.seek(SeekFrom::End(0))?;
        file.write_all(lines.as_bytes()).inspect_err(|_| _ = file.set_len(length))
    }

    /// Hands over what has not been delivered, in pieces, for as long as `deliver` takes them.
    pub(crate) fn drain<E>(
        &mut self,
        mut deliver: impl FnMut(&str, u64) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let Some((path, file)) = &mut self.file else { return Ok(Ok(())) };
        file.seek(SeekFrom::Start(self.delivered_bytes))?;
        let mut pieces = Pieces::new(&*file);
        while let Some((lines, count)) = pieces.next_piece()? {
            if let Err(error) = deliver(&lines, count) {
                return Ok(Err(error));
            }
            self.delivered_bytes += lines.len() as u64;
        }
        fs::remove_file(path)?;
        (self.file, self.delivered_bytes) = (None, 0);
        Ok(Ok(()))
    }
}

/// Makes a file that no other program has, and locks it.
fn create(folder: &Path) -> io::Result<(PathBuf, File)> {
    fs::create_dir_all(folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let path = folder.join(format!("podperf-{now}-{}.{EXTENSION}", std::process::id()));
    // Under a name that nobody sends, until it is locked.
    let draft = path.with_extension("new");
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&draft)?;
    let locked = file.lock().and_then(|()| fs::rename(&draft, &path));
    locked.inspect_err(|_| _ = fs::remove_file(&draft))?;
    Ok((path, file))
}

/// Whole lines of a file, as many as one request takes.
struct Pieces<'a> {
    reader: BufReader<&'a File>,
    line: String,
}

impl<'a> Pieces<'a> {
    fn new(file: &'a File) -> Self {
        Self { reader: BufReader::new(file), line: String::new() }
    }

    /// The next lines and their number; absent: there are no more.
    fn next_piece(&mut self) -> io::Result<Option<(String, u64)>> {
        let (mut piece, mut count) = (std::mem::take(&mut self.line), 0);
        count += u64::from(!piece.is_empty());
        loop {
            self.line.clear();
            self.reader.read_line(&mut self.line)?;
            if !self.line.ends_with('\n') {
                self.line.clear();
                return Ok((count > 0).then_some((piece, count)));
            }
            if count > 0 && piece.len() + self.line.len() > MAX_REQUEST_BYTES {
                return Ok(Some((piece, count)));
            }
            piece.push_str(&self.line);
            count += 1;
        }
    }
}

/// What was sent of a folder.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SpoolReport {
    /// Files that were delivered, and are gone.
    pub files: u64,
    /// Points in them.
    pub points: u64,
    /// Files that a run still writes, which were left alone.
    pub in_use: u64,
}

/// Sends all files of `folder`, the oldest first, and removes each that has been delivered. What
/// cannot be delivered now is tried again for as long as `patience`.
///
/// # Errors
/// When the folder cannot be read, or the sink does not take a file: it and those behind it stay.
pub fn send_spool(
    folder: &Path,
    transport: &mut dyn Transport,
    patience: Duration,
) -> Result<SpoolReport> {
    let refuse = |path: &Path, error: io::Error| {
        let operation = format!("read the spool '{}'", path.display());
        Error::system(Kind::Unmeasured, operation, &error)
            .with_remedy("name the folder that `podperf` told when it could not send")
    };
    let entries = fs::read_dir(folder).map_err(|error| refuse(folder, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| refuse(folder, error))?.path();
        paths.extend((path.extension() == Some(EXTENSION.as_ref())).then_some(path));
    }
    paths.sort();
    let mut report = SpoolReport::default();
    let until = Instant::now() + patience;
    for path in paths {
        let file = match File::open(&path) {
            Ok(file) => file,
            // Another program has delivered it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(refuse(&path, error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                report.in_use += 1;
                continue;
            }
            Err(TryLockError::Error(error)) => return Err(refuse(&path, error)),
        }
        let mut pieces = Pieces::new(&file);
        while let Some((lines, count)) =
            pieces.next_piece().map_err(|error| refuse(&path, error))?
        {
            deliver(transport, &lines, until)?;
            report.points += count;
        }
        fs::remove_file(&path).map_err(|error| refuse(&path, error))?;
        report.files += 1;
    }
    Ok(report)
}

/// Sends lines until they are delivered, refused, or it is too late to try again.
fn deliver(transport: &mut dyn Transport, lines: &str, until: Instant) -> Result<()> {
    let mut waits = RetryWaits::default();
    loop {
        let outcome = transport.post(lines);
        match judge(transport.url(), outcome) {
            Delivery::Delivered => return Ok(()),
            Delivery::Refused(error) => return Err(error),
            Delivery::Later(error, asked) => {
                let wait = waits.next_wait(asked);
                if Instant::now() + wait > until {
                    return Err(error);
                }
                std::thread::sleep(wait);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn drained(spool: &mut RunSpool, fail_at: Option<usize>) -> (Vec<String>, bool) {
        let mut taken = Vec::new();
        let ended = spool.drain(|lines, count| {
            assert_eq!(count, lines.lines().count() as u64);
            if fail_at == Some(taken.len()) {
                return Err(());
            }
            taken.push(lines.to_owned());
            Ok(())
        });
        (taken, ended.unwrap().is_ok())
    }

    #[test]
    fn what_is_kept_comes_back_once_in_pieces_that_a_request_takes() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = RunSpool::new(folder.path().join("a/b"));
        assert_eq!(spool.path(), None);
        let line = format!("{}\n", "x".repeat(MAX_REQUEST_BYTES / 2));
        for _ in 0..3 {
            spool.append(&line).unwrap();
        }
        let path = spool.path().unwrap().to_owned();
        let (taken, whole) = drained(&mut spool, Some(1));
        assert_eq!((taken.len(), whole, path.exists()), (1, false, true));
        spool.append("last\n").unwrap();
        let (taken, whole) = drained(&mut spool, None);
        let taken: String = taken.concat();
        assert_eq!((taken, whole), (format!("{line}{line}last\n"), true));
        assert!(!path.exists() && spool.path().is_none());
        spool.append("again\n").unwrap();
        assert_eq!(drained(&mut spool, None).0, ["again\n"]);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "a\nb\nc 17").unwrap();
        let file = File::open(&path).unwrap();
        let mut pieces = Pieces::new(&file);
        assert_eq!(pieces.next_piece().unwrap(), Some(("a\nb\n".to_owned(), 2)));
        assert_eq!(pieces.next_piece().unwrap(), None);
    }

    #[test]
    fn the_folder_is_that_of_the_user() {
        let place = |set: &[(&str, &str)]| {
            let set: HashMap<_, _> = set.iter().copied().collect();
            locate(|name| set.get(name).map(OsString::from))
        };
        let home = ("HOME", "/home/u");
        assert_eq!(place(&[home]), Some("/home/u/.local/state/podperf/spool".into()));
        assert_eq!(place(&[home, ("XDG_STATE_HOME", "/s")]), Some("/s/podperf/spool".into()));
        assert_eq!(place(&[("XDG_STATE_HOME", "s")]), None);
    }
}
