//! Offloads of a device that are switched off. Needs ethtool.

use std::process::Command;

use super::{set_up, undo};

/// Whether there is an ethtool. Where there is none, tests say so and return.
pub(crate) fn ethtool(test: &str) -> bool {
    let found = Command::new("ethtool").arg("--version").output().is_ok();
    if !found {
        eprintln!("{test}: skipped: needs ethtool");
    }
    found
}

/// A device of which an offload is off, and with it all that need it.
#[derive(Debug)]
pub(crate) struct OffloadOff {
    place: String,
    device: String,
    name: &'static str,
}

impl OffloadOff {
    /// `name` as ethtool shortens it.
    pub(crate) fn on(place: &str, device: &str, name: &'static str) -> Self {
        set_up(place, "ethtool", &format!("-K {device} {name} off"));
        Self { place: place.to_owned(), device: device.to_owned(), name }
    }
}

impl Drop for OffloadOff {
    fn drop(&mut self) {
        undo(&self.place, "ethtool", &format!("-K {} {} on", self.device, self.name));
    }
}
