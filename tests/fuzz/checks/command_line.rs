//! Words of podperf's own command line, as an agent gets them: a plan, or a refusal that can be
//! shown.

use super::text::assert_plain;

/// What may stand in such a command line; others come letter by letter.
const WORDS: [&str; 64] = [
    "stream",
    "rr",
    "crr",
    "udp",
    "udp-rr",
    "192.0.2.1",
    "[::1]:5210",
    "-P",
    "--streams",
    "--flows",
    "-t",
    "--time",
    "-l",
    "--length",
    "-R",
    "--bidir",
    "--bytes",
    "--transactions",
    "--omit",
    "--interval",
    "--workers",
    "--server-workers",
    "--pin",
    "--server-pin",
    "--wait",
    "spin",
    "busy-poll",
    "--congestion",
    "cubic",
    "--window",
    "--mss",
    "--bitrate",
    "--dscp",
    "--no-delay",
    "--cork",
    "--quick-ack",
    "--mptcp",
    "--send",
    "uring-zc",
    "--recv",
    "mmap",
    "--request",
    "--response",
    "--burst",
    "--rate",
    "--load",
    "--load-length",
    "--backend",
    "--close",
    "--gso",
    "--gro",
    "--fragment",
    "--timeout",
    "auto",
    "none",
    "0",
    "1",
    "10",
    "64M",
    "1e9",
    "0-3,5",
    "--",
    "--help",
    "-1",
];

/// Checks the words of one command line.
pub fn check(data: &[u8]) {
    // Every byte above the letters names a word; a line end ends one that is spelt.
    let mut words = vec![String::new()];
    for &byte in data.iter().take(256) {
        match byte {
            b'\n' => words.push(String::new()),
            0..128 => words.last_mut().expect("one is begun").push(char::from(byte)),
            _ => {
                words.last_mut().expect("one is begun").push_str(WORDS[usize::from(byte) % 64]);
                words.push(String::new());
            }
        }
    }
    words.retain(|word| !word.is_empty());
    if let Err(refusal) = podperf::check_command_line(&words) {
        assert_plain(&refusal.to_string(), "a refusal");
    }
}
