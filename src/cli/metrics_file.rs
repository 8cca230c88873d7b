//! A file with the latest figures, for a scraper's collector of text files.
//!
//! Enters: an exposition, again and again. Leaves: the file, which whoever reads it sees whole:
//! each is written beside it and renamed, by a thread of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};

/// Renews one file.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    queue: Sender<String>,
    thread: JoinHandle<io::Result<()>>,
}

impl MetricsFile {
    /// Whether `path` can be written; nothing is there yet.
    pub(super) fn check(path: PathBuf) -> Result<PathBuf> {
        let draft = draft_of(&path);
        let tried = File::create(&draft).and_then(|_| fs::remove_file(&draft));
        let is_folder = || io::Error::from(io::ErrorKind::IsADirectory);
        tried.and_then(|()| if path.is_dir() { Err(is_folder()) } else { Ok(()) }).map_err(
            |error| {
                let cause = format!("{error}; allowed: a file in a folder that can be written");
                Error::usage("--openmetrics", path.display(), cause)
            },
        )?;
        Ok(path)
    }

    /// Starts the thread.
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        let (queue, texts) = bounded::<String>(1);
        let to = path.clone();
        // The last one counts: one that failed may be followed by one that does not.
        let write =
            move || texts.into_iter().map(|text| replace(&to, &text)).last().unwrap_or(Ok(()));
        let thread = thread::Builder::new().name("openmetrics".to_owned()).spawn(write);
        Ok(Self { path, queue, thread: thread.during("start the thread that writes metrics")? })
    }

    /// Renews the file; leaves it out where the one before is still being written.
    pub(super) fn renew(&self, text: String) {
        let _ = self.queue.try_send(text);
    }

    /// Renews it a last time.
    ///
    /// # Errors
    /// When that could not be written.
    pub(super) fn finish(self, text: String) -> Result<()> {
        let Self { path, queue, thread } = self;
        let _ = queue.send(text);
        drop(queue);
        let written = thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread failed")));
        written.map_err(|error| {
            let operation = format!("write metrics to '{}'", path.display());
            Error::system(Kind::Incomplete, operation, &error)
        })
    }
}

/// Beside the file, under a name that no collector reads.
fn draft_of(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.tmp", process::id()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft_of(path);
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.inspect_err(|_| _ = fs::remove_file(&draft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_last_text_and_nothing_stands_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = MetricsFile::check(folder.path().join("podperf.prom")).unwrap();
        assert!(!path.exists());
        let file = MetricsFile::start(path.clone()).unwrap();
        (0..100).for_each(|number| file.renew(format!("a {number}\n")));
        file.finish("last\n".to_owned()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "last\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/podperf.prom");
        let error = MetricsFile::start(path).unwrap().finish(String::new()).unwrap_err();
        assert!(error.to_string().starts_with("write metrics to '/"), "{error}");
        assert_eq!(error.kind, Kind::Incomplete);
    }
}
