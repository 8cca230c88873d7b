//! A port on which a scraper reads what a server has counted: HTTP/1.1, one request a connection.
//!
//! Enters: requests, and what makes the text. Leaves: the text, under the limits on connections
//! that hold for every port; whoever is silent, slow or long-winded is dropped, the oldest first.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::acceptor::{Accepted, Acceptor};
use super::address_limits::AddressLimits;
use super::first_message::{FirstMessage, PendingStage, Progress};
use super::listen::{ListeningPort, listen};
use super::pending::PendingLimits;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::open_metrics::CONTENT_TYPE;

/// A request's line and headers.
const MAX_REQUEST_BYTES: usize = 4096;
const MAX_HEADERS: usize = 32;
/// From a connection to its whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections at a time.
const MAX_PENDING: u64 = 64;
/// Between two looks at whether the server ends.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Where the text is.
const PATH: &str = "/metrics";

/// The port, open.
#[derive(Debug)]
pub struct ScrapePort {
    port: ListeningPort,
    address: SocketAddr,
}

impl ScrapePort {
    /// Opens it.
    ///
    /// # Errors
    /// Naming the address, when it is taken or not this host's.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let opened = listen(address, false);
        let port = opened.map_err(|error| error.with_remedy("choose another for --metrics"))?;
        let address = port.local_addr().during("look up the port of --metrics")?;
        Ok(Self { port, address })
    }

    /// Where the text is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Answers every request by what `text` makes, until `ended` is disconnected.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn serve(&self, text: &dyn Fn() -> String, ended: &Receiver<()>) -> Result<()> {
        let open = |stream| Ok(HttpRequest::new(stream));
        let limits = || AddressLimits::shared(MAX_PENDING, (1, 2), (3, 4));
        let limits = PendingLimits { silent: limits(), begun: limits() };
        // Anybody may say anything here, which is nothing for the log of runs.
        let mut acceptor = Acceptor::new(&self.port, limits, &open, &|_| {});
        while ended.try_recv() == Err(TryRecvError::Empty) {
            for Accepted { connection, message, .. } in acceptor.poll(None, POLL_INTERVAL)? {
                // A scraper that is gone asks again.
                let _ = connection.answer(message, text);
            }
        }
        Ok(())
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Text,
    /// What a GET would bring, without it.
    Head,
    NoSuchPath,
    NoSuchMethod,
    Nonsense,
}

/// A connection and its request, as far as it has come.
struct HttpRequest {
    stream: TcpStream,
    received: Vec<u8>,
    deadline: Instant,
}

impl HttpRequest {
    fn new(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new(), deadline: Instant::now() + REQUEST_TIMEOUT }
    }

    /// Answers without waiting: what is sent fits into the empty buffer of a new connection.
    fn answer(mut self, asked: Asked, text: &dyn Fn() -> String) -> io::Result<()> {
        let plain = "text/plain; charset=utf-8";
        let (status, content, body) = match asked {
            Asked::Text | Asked::Head => ("200 OK", CONTENT_TYPE, text()),
            Asked::NoSuchPath => ("404 Not Found", plain, format!("see {PATH}\n")),
            Asked::NoSuchMethod => ("405 Method Not Allowed", plain, "GET or HEAD\n".to_owned()),
            Asked::Nonsense => ("400 Bad Request", plain, "not a request of HTTP/1.1\n".to_owned()),
        };
        let allow = if asked == Asked::NoSuchMethod { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content}\r\nContent-Length: {length}\r\n\
             {allow}Connection: close\r\n\r\n"
        );
        let body = if asked == Asked::Head { "" } else { &body };
        self.stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
        self.stream.shutdown(Shutdown::Write)
    }
}

impl AsFd for HttpRequest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl FirstMessage for HttpRequest {
    type Message = Asked;

    fn read(&mut self) -> Result<Progress<Asked>> {
        const OPERATION: &str = "read the request of";
        let mut part = [0; 1024];
        loop {
            let count = match self.stream.read(&mut part) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Incomplete);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).during(OPERATION),
            };
            self.received.extend_from_slice(&part[..count]);
            if let Some(asked) = asked(&self.received) {
                return Ok(Progress::Complete(asked));
            }
            if self.received.len() > MAX_REQUEST_BYTES {
                let cause = format!("it is longer than {MAX_REQUEST_BYTES} B");
                let error = Error::new(Kind::Unmeasured, OPERATION, cause);
                return Err(error.with_code(Code::Protocol));
            }
        }
    }

    fn stage(&self) -> PendingStage {
        if self.received.is_empty() { PendingStage::Silent } else { PendingStage::Begun }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// Reads a request; absent: it is not whole yet.
fn asked(received: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(received) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(Asked::Nonsense),
    }
    // A scraper may add a query.
    let path = request.path.and_then(|path| path.split('?').next());
    Some(match (request.method, path) {
        (Some("GET"), Some(PATH)) => Asked::Text,
        (Some("HEAD"), Some(PATH)) => Asked::Head,
        (Some("GET" | "HEAD"), _) => Asked::NoSuchPath,
        _ => Asked::NoSuchMethod,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_by_what_it_asks_for() {
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Some(Asked::Text)),
            ("GET /metrics?name[]=a HTTP/1.1\r\nHost: a\r\n\r\n", Some(Asked::Text)),
            ("HEAD /metrics HTTP/1.0\r\n\r\n", Some(Asked::Head)),
            ("GET / HTTP/1.1\r\n\r\n", Some(Asked::NoSuchPath)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Asked::NoSuchMethod)),
            ("GET /metrics HTTP/1.1\r\n", None),
            ("", None),
            ("podperf\0\u{1}", Some(Asked::Nonsense)),
        ] {
            assert_eq!(asked(request.as_bytes()), expected, "{request:?}");
        }
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(asked(many.as_bytes()), Some(Asked::Nonsense));
    }
}
