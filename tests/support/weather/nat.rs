//! What stands between two ends and changes addresses: a host that masquerades, and a proxy that
//! ends each TCP connection and opens another.

use std::fs::File;
use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::{set_up, undo};
use crate::support::namespaces::TwoHosts;

/// `hostA` gives its own address to what its pod sends to `hostB`; gone when dropped.
#[derive(Debug)]
pub(crate) struct Masquerade {
    place: String,
}

impl Masquerade {
    /// Changes the port too where `random` says so, as kube-proxy does it.
    pub(crate) fn up(hosts: &TwoHosts, random: bool) -> Self {
        let place = hosts.place("hostA");
        let how = if random { "masquerade fully-random" } else { "masquerade" };
        set_up(
            &place,
            "nft",
            &format!(
                "table ip nat_between {{
                     chain out {{
                         type nat hook postrouting priority 100;
                         ip saddr 10.244.0.0/24 oifname wire {how};
                     }};
                 }}"
            ),
        );
        Self { place }
    }
}

impl Drop for Masquerade {
    fn drop(&mut self) {
        undo(&self.place, "nft", "delete table ip nat_between");
    }
}

/// Does `work` in the network namespace `place`; sockets that it opens stay there.
pub(crate) fn inside<T: Send + 'static>(
    place: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let place = format!("/run/netns/{place}");
    let entered = move || {
        let namespace = File::open(&place).expect("the namespace is there");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("it can be entered");
        work()
    };
    thread::spawn(entered).join().expect("it works there")
}

/// Starts a TCP proxy in `place`: what comes to its port goes to `server`. Its port. It passes
/// connections on until this process ends.
pub(crate) fn tcp_proxy(place: &str, server: SocketAddr) -> u16 {
    let opened = inside(place, || TcpListener::bind("0.0.0.0:0").expect("a port is free"));
    let port = opened.local_addr().expect("it has one").port();
    let place = place.to_owned();
    thread::spawn(move || {
        for near in opened.incoming().map_while(Result::ok) {
            let Ok(far) = inside(&place, move || TcpStream::connect(server)) else { continue };
            for stream in [&near, &far] {
                stream.set_nodelay(true).expect("it is TCP");
            }
            for (from, to) in [(&near, &far), (&far, &near)] {
                let pair = from.try_clone().and_then(|from| Ok((from, to.try_clone()?)));
                let (mut from, mut to) = pair.expect("descriptors are left");
                thread::spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    port
}
