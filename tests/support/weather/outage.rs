//! An outage: a link, a route or an address of a host that is gone for some time and then back.

use std::thread::JoinHandle;
use std::time::Duration;

use super::{set_up, undo};

/// What is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The host's own link is down; its routes go with it.
    Link,
    /// The route to the other host.
    Route,
    /// The host's own address, and the route that hangs on it.
    Address,
}

/// Something of `hostA` of the testbed that is gone; back when dropped at the latest.
#[derive(Debug)]
pub(crate) struct Outage {
    place: String,
    thread: Option<JoinHandle<()>>,
}

const ADDRESS: &str = "address add 192.0.2.1/30 dev wire";
const ROUTE: &str = "route replace 192.0.2.0/30 dev wire proto kernel scope link src 192.0.2.1";

impl Outage {
    /// Of the host whose namespace is `place`, one after the other: each is gone for `time`, and
    /// there again for as long.
    pub(crate) fn of(place: &str, all: &[Gone], time: Duration) -> Self {
        let (all, of) = (all.to_vec(), place.to_owned());
        let thread = std::thread::spawn(move || {
            for gone in all {
                take(&of, gone);
                std::thread::sleep(time);
                give_back(&of);
                std::thread::sleep(time);
            }
        });
        Self { place: place.to_owned(), thread: Some(thread) }
    }

    /// Waits until all is over.
    pub(crate) fn wait(mut self) {
        let thread = self.thread.take().expect("it is waited for once");
        thread.join().expect("what was taken is given back");
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        give_back(&self.place);
    }
}

fn take(place: &str, gone: Gone) {
    set_up(
        place,
        "ip",
        match gone {
            Gone::Link => "link set wire down",
            Gone::Route => "route delete 192.0.2.0/30 dev wire",
            Gone::Address => "address delete 192.0.2.1/30 dev wire",
        },
    );
}

/// The testbed's wire as it was: a link that was down has lost its IPv6 addresses.
fn give_back(place: &str) {
    for words in ["link set wire up", ADDRESS, ROUTE, "address add 2001:db8::1/64 dev wire nodad"] {
        undo(place, "ip", words);
    }
}
