//! Clients of netserver that are slow on purpose, or guess: their time is bounded, whatever keeps
//! coming.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use podperf_netperf::wire::native::{ClientMessage, Identity};
use podperf_netperf::wire::{WireMessage, kind};

use crate::support::netserver::{Client, Netserver};
use crate::support::wire::connect_from;
use crate::support::{TIMEOUT, eventually};

/// A message's deadline, and some time for a busy machine.
const ENDED: Duration = Duration::from_secs(50);

#[test]
fn messages_that_come_byte_by_byte_meet_a_deadline() {
    let server = Netserver::start(&[]).measured();
    let over = AtomicBool::new(false);
    let slow = |mut client: Client| {
        while !over.load(Ordering::Relaxed) {
            if client.0.write_all(b"g").is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        false
    };
    std::thread::scope(|scope| {
        // A first message, and the next one behind a whole one.
        let first = scope.spawn(|| slow(server.client()));
        let mut client = server.client();
        client.ask(&WireMessage::of(kind::CPU_CALIBRATE));
        let second = scope.spawn(|| slow(client));
        server.assert_serves();
        let ended = eventually(ENDED, || first.is_finished() && second.is_finished());
        over.store(true, Ordering::Relaxed);
        assert!(ended, "netserver still listens to slow clients");
    });
    server.assert_all_freed();
    server.assert_serves();
}

#[test]
fn guesses_of_a_passphrase_are_looked_at_ever_more_slowly() {
    let server = Netserver::start(&["-Z", "open sesame"]);
    let say = |own: [u8; 4], text: &str| {
        let mut client = Client(connect_from(own, server.port));
        let mut message = WireMessage::of(kind::PASSPHRASE);
        message.put_text(8, 648, text);
        client.send(&message);
        client
    };
    let is_known = |mut client: Client| {
        // It may have been hung up on already.
        let _ = ClientMessage::Probe.write().write(&mut client.0);
        WireMessage::read(&mut client.0).is_ok_and(|answer| Identity::read(&answer).is_some())
    };
    for number in 0..12 {
        assert!(!is_known(say([127, 0, 0, 1], &format!("open {number}"))));
    }
    assert!(!is_known(say([127, 0, 0, 1], "open sesame")), "the guesses are looked at without end");
    server.wait_for_log("wrong tokens came from this address");
    assert!(is_known(say([127, 0, 0, 2], "open sesame")), "another address waits with it");
    let again = || is_known(say([127, 0, 0, 1], "open sesame"));
    assert!(eventually(TIMEOUT, again), "it is never looked at again");
}
