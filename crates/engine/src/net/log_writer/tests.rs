//! The log with a reader that takes everything, nothing, or comes back.

use super::*;

/// Hands over what is written; with its receiver full it blocks, as a pipe does.
struct Pipe(Sender<String>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn lines_are_written_in_order_and_the_last_before_the_end() {
    let (pipe, read) = bounded(1000);
    let log = LogWriter::start("test", LogFormat::Text, Pipe(pipe)).unwrap();
    (0..100).for_each(|number| log.write(&format!("line {number}")));
    log.write("a\nb\x1b[31m");
    log.write(&"x".repeat(5_000));
    drop(log);
    let lines: Vec<String> = read.iter().collect();
    assert_eq!(lines[..2], ["test: line 0\n", "test: line 1\n"]);
    assert_eq!(lines[100], "test: a b [31m\n");
    assert_eq!(lines[101], format!("test: {}…\n", "x".repeat(MAX_LINE_CHARACTERS)));
    assert_eq!(lines.len(), 102);
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_says_later_what_it_left_out() {
    let (pipe, read) = bounded(0);
    let log = LogWriter::start("test", LogFormat::Text, Pipe(pipe)).unwrap();
    let begun = Instant::now();
    // Together no more than may come at once; one of them may be on its way to the reader.
    let (written, more) = (MAX_QUEUED_LINES, 300);
    (0..written + more).for_each(|number| log.write(&format!("line {number}")));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let reader = std::thread::spawn(move || read.iter().collect::<Vec<String>>());
    drop(log);
    let lines = reader.join().unwrap();
    let note = lines.last().unwrap();
    let left_out = written + more - (lines.len() - 1);
    assert!((more - 1..=more).contains(&left_out), "{left_out}");
    let expected = format!("left out {left_out} lines of this log: {left_out} while nobody read");
    assert!(note.contains(&expected), "{note}");
}

#[test]
fn the_end_does_not_wait_for_a_reader_that_takes_nothing() {
    let (pipe, _unread) = bounded(0);
    let log = LogWriter::start("test", LogFormat::Text, Pipe(pipe)).unwrap();
    log.write("nobody reads this");
    let begun = Instant::now();
    drop(log);
    assert!(begun.elapsed() < LAST_LINES_TIMEOUT + Duration::from_secs(10));
}

#[test]
fn an_address_has_its_share_and_leaves_the_others_theirs() {
    let now = Instant::now();
    let mut limits = LogLimits::new(now);
    let (loud, quiet) = (address("192.0.2.1"), address("192.0.2.2"));
    let admitted = |limits: &mut LogLimits, of, at, count: u32| {
        (0..count).filter(|_| limits.admit(Some(of), at)).count()
    };
    assert_eq!(admitted(&mut limits, loud, now, 7_000), 256);
    assert_eq!(admitted(&mut limits, quiet, now, 9), 9);
    let later = now + Duration::from_secs(3);
    assert_eq!(admitted(&mut limits, loud, later, 7_000), 30);
    let note = limits.left_out.note().unwrap();
    let expected = "left out 13714 lines of this log: 13714 beyond 10 a second of one address, as \
                    192.0.2.1";
    assert_eq!(note, expected);
}

#[test]
fn many_addresses_together_have_a_bound_and_little_memory() {
    let now = Instant::now();
    let mut limits = LogLimits::new(now);
    let addresses = (0..20_000_u32).map(|number| IpAddr::from(number.to_be_bytes()));
    let admitted = addresses.filter(|of| limits.admit(Some(*of), now)).count();
    assert_eq!(admitted, 1024);
    assert_eq!(limits.addresses.len(), MAX_ADDRESSES);
    assert_eq!(limits.left_out.of_all, 20_000 - 1024);
    // Those that were quiet since make room.
    let later = now + Duration::from_secs(60);
    assert!(limits.admit(Some(address("2001:db8::1")), later));
    assert_eq!(limits.addresses.len(), 1);
}

#[test]
fn a_line_counts_under_the_first_address_in_it() {
    for (line, expected) in [
        ("192.0.2.7:41000: run of 4 connections", Some("192.0.2.7")),
        ("read the preamble of 192.0.2.7:9: it says 198.51.100.1; dropped", Some("192.0.2.7")),
        ("[2001:db8:1:2:3:4:5:6]:80: the client left", Some("2001:db8:1:2::")),
        ("[::ffff:192.0.2.7]:80: the client left", Some("192.0.2.7")),
        ("[fe80::1%3]:80: the client left", Some("fe80::")),
        ("read the control connection to a (192.0.2.7:9): silent", Some("192.0.2.7")),
        ("accept a connection: too many open files; trying again", None),
    ] {
        assert_eq!(address_in(line), expected.map(address), "{line}");
    }
}
