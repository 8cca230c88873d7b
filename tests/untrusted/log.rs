//! What untrusted peers make a server log: a log that nobody reads holds nobody up, and one address
//! does not fill it.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::netserver::netserver;
use crate::support::process::{Server, podperf, podperf_json, send};
use crate::support::wire::is_dropped;
use crate::support::{TIMEOUT, eventually, free_port};

/// What no protocol of podperf begins with, longer than a whole message of netserver's.
const GARBAGE: [u8; 1024] = [b'g'; 1024];

/// A server whose standard error is a pipe that nobody reads; killed when dropped.
struct Unread(Child);

impl Unread {
    /// `command` on a port that it was given, once it listens there.
    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let unread = Self(child.expect("it starts"));
        let pipe = unread.0.stderr.as_ref().expect("piped");
        // As small as the system lets a pipe be: some tens of lines.
        fcntl(pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("it is a pipe");
        let open = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(eventually(TIMEOUT, open), "nobody listens at port {port}");
        unread
    }

    /// Ends it as a service manager does; its exit status, if it ends in time.
    fn terminate(&mut self) -> Option<i32> {
        send(self.0.id(), Signal::SIGTERM);
        let mut ended = None;
        eventually(TIMEOUT, || {
            ended = self.0.try_wait().expect("it can be asked");
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens a connection from `from` that says something else than any client, and waits until the
/// server hangs up.
fn say_garbage(from: [u8; 4], port: u16) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    if socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).is_err() {
        return false;
    }
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    // The server may have hung up before the last byte.
    let _ = stream.write_all(&GARBAGE).and_then(|()| stream.shutdown(Shutdown::Write));
    is_dropped(&mut stream)
}

#[test]
fn a_log_that_nobody_reads_holds_no_server_up() {
    let schedule = r#"{"agents": ["a"], "join_seconds": 60, "steps": [
        {"test": "t", "sample": 1, "agents": ["a"], "limit_seconds": 9}]}"#;
    for name in ["serve", "coordinate", "netserver"] {
        let port = free_port();
        let number = port.to_string();
        let mut command = if name == "netserver" { netserver() } else { podperf(None) };
        if name == "netserver" {
            command.args(["-D", "-d", "-L", "127.0.0.1", "-p", &number]);
        } else {
            command.args([name, "--bind", "127.0.0.1", "-p", &number]);
            command.env("PODPERF_SCHEDULE", schedule);
        }
        let mut server = Unread::start(command, port);
        for number in 0..200 {
            assert!(say_garbage([127, 0, 0, 1], port), "{name} is held up after {number} lines");
        }
        if name == "serve" {
            let outcome = podperf_json(&["rr", &format!("127.0.0.1:{port}"), "-n", "70", "-J"]);
            assert_eq!(outcome.status, 0, "{outcome:#?}");
        }
        assert_eq!(server.terminate(), Some(143), "{name} does not end at a signal");
    }
}

#[test]
fn one_address_does_not_fill_the_log_and_what_is_left_out_is_counted() {
    let server = Server::start(&[]);
    let (begun, count) = (Instant::now(), 1_500);
    for number in 0..count {
        assert!(say_garbage([127, 0, 0, 1], server.port), "peer {number} was kept");
    }
    // 256 at once and 10 a second, as docs/ARCHITECTURE.md says; the log may be read late.
    let most = 256 + 10 * (begun.elapsed().as_secs() + 1);
    assert!(say_garbage([127, 0, 0, 2], server.port));
    server.wait_for_log("127.0.0.2:");
    let lines = server.log().iter().filter(|line| line.contains(" 127.0.0.1:")).count();
    let lines = u64::try_from(lines).unwrap();
    assert!((200..=most).contains(&lines), "{lines} lines about one address");
    server.wait_for_log("one address, as 127.0.0.1");
    let left_out = || -> u64 {
        let count =
            |line: &String| line.split_once("left out ")?.1.split(' ').next()?.parse::<u64>().ok();
        server.log().iter().filter_map(count).sum()
    };
    assert!(eventually(Duration::from_secs(5), || left_out() + lines >= count), "{}", left_out());
    server.assert_serves();
}
