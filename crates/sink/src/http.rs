//! One request to a sink: HTTP/1.1 over TCP, one connection each.
//!
//! Enters: an address, a token and lines. Leaves: the answer. Written by hand over `httparse`,
//! which the server of metrics links too: a client library brings connection pools, redirects,
//! proxies and types for all of HTTP, 0.4 MB of a program that has to fit a small image, for one
//! kind of request of known length.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::answer::HttpAnswer;
use crate::url::SinkUrl;
use podperf_model::error::{Error, Kind, Result};

/// For a whole request, from connecting to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer so much is read.
const MAX_ANSWER_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// What takes lines and answers.
pub trait Transport: Send {
    /// The sink's address, to be named in errors.
    fn url(&self) -> &SinkUrl;

    /// Sends lines, once, and waits for the answer.
    ///
    /// # Errors
    /// When no answer came: the sink cannot be reached, or says nothing in time.
    fn post(&mut self, lines: &str) -> io::Result<HttpAnswer>;
}

/// A sink that is reached by HTTP.
#[derive(Debug)]
pub struct HttpSink {
    url: SinkUrl,
    /// All of the request but the length of its body and what follows.
    head: String,
}

impl HttpSink {
    /// One at `url`, which knows this program by `token` where there is one.
    ///
    /// # Errors
    /// When there are two secrets, or the token is none.
    pub fn new(url: SinkUrl, token: Option<&str>) -> Result<Self> {
        let refuse = |cause: &str| Err(Error::new(Kind::Usage, "use the sink's token", cause));
        let authorization = match (token, &url.basic) {
            (Some(_), Some(_)) => {
                return refuse("the address has user and password too; allowed: one of both");
            }
            (Some(token), None) => {
                if token.is_empty() || !token.chars().all(|char| char.is_ascii_graphic()) {
                    return refuse("allowed: letters, digits and signs of ASCII, without blanks");
                }
                format!("Authorization: Token {token}\r\n")
            }
            (None, Some(basic)) => format!("Authorization: {basic}\r\n"),
            (None, None) => String::new(),
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: podperf/{}\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\n{authorization}",
            url.path,
            url.authority,
            env!("CARGO_PKG_VERSION"),
        );
        Ok(Self { url, head })
    }

    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (self.url.host.as_str(), self.url.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, time_left(deadline)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Transport for HttpSink {
    fn url(&self) -> &SinkUrl {
        &self.url
    }

    fn post(&mut self, lines: &str) -> io::Result<HttpAnswer> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let mut stream = self.connect(deadline)?;
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, lines.len());
        let written =
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(lines.as_bytes()));
        // Who refuses a request may answer and close before it has read all of it.
        read_answer(&mut stream, deadline).map_err(|error| written.err().unwrap_or(error))
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Reads until the answer is whole, or the other side closes, or there is enough of it.
fn read_answer(stream: &mut TcpStream, deadline: Instant) -> io::Result<HttpAnswer> {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(answer) = answer(&received, received.len() >= MAX_ANSWER_BYTES)? {
            return Ok(answer);
        }
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        match stream.read(&mut piece) {
            Ok(0) => {
                let cut = || io::Error::new(ErrorKind::UnexpectedEof, "closed without an answer");
                return answer(&received, true)?.ok_or_else(cut);
            }
            Ok(count) => received.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Parses what has come; absent: there is more to come. `is_all`: there is not.
pub(crate) fn answer(mut received: &[u8], is_all: bool) -> io::Result<Option<HttpAnswer>> {
    while let Some(end) = interim_end(received) {
        received = &received[end..];
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let no_http = |cause: httparse::Error| {
        io::Error::new(ErrorKind::InvalidData, format!("what answers is no HTTP server: {cause}"))
    };
    let httparse::Status::Complete(end) = response.parse(received).map_err(no_http)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
    };
    let chunked = header("Transfer-Encoding").is_some_and(|coding| coding.contains("chunked"));
    let length = header("Content-Length").and_then(|length| length.parse::<usize>().ok());
    let rest = &received[end..];
    let (body, is_whole) = match (chunked, length) {
        _ if status == 204 || status == 304 => (Vec::new(), true),
        (true, _) => joined(rest),
        (false, Some(length)) => (rest[..rest.len().min(length)].to_vec(), rest.len() >= length),
        (false, None) => (rest.to_vec(), false),
    };
    Ok((is_whole || is_all).then(|| HttpAnswer {
        status,
        content_type: header("Content-Type"),
        location: header("Location"),
        retry_after: header("Retry-After")
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}

/// Where an answer ends that only says that another will come (1xx).
fn interim_end(received: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(received) {
        Ok(httparse::Status::Complete(end)) => {
            response.code.filter(|code| (100..200).contains(code)).map(|_| end)
        }
        _ => None,
    }
}

/// Puts chunks together; says whether the last was among them.
fn joined(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size == 0 {
            return (body, true);
        }
        let chunk = &rest[start..];
        body.extend_from_slice(&chunk[..chunk.len().min(size)]);
        // Behind each chunk a line ends.
        let Some(behind) = size.checked_add(2).and_then(|end| chunk.get(end..)) else { break };
        rest = behind;
    }
    (body, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, is_all: bool) -> Option<(u16, String)> {
        answer(text.as_bytes(), is_all).unwrap().map(|answer| (answer.status, answer.body))
    }

    #[test]
    fn an_answer_is_whole_by_its_length_its_chunks_or_its_end() {
        let body = |text: &str| Some((200, text.to_owned()));
        for (text, whole, cut) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", body("ab"), body("ab")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None, body("ab")),
            ("HTTP/1.1 200 OK\r\n\r\nab", None, body("ab")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n",
                body("ab"),
                body("ab"),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", None, body("ab")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", None, None),
            ("HTTP/1.1 200", None, None),
            ("", None, None),
        ] {
            assert_eq!(parsed(text, false), whole, "{text}");
            assert_eq!(parsed(text, true), cut, "{text}");
        }
        assert_eq!(parsed("HTTP/1.1 204 No Content\r\n\r\n", false), Some((204, String::new())));
        let strange = answer(b"SSH-2.0-OpenSSH\r\n", false).unwrap_err();
        assert!(strange.to_string().starts_with("what answers is no HTTP server"), "{strange}");
        // As many as there may be.
        let interim = "HTTP/1.1 100 \r\n\r\n".repeat(MAX_ANSWER_BYTES / 17);
        assert_eq!(parsed(&(interim + "HTTP/1.1 204 \r\n\r\n"), true).unwrap().0, 204);
        let slow = answer(b"HTTP/1.1 429 \r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n", false);
        assert_eq!(slow.unwrap().unwrap().retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_token_is_one_word_and_the_only_secret() {
        let sink = |url, token| {
            let url = SinkUrl::read("--sink", url).unwrap();
            HttpSink::new(url, token).map(|sink| sink.head).map_err(|error| error.to_string())
        };
        assert!(sink("http://h/", Some("t")).unwrap().ends_with("\r\nAuthorization: Token t\r\n"));
        assert!(sink("http://u@h/", None).unwrap().contains("\r\nAuthorization: Basic dTo=\r\n"));
        assert!(!sink("http://h/", None).unwrap().contains("Authorization"));
        assert!(sink("http://u:p@h/", Some("t")).unwrap_err().contains("allowed: one of both"));
        for token in ["", "a b", "a\r\nHost: b", "ä"] {
            assert!(sink("http://h/", Some(token)).unwrap_err().contains("of ASCII"), "{token}");
        }
    }
}
