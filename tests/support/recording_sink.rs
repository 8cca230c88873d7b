//! A sink that answers as it is told and notes what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Lines by measurement, tags and time: what a database of time series has after them.
pub(crate) type Points = BTreeMap<(String, String), BTreeMap<String, String>>;

/// An answer that takes points.
pub(crate) const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[derive(Debug, Default)]
struct Record {
    answers: VecDeque<String>,
    heads: Vec<String>,
    /// Of the requests that were answered by [`TAKEN`].
    lines: Vec<String>,
}

/// A server on a free port of 127.0.0.1, for as long as the test runs.
#[derive(Debug, Clone)]
pub(crate) struct RecordingSink {
    pub(crate) address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl RecordingSink {
    /// Answers each request by the next of `answers`, and the last again and again.
    pub(crate) fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let record = Arc::new(Mutex::new(Record { answers, ..Record::default() }));
        let sink = Self { address, record: Arc::clone(&record) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &record);
            }
        });
        sink
    }

    /// Where it takes points, with user and password.
    pub(crate) fn url(&self) -> String {
        format!("http://user:secret@{}/write?db=podperf", self.address)
    }

    /// The head of each request.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.record.lock().unwrap().heads.clone()
    }

    /// All lines that it took.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.record.lock().unwrap().lines.clone()
    }

    /// What a database has of them.
    pub(crate) fn points(&self) -> Points {
        self.lines().iter().map(|line| point(line)).collect()
    }
}

fn serve(stream: &TcpStream, record: &Mutex<Record>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut record = record.lock().unwrap();
    record.heads.push(head);
    let answer = match record.answers.len() {
        1 => record.answers[0].clone(),
        _ => record.answers.pop_front().unwrap(),
    };
    if answer == TAKEN {
        let body = String::from_utf8(body).unwrap();
        assert!(body.ends_with('\n'), "{body}");
        record.lines.extend(body.lines().map(str::to_owned));
    }
    let mut to = stream;
    to.write_all(answer.as_bytes()).unwrap();
}

/// Takes a line apart: blanks and commas within quotes, or behind a backslash, belong to what they
/// stand in.
fn point(line: &str) -> ((String, String), BTreeMap<String, String>) {
    let parts = split(line, ' ');
    let [series, fields, time] = parts.as_slice() else { panic!("no point: {line}") };
    let fields = split(fields, ',').into_iter().map(|field| {
        let (name, value) = field.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    ((series.clone(), time.clone()), fields.collect())
}

fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for char in text.chars() {
        if char == at && !quoted && !escaped {
            parts.push(String::new());
            continue;
        }
        quoted ^= char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        parts.last_mut().unwrap().push(char);
    }
    parts
}
