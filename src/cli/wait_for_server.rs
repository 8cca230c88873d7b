//! Waits for a server that is still to come: where both ends start at once, the client is often
//! there first.
//!
//! Enters: whom to measure against, and how long to wait. Leaves: nothing; whether there is a
//! server is for the run to find out, and to say.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use podperf_engine::control::client::Target;
use podperf_model::error::Kind;

/// Between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns when something takes connections where `target` points, after `wait_for_server`, or on a
/// signal, which is left for the run to find. The wait counts towards the deadline.
pub(super) fn wait(target: &mut Target, wait_for_server: Duration, stop: &Receiver<Kind>) {
    let begun = Instant::now();
    let until = begun + target.deadline.map_or(wait_for_server, |limit| limit.min(wait_for_server));
    let (hold, answered) = bounded::<()>(0);
    let sought = target.clone();
    // In a thread that is left alone when time is up: a resolver keeps to no deadline. Its end
    // closes the channel.
    let attempts = Builder::new().name("podperf-wait".into()).spawn(move || {
        let _hold = hold;
        while Instant::now() < until && !answers(&sought, until) {
            thread::sleep(RETRY_PAUSE);
        }
    });
    while attempts.is_ok()
        && stop.is_empty()
        && Instant::now() < until
        && answered.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout)
    {}
    target.deadline = target.deadline.map(|limit| limit.saturating_sub(begun.elapsed()));
}

fn answers(target: &Target, until: Instant) -> bool {
    let host = target.host.as_deref().unwrap_or_default();
    let Ok(mut addresses) = (host, target.port).to_socket_addrs() else { return false };
    addresses.any(|address| {
        let left = until.saturating_duration_since(Instant::now()).min(target.connect_timeout);
        let wanted = target.family.is_none_or(|family| family.has(address.ip()));
        wanted && !left.is_zero() && TcpStream::connect_timeout(&address, left).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use podperf_model::AddressFamily;

    /// Longer than any of these waits may take.
    const LONG: Duration = Duration::from_secs(60);

    fn target(port: u16) -> Target {
        Target {
            host: Some("127.0.0.1".to_owned()),
            port,
            family: None,
            bind: None,
            token: None,
            connect_timeout: Duration::from_secs(5),
            peer_timeout: Duration::from_secs(5),
            deadline: None,
        }
    }

    fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn a_server_that_comes_later_ends_the_wait() {
        let port = free_port();
        let later = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap().accept().unwrap()
        });
        let begun = Instant::now();
        let mut target = target(port);
        target.deadline = Some(LONG);
        wait(&mut target, LONG, &crossbeam_channel::never());
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(300) && waited < LONG / 2, "{waited:?}");
        let left = target.deadline.unwrap();
        assert!(left <= LONG - Duration::from_millis(300) && left > LONG / 2, "{left:?}");
        later.join().unwrap();
    }

    #[test]
    fn the_wait_ends_without_a_server_too() {
        let (signal, stop) = bounded(1);
        let begun = Instant::now();
        wait(&mut target(free_port()), Duration::from_millis(100), &stop);
        let mut hurried = target(free_port());
        hurried.deadline = Some(Duration::from_millis(100));
        wait(&mut hurried, LONG, &stop);
        assert_eq!(hurried.deadline, Some(Duration::ZERO));
        assert!(begun.elapsed() >= Duration::from_millis(200));
        signal.send(Kind::Terminated).unwrap();
        wait(&mut target(free_port()), LONG, &stop);
        assert!(begun.elapsed() < LONG / 2);
        assert_eq!(stop.try_recv(), Ok(Kind::Terminated), "the run is to see it");
    }

    #[test]
    fn a_server_of_the_other_family_is_none() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut target = target(listener.local_addr().unwrap().port());
        let soon = Instant::now() + LONG;
        assert!(answers(&target, soon));
        target.family = Some(AddressFamily::V6);
        assert!(!answers(&target, soon));
    }
}
