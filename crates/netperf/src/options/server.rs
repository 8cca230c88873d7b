//! netserver's command line.
//!
//! Enters: words. Leaves: what to serve, or the refusal; that of `-V` has exit status 0.

use podperf_engine::net::LogFormat;
use podperf_model::AddressFamily;
use podperf_model::plan::ClientPermissions;
use podperf_model::units::{Bytes, Invalid};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::words::{Word, Words};
use super::{ExitMessage, defaults, global, number, usage};

const VALUED: &str = "LnpvZ";
const LONG_VALUED: [&str; 7] =
    ["data-port", "drain", "idle-timeout", "log", "max-memory", "policy", "stall-timeout"];
/// A test takes about one MiB, and half of the budget.
const MIN_MEMORY: Bytes = Bytes(4 << 20);

/// What netserver is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// `-D`.
    pub foreground: bool,
    /// `-f`: a connection is served to its end before the next one.
    pub one_at_a_time: bool,
    /// `-L`: the address to listen on; absent: all.
    pub host: Option<String>,
    /// `-L host,family`, `-4`, `-6`.
    pub family: Option<AddressFamily>,
    /// `-p`.
    pub port: u16,
    /// `-Z`: what a client has to send first.
    pub passphrase: Option<String>,
    /// `-d`, how often.
    pub debug: u32,
    /// `-v`.
    pub verbosity: u32,
    /// `--data-port`: where clients are sent that ask for no port; absent: any.
    pub data_ports: Option<RangeInclusive<u16>>,
    /// `--allow-client-affinity`: a client on another machine may choose the CPU it is served on.
    pub allow_client_affinity: bool,
    /// `--allow-udp-send`: datagrams go to a client that has sent none, or few.
    pub allow_udp_send: bool,
    /// `--idle-timeout`: how long a connection may be silent while no test runs.
    pub idle_timeout: Duration,
    /// `--stall-timeout`: after how long without anything moved a test is ended.
    pub stall_timeout: Duration,
    /// `--drain`: how long tests under way may go on when netserver is to end.
    pub drain: Duration,
    /// `--log`: how the log is written; absent: as text, where `-d` asks for one.
    pub log: Option<LogFormat>,
    /// `--policy`: the file that says who may come and how much each may have.
    pub policy: Option<PathBuf>,
    /// `--max-memory`: of all tests together; absent: what follows from the limits of this process.
    pub max_memory: Option<Bytes>,
}

impl ServerOptions {
    /// What a client on another machine may choose.
    #[must_use]
    pub fn permissions(&self) -> ClientPermissions {
        ClientPermissions { affinity: self.allow_client_affinity, ..ClientPermissions::default() }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            foreground: false,
            one_at_a_time: false,
            host: None,
            family: None,
            port: defaults::PORT,
            passphrase: None,
            debug: 0,
            verbosity: 1,
            data_ports: None,
            allow_client_affinity: false,
            allow_udp_send: false,
            // Longer than any pause between the tests of one client, shorter than a working day.
            idle_timeout: Duration::from_secs(300),
            // Longer than a path is out while routes change, and TCP's first five retransmissions.
            stall_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(3),
            log: None,
            policy: None,
            max_memory: None,
        }
    }
}

/// Reads the words after the program's name.
///
/// # Errors
///
/// The [`ExitMessage`] of a command line that is not carried out, be it only a question.
pub fn netserver(words: &[OsString]) -> Result<ServerOptions, ExitMessage> {
    let mut words = Words::new(words.iter().cloned());
    let mut options = ServerOptions::default();
    while let Some(word) = words.next().map_err(with_usage)? {
        match word {
            Word::Letter(letter) if VALUED.contains(letter) => {
                let value = value(&mut words, &letter.to_string())?;
                valued(letter, &value, &mut options)
                    .map_err(|why| because(format!("-{letter} {value}: {why}")))?;
            }
            Word::Letter(letter) => flag(letter, &mut options)?,
            Word::Long(name) if LONG_VALUED.contains(&name.as_str()) => {
                let value = value(&mut words, &name)?;
                long(&name, &value, &mut options)
                    .map_err(|why| because(format!("--{name} {value}: {why}")))?;
            }
            Word::Long(name) if name == "allow-client-affinity" => {
                options.allow_client_affinity = true;
            }
            Word::Long(name) if name == "allow-udp-send" => options.allow_udp_send = true,
            Word::Long(name) if name == "help" => {
                return Err(ExitMessage::printed(usage::NETSERVER, 0));
            }
            Word::Long(name) => return Err(with_usage(format!("unrecognized option '--{name}'"))),
        }
    }
    if options.policy.is_some() && options.passphrase.is_some() {
        return Err(because(
            "-Z is of no use with --policy: the passphrases are the policy's tokens",
        ));
    }
    Ok(options)
}

fn because(why: impl std::fmt::Display) -> ExitMessage {
    ExitMessage::failure(format!("netserver: {why}\n"))
}

fn with_usage(why: impl std::fmt::Display) -> ExitMessage {
    because(format!("{why}\n\n{}", usage::NETSERVER.trim_end()))
}

fn value(words: &mut Words, option: &str) -> Result<String, ExitMessage> {
    match words.value() {
        None => Err(with_usage(format!("option requires an argument -- '{option}'"))),
        Some(value) => value.map_err(because),
    }
}

fn flag(letter: char, options: &mut ServerOptions) -> Result<(), ExitMessage> {
    match letter {
        'D' => options.foreground = true,
        'f' => options.one_at_a_time = true,
        '4' => options.family = Some(AddressFamily::V4),
        '6' => options.family = Some(AddressFamily::V6),
        'd' => options.debug += 1,
        // No debug file is ever written.
        'N' => {}
        'V' => return Err(ExitMessage::printed(usage::version(), 0)),
        'h' => return Err(ExitMessage::failure(usage::NETSERVER)),
        _ => return Err(with_usage(format!("invalid option -- '{letter}'"))),
    }
    Ok(())
}

fn valued(letter: char, value: &str, options: &mut ServerOptions) -> Result<(), String> {
    match letter {
        'L' => options.host = global::host(value, &mut options.family)?,
        'p' => options.port = global::port(value)?,
        'v' => options.verbosity = number::count(value)?,
        'Z' => options.passphrase = Some(value.to_owned()),
        // -n: the number of CPUs, which Linux tells.
        _ => {}
    }
    Ok(())
}

fn long(name: &str, value: &str, options: &mut ServerOptions) -> Result<(), String> {
    if name == "idle-timeout" || name == "stall-timeout" {
        let timeout = number::seconds(value)?;
        if timeout < Duration::from_secs(1) {
            return Err("less than 1 second".to_owned());
        }
        let of = if name == "idle-timeout" {
            &mut options.idle_timeout
        } else {
            &mut options.stall_timeout
        };
        *of = timeout;
        return Ok(());
    }
    if name == "log" {
        options.log = Some(match value {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err("neither text nor json".to_owned()),
        });
        return Ok(());
    }
    if name == "drain" {
        options.drain = number::seconds(value)?;
        return Ok(());
    }
    if name == "policy" {
        options.policy = Some(value.into());
        return Ok(());
    }
    if name == "max-memory" {
        let asked: Bytes = value.parse().map_err(|invalid: Invalid| invalid.to_string())?;
        if asked < MIN_MEMORY {
            return Err(format!("less than {MIN_MEMORY}"));
        }
        options.max_memory = Some(asked);
        return Ok(());
    }
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    let (low, high) = (global::port(low)?, global::port(high)?);
    if low == 0 || low > high {
        return Err("no port or range of ports, as 5001 or 5001-5100".to_owned());
    }
    options.data_ports = Some(low..=high);
    Ok(())
}
