//! Writes records and results: each record, and each result with its markers, in one piece.

use std::io::{self, Write};

use super::{EncodedRun, LINE_CHARS, LogRecord, ResultHeader};
use crate::result::run::Run;

/// Where a result belongs in a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultKey {
    /// Number of the step, from 1.
    pub step: u32,
    /// Its test.
    pub test: String,
    /// Its sample, from 1.
    pub sample: u32,
    /// Who measured.
    pub agent: String,
}

/// Writes one record, and flushes.
///
/// # Errors
/// What `to` says.
pub fn write(to: &mut (impl Write + ?Sized), record: &LogRecord) -> io::Result<()> {
    let mut text = Vec::new();
    line(&mut text, record)?;
    to.write_all(&text)?;
    to.flush()
}

/// Writes a run with its markers, and flushes.
///
/// # Errors
/// What `to` says; when the run is larger than any reader takes.
pub fn write_result(
    to: &mut (impl Write + ?Sized),
    place: &ResultKey,
    run: &Run,
) -> io::Result<()> {
    write_encoded(to, place, &EncodedRun::of(run)?)
}

/// Writes a run that is encoded already, and flushes.
///
/// # Errors
/// What `to` says; when it has more lines than can be announced.
pub fn write_encoded(
    to: &mut (impl Write + ?Sized),
    place: &ResultKey,
    encoded: &EncodedRun,
) -> io::Result<()> {
    let ResultKey { step, test, sample, agent } = place.clone();
    let lines =
        u32::try_from(encoded.base64.len().div_ceil(LINE_CHARS)).map_err(io::Error::other)?;
    let sha256 = encoded.sha256.clone();
    let mut text =
        Vec::with_capacity(encoded.base64.len() + encoded.base64.len() / LINE_CHARS + 1000);
    let header = ResultHeader { step, test, sample, agent: agent.clone(), lines, sha256 };
    line(&mut text, &LogRecord::Result(header))?;
    for part in encoded.base64.as_bytes().chunks(LINE_CHARS) {
        text.extend_from_slice(part);
        text.push(b'\n');
    }
    line(&mut text, &LogRecord::ResultEnd { step, agent })?;
    to.write_all(&text)?;
    to.flush()
}

fn line(text: &mut Vec<u8>, record: &LogRecord) -> io::Result<()> {
    serde_json::to_writer(&mut *text, record)?;
    text.push(b'\n');
    Ok(())
}
