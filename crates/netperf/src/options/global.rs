//! The options before `--`.
//!
//! Enters: words. Leaves: what they say in the draft, or a refusal. Of what has no effect the value
//! is taken all the same, so that the next word is not mistaken for it.

use podperf_model::AddressFamily;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;

use super::partial::PartialOptions;
use super::words::{Word, Words, both, first, put};
use super::{ExitMessage, Unit, number, usage};

const VALUED: &str = "aAbBDfFHiIkKlLnoOpPstTvwWyYZ";
const LONG_VALUED: [&str; 4] = ["streams", "peer-timeout", "percentiles", "native"];
/// The name of a fill file on the wire.
const MAX_FILE_NAME_BYTES: usize = 31;
/// The text of a passphrase on the wire.
const MAX_PASSPHRASE_BYTES: usize = 647;

/// Reads the set.
pub(super) fn scan(words: &mut Words, partial: &mut PartialOptions) -> Result<(), ExitMessage> {
    while let Some(word) = words.next().map_err(ExitMessage::usage)? {
        match word {
            Word::Letter(letter) if VALUED.contains(letter) => {
                let value = value(words, &letter.to_string())?;
                valued(letter, &value, partial).map_err(|why| wrong("-", letter, &value, &why))?;
            }
            Word::Letter(letter) => flag(letter, words, partial)?,
            Word::Long(name) if LONG_VALUED.contains(&name.as_str()) => {
                let value = value(words, &name)?;
                long(&name, &value, partial).map_err(|why| wrong("--", &name, &value, &why))?;
            }
            Word::Long(name) if name == "json" => partial.options.json = true,
            Word::Long(name) if name == "help" => {
                return Err(ExitMessage::printed(usage::NETPERF, 0));
            }
            Word::Long(name) => {
                return Err(ExitMessage::usage(format!("unrecognized option '--{name}'")));
            }
        }
    }
    Ok(())
}

fn value(words: &mut Words, option: &str) -> Result<String, ExitMessage> {
    match words.value() {
        None => Err(ExitMessage::usage(format!("option requires an argument -- '{option}'"))),
        Some(value) => value.map_err(ExitMessage::because),
    }
}

/// Why an option's value will not do.
pub(super) fn wrong(
    dashes: &str,
    option: impl std::fmt::Display,
    value: &str,
    why: &str,
) -> ExitMessage {
    ExitMessage::because(format!("{dashes}{option} {value}: {why}"))
}

fn flag(letter: char, words: &mut Words, partial: &mut PartialOptions) -> Result<(), ExitMessage> {
    let options = &mut partial.options;
    match letter {
        'c' | 'C' => {
            // A CPU rate was for calibration; /proc/stat needs none.
            words.value_if(|word| word.starts_with(|char: char| char.is_ascii_digit()));
            let side = if letter == 'c' { &mut options.cpu.local } else { &mut options.cpu.remote };
            *side = true;
        }
        'd' => options.debug += 1,
        'j' => options.statistics = true,
        'r' => partial.goal.result_only = true,
        'S' => options.keepalive = true,
        '4' => options.family = Some(AddressFamily::V4),
        '6' => options.family = Some(AddressFamily::V6),
        'N' => {
            return Err(ExitMessage::because(
                "-N is not there: podperf measures with a netserver on the other end; leave -N out",
            ));
        }
        'V' => return Err(ExitMessage::printed(usage::version(), 0)),
        'h' => return Err(ExitMessage::failure(usage::NETPERF)),
        _ => return Err(ExitMessage::usage(format!("invalid option -- '{letter}'"))),
    }
    Ok(())
}

fn long(name: &str, value: &str, partial: &mut PartialOptions) -> Result<(), String> {
    match (name, value) {
        ("streams", _) => partial.options.streams = number::positive(value)?,
        ("peer-timeout", _) => {
            let asked = number::seconds(value)?;
            if asked.is_zero() {
                return Err("more than 0 seconds are needed".to_owned());
            }
            partial.options.peer_timeout = Some(asked);
        }
        ("percentiles", _) => partial.options.percentiles = number::percentiles(value)?,
        (_, "auto") => partial.options.native = true,
        (_, "off") => partial.options.native = false,
        _ => return Err("neither auto nor off".to_owned()),
    }
    Ok(())
}

fn valued(letter: char, value: &str, partial: &mut PartialOptions) -> Result<(), String> {
    let options = &mut partial.options;
    let layout = &mut options.layout;
    match letter {
        'H' => options.host = host(value, &mut options.family)?.unwrap_or_default(),
        'L' => options.local_host = host(value, &mut options.family)?,
        'p' => put(&mut options.ports.remote, &mut options.ports.local, first(value), port)?,
        't' => partial.test = Some(value.to_owned()),
        'l' => options.length = number::length(value)?,
        'P' => options.header = number::truth(value)?,
        'v' => options.verbosity = number::count(value)?,
        'f' => options.unit = Some(unit(value)?),
        'D' => {
            let (time, unit_of_it) = first(value);
            if let Some(time) = time {
                options.interim = Some(number::interval(time)?);
            }
            // netperf takes a first guess of units a second here; a clock needs none.
            options.interim_unit = unit_of_it.and_then(|word| unit(word).ok());
        }
        'I' => partial.goal.interval(value)?,
        'i' => partial.goal.iterations(value)?,
        's' => options.settle = number::seconds(value)?,
        'T' => options.cpus.put(both(value), number::cpu)?,
        'B' => options.brand = Some(value.to_owned()),
        'F' => fill(value, partial)?,
        'Z' if value.len() > MAX_PASSPHRASE_BYTES => {
            return Err(format!("more than {MAX_PASSPHRASE_BYTES} bytes"));
        }
        'Z' => options.passphrase = Some(value.to_owned()),
        'Y' => options.tos.put(both(value), number::tos)?,
        'y' => options.priority.put(both(value), number::priority)?,
        'b' => partial.burst.put(first(value), number::choice)?,
        'w' => partial.pause.put(first(value), number::pause)?,
        'W' => layout.width.put(both(value), number::choice)?,
        // Shown in one table alone, which has a column for one buffer of each end.
        'a' => put(&mut layout.align.local, &mut 0, both(value), number::count)?,
        'A' => put(&mut 0, &mut layout.align.remote, both(value), number::count)?,
        'o' => put(&mut layout.offset.local, &mut 0, both(value), number::count)?,
        'O' => put(&mut 0, &mut layout.offset.remote, both(value), number::count)?,
        // -n, -k and -K: netperf's own measuring of CPU and touching of buffers.
        _ => {}
    }
    Ok(())
}

/// `host[,family]`.
pub(super) fn host(
    value: &str,
    family: &mut Option<AddressFamily>,
) -> Result<Option<String>, String> {
    let (name, named_family) = first(value);
    if let Some(word) = named_family {
        *family = read_family(word)?;
    }
    Ok(name.filter(|name| !name.is_empty()).map(str::to_owned))
}

fn read_family(word: &str) -> Result<Option<AddressFamily>, String> {
    let word = word.trim().to_ascii_lowercase();
    if word.contains('6') {
        return Ok(Some(AddressFamily::V6));
    }
    if word.contains('4') || word.contains("inet") {
        return Ok(Some(AddressFamily::V4));
    }
    if word.contains("unspec") || word == "0" {
        return Ok(None);
    }
    Err("no address family: 4 or 6".to_owned())
}

/// A port by number or, where the system has a list of them, by name.
pub(super) fn port(word: &str) -> Result<u16, String> {
    let word = word.trim();
    if let Ok(port) = word.parse() {
        return Ok(port);
    }
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    service(&services, word).ok_or_else(|| "no port: 0 to 65535, or a known service".to_owned())
}

/// Its port in a list like /etc/services.
pub(super) fn service(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (first, port) = (words.next()?, words.next()?);
        let port = port.split('/').next()?;
        (first == name || words.any(|alias| alias == name)).then(|| port.parse().ok())?
    })
}

/// `-f`.
fn unit(word: &str) -> Result<Unit, String> {
    match word {
        "B" => Ok(Unit::Bytes(0)),
        "K" => Ok(Unit::Bytes(1)),
        "M" => Ok(Unit::Bytes(2)),
        "G" => Ok(Unit::Bytes(3)),
        "b" => Ok(Unit::Bits(0)),
        "k" => Ok(Unit::Bits(1)),
        "m" => Ok(Unit::Bits(2)),
        "g" => Ok(Unit::Bits(3)),
        "x" => Ok(Unit::Transactions),
        "u" => Ok(Unit::Microseconds),
        _ => Err("none of the units G M K B (bytes), g m k b (bits), x and u".to_owned()),
    }
}

/// `-F file[,file of netserver]`.
fn fill(value: &str, partial: &mut PartialOptions) -> Result<(), String> {
    let fill = &mut partial.options.fill;
    let (own, remote) = first(value);
    if let Some(name) = own {
        // A pipe without a writer is not waited for here.
        let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(name);
        let file = file.and_then(|file| file.metadata());
        match file {
            Err(error) => return Err(format!("cannot be read: {error}")),
            Ok(facts) if facts.is_dir() => return Err("cannot be read: a directory".to_owned()),
            Ok(_) => fill.local = Some(name.to_owned()),
        }
    }
    if let Some(name) = remote {
        if name.len() > MAX_FILE_NAME_BYTES {
            return Err(format!("netserver's file name has more than {MAX_FILE_NAME_BYTES} bytes"));
        }
        fill.remote = Some(name.to_owned());
    }
    Ok(())
}
