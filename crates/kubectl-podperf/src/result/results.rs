//! Where a result goes: tables or the document on standard output, everything in a directory.
//!
//! The directory is made before anything is measured, so that a bad path costs no run.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::plan::options::{OutputForm, ResultArgs};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::ClusterRun;
use podperf_model::{Context as _, During as _};
use podperf_report::cluster::{markdown, text};
use podperf_report::overview::{Overview, Subject};
use podperf_report::{json, page};

/// The page with the figures.
const PAGE: &str = "report.html";

/// The directory of the results, which can be written.
#[derive(Debug)]
pub(crate) struct ResultsDirectory {
    directory: PathBuf,
    form: OutputForm,
}

impl ResultsDirectory {
    /// Makes the directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn open(output: &ResultArgs, run_id: &str) -> Result<Self> {
        let named = output.out_dir.clone();
        let directory = named.unwrap_or_else(|| PathBuf::from(format!("podperf-{run_id}")));
        fs::create_dir_all(&directory).map_err(|error| {
            let cause = format!("{error}; allowed: a directory that can be written");
            Error::usage("--out-dir", directory.display(), cause)
        })?;
        Ok(Self { directory, form: output.output })
    }

    /// Removes the directory, unless something is in it.
    pub(crate) fn discard(&self) {
        let _ = fs::remove_dir(&self.directory);
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The page of a result that was written.
    pub(crate) fn page(&self) -> PathBuf {
        self.directory.join(PAGE)
    }

    pub(crate) const fn form(&self) -> OutputForm {
        self.form
    }

    /// The manifests, as they were sent.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn manifests(&self, manifests: &[Value]) -> Result<()> {
        let text = yaml_stream(manifests)?;
        self.file("manifests.yaml", text.as_bytes())
    }

    /// Writes everything, and what was asked for to standard output.
    ///
    /// # Errors
    /// When a file or standard output takes no more; then the tables go to standard error.
    pub(crate) fn write(&self, run: &ClusterRun) -> Result<()> {
        let filed = self.files(run);
        let printed = print(self.form, run);
        let failed = filed.and(printed);
        if failed.is_err() {
            let _ = text::render(run, &mut io::stderr());
        }
        failed
    }

    fn files(&self, run: &ClusterRun) -> Result<()> {
        for sample in &run.samples {
            for (number, one) in sample.runs.iter().enumerate() {
                let name = format!(
                    "samples/{:04}-{}-{}-x{}-sample{}{}.json",
                    sample.step,
                    sample.path,
                    sample.test,
                    sample.flows,
                    sample.sample,
                    if sample.runs.len() > 1 { format!("-pair{number}") } else { String::new() }
                );
                self.file(&name, json::render(one).as_bytes())?;
            }
        }
        self.file("cluster.json", json::render(&run.cluster).as_bytes())?;
        self.file("summary.json", json::render(&run.summary).as_bytes())?;
        self.file("result.json", json::render(run).as_bytes())?;
        let mut table = Vec::new();
        let mut paste = Vec::new();
        let made = text::render(run, &mut table);
        made.and_then(|()| markdown::render(run, &mut paste))
            .during("render the tables")
            .with_kind(Kind::Incomplete)?;
        self.file("summary.txt", &table)?;
        self.file("summary.md", &paste)?;
        let name = self.directory.join("result.json").display().to_string();
        let subject = Subject::on_kubernetes(name, run.clone());
        let overview = Overview { subjects: vec![subject], left_out: Vec::new() };
        self.file(PAGE, page::render(&overview).as_bytes())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.directory.join(name);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent
            .and_then(|()| fs::write(&path, bytes))
            .during(format!("write the result to '{}'", path.display()))
            .with_kind(Kind::Incomplete)
    }
}

/// Objects as a stream of YAML documents.
///
/// # Errors
/// When one cannot be written as YAML.
pub(crate) fn yaml_stream(objects: &[Value]) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        let yaml = serde_saphyr::to_string(object)
            .map_err(|error| Error::new(Kind::Incomplete, "write manifests as YAML", error))?;
        text.push_str("---\n");
        text.push_str(&yaml);
        if !yaml.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

fn print(form: OutputForm, run: &ClusterRun) -> Result<()> {
    stdout(|to| match form {
        OutputForm::Table => text::render(run, to),
        OutputForm::Markdown => markdown::render(run, to),
        OutputForm::Json => to.write_all(json::render(run).as_bytes()),
    })
}

/// Writes to standard output; a reader that went away early is no failure.
///
/// # Errors
/// When standard output takes no more.
pub(crate) fn stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut to = BufWriter::new(io::stdout().lock());
    match write(&mut to).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system(Kind::Incomplete, "write to standard output", &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
