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
use crate::support::process::{Client, Server, podperf, podperf_json, send};
use crate::support::wire::is_dropped;
use crate::support::{TIMEOUT, count, eventually, free_port, number, sum, text};

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

/// A time as RFC 3339 writes it, of UTC.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z')
}

#[test]
fn a_log_of_json_has_an_object_a_line_and_one_for_each_run() {
    let server = Server::start(&["--log", "json", "--max-time", "20s"]);
    let target = server.target();
    let good = ["stream", &target, "-P", "3", "-t", "0.4", "-O", "0.1", "-J"];
    let good = podperf_json(&good);
    assert_eq!(good.status, 0);
    assert_eq!(podperf_json(&["udp", &target, "--rr", "-t", "0.4", "-O", "0.1"]).status, 0);
    podperf_json(&["rr", &target, "-t", "90"]).assert_failed(3, &["--max-time"]);
    let killed = Client::start(&["rr", &target, "-t", "15", "-P", "2", "-O", "0.1"]);
    server.wait_for_log("run of 2 connections");
    std::thread::sleep(Duration::from_millis(600));
    killed.signal(Signal::SIGKILL);
    killed.wait(TIMEOUT);
    // What a peer says stands in no line as it was said.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let _ =
        stream.write_all(b"\"}\n{\"event\": \"run\", \x1b[31m \xff\xfe ........................");
    assert!(is_dropped(&mut stream));
    server.wait_for_log("127.0.0.1:");
    let runs = || -> Vec<serde_json::Value> {
        let lines = server.log();
        let lines = lines.iter().map(|line| {
            let object: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(is_time(text(&object, "/time")), "{line}");
            match text(&object, "/event") {
                "log" => assert!(!text(&object, "/text").is_empty(), "{line}"),
                "run" => {}
                other => panic!("an event '{other}': {line}"),
            }
            object
        });
        lines.filter(|object| object["event"] == "run").collect()
    };
    assert!(eventually(TIMEOUT, || runs().len() == 4), "{:#?}", server.log());
    let runs = runs();
    let told = |number: usize| {
        let run = &runs[number];
        let code = run["error_code"].as_str();
        (text(run, "/status"), text(run, "/workload"), count(run, "/streams"), code)
    };
    assert_eq!(told(0), ("complete", "stream", 3, None));
    assert_eq!(told(1), ("complete", "udp_rr", 1, None));
    assert_eq!(told(2), ("refused", "rr", 1, Some("usage")));
    assert_eq!(told(3), ("incomplete", "rr", 2, Some("connection_lost")));
    let received = sum(&good.json, "/lifetime/bytes_received");
    assert_eq!((count(&runs[0], "/bytes_received"), count(&runs[0], "/bytes_sent")), (received, 0));
    assert!(count(&runs[3], "/bytes_sent") > 0 && !text(&runs[3], "/error").is_empty());
    for run in &runs {
        assert!((0.0..20.0).contains(&number(run, "/seconds")), "{run}");
        assert!(text(run, "/peer").starts_with("127.0.0.1:") && run["rule"].is_null(), "{run}");
    }
}
