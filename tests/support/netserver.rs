//! podperf as netserver, and a client that speaks netperf's wire byte by byte.

use podperf_model::AddressFamily;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use podperf_netperf::test_kind::Protocol;
use podperf_netperf::wire::ask::OmniRequest;
use podperf_netperf::wire::reply::{OmniResponse, OmniResults};
use podperf_netperf::wire::{WireMessage, kind};

use super::process::program;
use super::wire::{connect, is_dropped};
use super::{TIMEOUT, eventually};

/// podperf under the name netserver, on a port of its own; killed when dropped.
pub(crate) struct Netserver {
    pub(crate) child: Child,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) port: u16,
    /// Threads and descriptors without a client.
    idle: [usize; 2],
}

pub(crate) fn netserver() -> Command {
    let mut command = Command::new(program());
    command.arg0("netserver").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// podperf under the name netperf.
pub(crate) fn netperf(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg0("netperf").args(args).stdin(Stdio::null());
    command
}

impl Netserver {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::launch(netserver(), args)
    }

    /// `command` with netserver's options behind; its outputs are pipes.
    pub(crate) fn launch(mut command: Command, args: &[&str]) -> Self {
        command.args(["-D", "-d", "-p", "0"]).args(args);
        if !args.contains(&"-L") {
            command.args(["-L", "127.0.0.1"]);
        }
        let mut child = command.spawn().expect("netserver starts");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let notes = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                notes.lock().unwrap().push(line);
            }
        });
        let mut server = Self { child, log, port: 0, idle: [0; 2] };
        let line = server.wait_for_log("listening on ");
        // Text, or the end of an object of JSON.
        let port = line.trim_end_matches(['"', '}']).rsplit(':').next();
        server.port = port.unwrap().parse().expect("a port");
        server
    }

    /// Notes what it holds while one client is there, but for that one's thread and descriptor.
    pub(crate) fn measured(mut self) -> Self {
        let mut client = self.client();
        client.ask(&WireMessage::of(kind::CPU_CALIBRATE));
        self.idle = self.resources().map(|held| held - 1);
        self
    }

    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let found = || self.log.lock().unwrap().iter().find(|line| line.contains(part)).cloned();
        eventually(TIMEOUT, || found().is_some());
        found().unwrap_or_else(|| panic!("no '{part}' in {:#?}", self.log.lock().unwrap()))
    }

    /// Lines of its log with `part` in them.
    pub(crate) fn count_in_log(&self, part: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    pub(crate) fn client(&self) -> Client {
        Client(connect(self.port))
    }

    /// Threads and descriptors.
    pub(crate) fn resources(&self) -> [usize; 2] {
        ["task", "fd"].map(|what| {
            let entries = std::fs::read_dir(format!("/proc/{}/{what}", self.child.id()));
            entries.expect("it runs").count()
        })
    }

    /// No client's thread or descriptor is left.
    pub(crate) fn assert_all_freed(&self) {
        let freed = eventually(TIMEOUT, || self.resources() == self.idle);
        let (held, log) = (self.resources(), self.log.lock().unwrap());
        assert!(freed, "it holds {held:?}, and {:?} before any client: {log:#?}", self.idle);
    }

    /// No thread of it panicked.
    pub(crate) fn assert_no_panic(&self) {
        let log = self.log.lock().unwrap();
        assert!(!log.iter().any(|line| line.contains("panic")), "{log:#?}");
    }

    /// The next client is served.
    pub(crate) fn assert_serves(&self) {
        let mut client = self.client();
        let request = OmniRequest { test_length: -9, ..transactions(1, 1) };
        let mut data = client.begin(&request).1;
        for _ in 0..9 {
            data.write_all(b"n").unwrap();
            data.read_exact(&mut [0]).expect("a response");
        }
        assert_eq!(client.finish(data).counters.transactions, 9);
    }
}

impl Drop for Netserver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn send(&mut self, message: &WireMessage) {
        message.write(&mut self.0).expect("the server listens");
    }

    pub(crate) fn receive(&mut self) -> WireMessage {
        WireMessage::read(&mut self.0).expect("an answer")
    }

    pub(crate) fn ask(&mut self, message: &WireMessage) -> WireMessage {
        self.send(message);
        self.receive()
    }

    pub(crate) fn response(&mut self, request: &OmniRequest) -> OmniResponse {
        OmniResponse::read(&self.ask(&request.write()))
    }

    pub(crate) fn refusal(&mut self, request: &OmniRequest) -> i32 {
        self.response(request).errno
    }

    /// Asks for a test, and opens its data connection.
    pub(crate) fn begin(&mut self, request: &OmniRequest) -> (OmniResponse, TcpStream) {
        let response = self.response(request);
        assert_eq!(response.errno, 0);
        let data = connect(response.data_port);
        (response, data)
    }

    pub(crate) fn results(&mut self) -> OmniResults {
        OmniResults::read(&self.receive())
    }

    /// Ends a data connection as netperf does.
    pub(crate) fn finish(&mut self, mut data: TcpStream) -> OmniResults {
        data.shutdown(Shutdown::Write).unwrap();
        assert_eq!(data.read(&mut [0]).expect("the server ends its side"), 0);
        let results = self.results();
        assert_eq!(results.errno, 0);
        results
    }

    /// The server ends the connection without a word.
    pub(crate) fn dropped(mut self) -> bool {
        is_dropped(&mut self.0)
    }
}

pub(crate) fn stream(direction: u32) -> OmniRequest {
    OmniRequest {
        family: Some(AddressFamily::V4),
        protocol: Some(Protocol::Tcp),
        direction,
        test_length: 1,
        ..OmniRequest::default()
    }
}

pub(crate) fn transactions(request: u32, response: u32) -> OmniRequest {
    OmniRequest { request_size: Some(request), response_size: Some(response), ..stream(6) }
}

pub(crate) fn datagrams(request: OmniRequest) -> OmniRequest {
    OmniRequest { protocol: Some(Protocol::Udp), ..request }
}
