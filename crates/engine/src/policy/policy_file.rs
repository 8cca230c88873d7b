//! A policy's file on a running server: read at the start and on demand, and what is used of the
//! policy written now and then.
//!
//! Enters: a path, and word that the file is to be read again. Leaves: an [`Admission`], lines for
//! the log. The only part of a policy that has a clock and a disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use crossbeam_channel::{Receiver, never, select, tick};
use jiff::Timestamp;

use super::admission::Admission;
use super::file::{MAX_POLICY_BYTES, read_policy};
use super::rule::Policy;
use super::state_file;
use super::token::Token;
use super::usage::Usage;
use crate::net::Log;
use podperf_model::error::{Error, Kind, Result};

/// Between two times that what is used is written.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// Far beyond any secret.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// A policy and where it stands.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    path: PathBuf,
    admission: Admission,
    state: Option<PathBuf>,
    /// What is to be logged of the start.
    note: String,
}

impl PolicyFile {
    /// Reads a policy, and what was used of it.
    ///
    /// # Errors
    /// A usage error that names file, line, column and key, when it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let policy = Self::read(&path)?;
        let state = policy.state.clone();
        let (usage, note) = match &state {
            None => (
                Usage::default(),
                "what is used of it is counted anew: it names no state file".to_owned(),
            ),
            Some(state) => {
                let shown = state.display();
                match state_file::read(state) {
                    Ok(Some(usage)) => {
                        let groups = usage.groups.len();
                        (usage, format!("what {groups} groups have used of it is in {shown}"))
                    }
                    Ok(None) => {
                        let note = "what is used of it is counted anew: there is no";
                        (Usage::default(), format!("{note} {shown} yet"))
                    }
                    Err(error) => {
                        let note = "warning: what is used of it is counted anew";
                        (Usage::default(), format!("{note}: read {shown}: {error}"))
                    }
                }
            }
        };
        let note = format!("policy {}, {} rules; {note}", path.display(), policy.rules.len());
        Ok(Self { path, admission: Admission::with_usage(policy, usage), state, note })
    }

    /// Reads a policy and does nothing with it.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn read(path: &Path) -> Result<Policy> {
        let operation = format!("read the policy {}", path.display());
        let failed =
            |cause: &dyn std::fmt::Display| Error::new(Kind::Usage, operation.clone(), cause);
        let text = read_text(path, MAX_POLICY_BYTES).map_err(|cause| failed(&cause))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let read_token = |file: &Path| {
            let text = read_text(&folder.join(file), MAX_TOKEN_BYTES)?;
            Token::from_text(&text).map_err(|error| error.cause)
        };
        let mut policy = read_policy(&text, &read_token).map_err(|fault| failed(&fault))?;
        policy.state = policy.state.map(|state| folder.join(state));
        Ok(policy)
    }

    /// Who decides.
    #[must_use]
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Reads the file again whenever `reload` says so, and writes what is used, until `closed`;
    /// then once more.
    pub fn keep(&self, reload: Option<&Receiver<()>>, closed: &Receiver<()>, log: Log<'_>) {
        log(&self.note);
        let mut state = self.state.clone();
        let (save, nothing) = (tick(SAVE_INTERVAL), never());
        let mut reload = reload.unwrap_or(&nothing);
        let mut is_failing = false;
        loop {
            select! {
                recv(reload) -> word => match word {
                    Ok(()) => self.reload(&mut state, log),
                    Err(_) => reload = &nothing,
                },
                recv(save) -> _ => self.save(state.as_deref(), &mut is_failing, log),
                recv(closed) -> _ => {
                    self.save(state.as_deref(), &mut is_failing, log);
                    return;
                }
            }
        }
    }

    fn reload(&self, state: &mut Option<PathBuf>, log: Log<'_>) {
        match Self::read(&self.path) {
            Ok(policy) => {
                let (path, rules) = (self.path.display(), policy.rules.len());
                state.clone_from(&policy.state);
                self.admission.replace(policy);
                log(&format!("policy {path} is read again, {rules} rules"));
            }
            Err(error) => log(&format!("{error}; the policy stays as it was")),
        }
    }

    /// Writes what is used, if it has changed; a failure is logged once.
    fn save(&self, state: Option<&Path>, is_failing: &mut bool, log: Log<'_>) {
        let Some(path) = state else { return };
        let groups = {
            let mut locked = self.admission.lock();
            if !std::mem::take(&mut locked.usage.is_changed) {
                return;
            }
            locked.usage.worth_keeping(Timestamp::now())
        };
        let written = state_file::write(path, &groups);
        if let Err(error) = &written {
            self.admission.lock().usage.is_changed = true;
            if !*is_failing {
                let path = path.display();
                log(&format!("warning: write what is used of the policy to {path}: {error}"));
            }
        }
        *is_failing = written.is_err();
    }
}

fn read_text(path: &Path, max_bytes: u64) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        let read = File::open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
        Ok((read as u64, text))
    };
    let (length, text) = read().map_err(|error: std::io::Error| error.to_string())?;
    if length > max_bytes {
        return Err(format!("longer than {} KiB", max_bytes >> 10));
    }
    Ok(text)
}
