//! Tests of the acceptor, with a protocol whose first message is a word.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Mutex;

use super::*;
use crate::net::{AddressLimits, PendingStage, listen};

const SOON: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_millis(200);

/// Reads a word of four letters, of which none may be a digit.
struct Word {
    stream: TcpStream,
    letters: Vec<u8>,
    deadline: Instant,
    paused_until: Option<Instant>,
}

impl Word {
    fn open(stream: TcpStream) -> io::Result<Self> {
        let deadline = Instant::now() + TIMEOUT;
        Ok(Self { stream, letters: Vec::new(), deadline, paused_until: None })
    }
}

impl AsFd for Word {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl FirstMessage for Word {
    type Message = String;

    fn read(&mut self) -> Result<Progress<String>> {
        if self.paused_until.take().is_some() {
            return Ok(Progress::Complete("late".into()));
        }
        let mut letter = [0];
        while self.letters.len() < 4 {
            match self.stream.read(&mut letter) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(_) if letter[0].is_ascii_digit() => {
                    return Err(Error::new(Kind::Unmeasured, "read a word of", "a digit"));
                }
                Ok(_) => self.letters.extend(letter),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Incomplete);
                }
                Err(error) => return Err(error).during("read a word of"),
            }
        }
        if self.letters == b"wait" {
            self.paused_until = Some(Instant::now() + SOON);
            return Ok(Progress::Incomplete);
        }
        Ok(Progress::Complete(String::from_utf8_lossy(&self.letters).into_owned()))
    }

    fn stage(&self) -> PendingStage {
        if self.letters.is_empty() { PendingStage::Silent } else { PendingStage::Begun }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    fn refuse(&self, why: Error) {
        let _ = (&self.stream).write(why.to_string().as_bytes());
    }
}

/// Lets `clients` play those of an acceptor, which holds at most `max_pending` of their address at
/// each stage; what it accepted and logged until `done`.
fn accept_from(
    max_pending: usize,
    clients: impl FnOnce(&dyn Fn(&[u8]) -> TcpStream) -> Vec<TcpStream>,
    done: impl Fn(&[String], &[String]) -> bool,
) -> (Vec<String>, Vec<String>) {
    let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let address = listener.local_addr().unwrap();
    let lines = Mutex::new(Vec::new());
    let log = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let stage = AddressLimits { per_address: max_pending, per_prefix: 99, in_all: 99 };
    let limits = PendingLimits { silent: stage, begun: stage };
    let mut acceptor = Acceptor::new(&listener, limits, &Word::open, &log);
    let _clients = clients(&|bytes| {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(bytes).unwrap();
        client
    });
    let mut words = Vec::new();
    let begun = Instant::now();
    while !done(&words, &lines.lock().unwrap()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{words:?} {lines:?}");
        let accepted = acceptor.poll(None, SOON).unwrap();
        words.extend(accepted.into_iter().map(|accepted| accepted.message));
    }
    (words, lines.into_inner().unwrap())
}

#[test]
fn silent_and_slow_connections_meet_their_deadline_and_hold_nobody_up() {
    let (words, lines) = accept_from(
        8,
        |connect| vec![connect(b""), connect(b"slo"), connect(b"fast")],
        |_, lines| lines.len() == 2,
    );
    assert_eq!(words, ["fast"]);
    assert!(lines.iter().all(|line| line.contains("not whole in time")), "{lines:?}");
}

#[test]
fn what_is_no_first_message_is_logged_with_its_peer_and_an_end_is_not() {
    let (words, lines) = accept_from(
        8,
        |connect| {
            let ended = connect(b"end");
            ended.shutdown(Shutdown::Write).unwrap();
            vec![ended, connect(b"a1bc"), connect(b"wordy and more of it")]
        },
        |words, lines| words.len() == 1 && lines.len() == 1,
    );
    assert_eq!(words, ["word"]);
    assert!(lines[0].starts_with("read a word of 127.0.0.1:"), "{lines:?}");
    assert!(lines[0].ends_with(": a digit; dropped"), "{lines:?}");
}

#[test]
fn the_oldest_silent_connection_goes_for_a_newer_one_and_is_told_which_limit() {
    let (words, lines) = accept_from(
        2,
        |connect| vec![connect(b""), connect(b"be"), connect(b""), connect(b""), connect(b"next")],
        |words, lines| words.len() == 1 && lines.len() == 4,
    );
    assert_eq!(words, ["next"]);
    assert!(lines[0].starts_with("closed 1 connections"), "{lines:?}");
    assert!(lines[0].contains("the limit 2 at a time from one address"), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.contains("not whole in time")), "{lines:?}");
}

#[test]
fn who_has_to_go_hears_why() {
    let heard = Mutex::new(None);
    accept_from(
        1,
        |connect| {
            let oldest = connect(b"a");
            *heard.lock().unwrap() = Some(oldest.try_clone().unwrap());
            vec![oldest, connect(b"b")]
        },
        |_, lines| !lines.is_empty(),
    );
    let mut text = String::new();
    heard.into_inner().unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("1 at a time from one address"), "{text}");
    assert!(text.contains("try again in a few seconds"), "{text}");
}

#[test]
fn a_paused_connection_is_read_when_its_pause_is_over() {
    let begun = Instant::now();
    let (words, _) = accept_from(8, |connect| vec![connect(b"wait")], |words, _| !words.is_empty());
    assert_eq!(words, ["late"]);
    assert!(begun.elapsed() >= SOON);
}
