//! The options after `--`.
//!
//! Enters: words. Leaves: what they say in the draft, or a refusal. An option that is not known is
//! noted and the run goes on, as netperf's does.

use podperf_model::AddressFamily;
use std::time::Duration;

use super::global::{host, port, wrong};
use super::partial::{PartialOptions, Transfer};
use super::words::{Word, Words, both, first, put};
use super::{ExitMessage, Format, PerEnd, number, selection, usage};
use crate::test_kind::Protocol;

const VALUED: &str = "bdeGHjKlLmMpPqrRsStTuwWX";
/// Accepted without effect: deferred accept, packet info, fast open, debugging, connected UDP, ...
const EFFECTLESS: &str = "aBFgInNUz";
/// netperf's range for connections of CRR and CC.
const CLIENT_PORTS: (u16, u16) = (5000, 65535);
/// Names of congestion control and a UUID on the wire and in its output.
const MAX_ALGORITHM_BYTES: usize = 15;
const MAX_UUID_BYTES: usize = 37;

/// Reads the set.
pub(super) fn scan(words: &mut Words, partial: &mut PartialOptions) -> Result<(), ExitMessage> {
    while let Some(word) = words.next().map_err(ExitMessage::because)? {
        match word {
            Word::Letter(letter) if VALUED.contains(letter) => match words.value() {
                Some(value) => {
                    let value = value.map_err(ExitMessage::because)?;
                    valued(letter, &value, partial)
                        .map_err(|why| wrong("-", letter, &value, &why))?;
                }
                None => note(partial, format!("option requires an argument -- '{letter}'")),
            },
            Word::Letter(letter) => flag(letter, words, partial)?,
            Word::Long(name)
                if ["json", "streams", "peer-timeout", "percentiles", "native", "help"]
                    .contains(&&*name) =>
            {
                let why = format!("--{name} stands before --, not behind");
                return Err(ExitMessage::because(why));
            }
            Word::Long(name) => {
                words.skip_attached();
                note(partial, format!("unrecognized option '--{name}'"));
            }
        }
    }
    Ok(())
}

fn note(partial: &mut PartialOptions, text: String) {
    partial.options.notes.push(format!("netperf: {text}"));
}

fn flag(letter: char, words: &mut Words, partial: &mut PartialOptions) -> Result<(), ExitMessage> {
    let data = &mut partial.options.data;
    match letter {
        'o' => selected(Format::Csv, words, partial)?,
        'O' => selected(Format::Human, words, partial)?,
        'k' => selected(Format::KeyValue, words, partial)?,
        'D' => data.no_delay = true,
        'C' => data.cork = true,
        'V' => data.copy_avoidance = true,
        'f' => data.dont_fragment = true,
        '4' => data.family = Some(AddressFamily::V4),
        '6' => data.family = Some(AddressFamily::V6),
        'c' => partial.hints.connections = true,
        // Retired, once with a value.
        'i' => {
            words.value_if(|word| word.starts_with(|char: char| char.is_ascii_digit()));
        }
        'h' => return Err(ExitMessage::failure(usage::TEST)),
        _ if EFFECTLESS.contains(letter) => {}
        _ => note(partial, format!("invalid option -- '{letter}'")),
    }
    Ok(())
}

fn selected(
    format: Format,
    words: &mut Words,
    partial: &mut PartialOptions,
) -> Result<(), ExitMessage> {
    let word = words.value_if(|word| !word.starts_with('-'));
    let selection = &mut partial.options.data.selection;
    selection::choose(format, word.as_deref(), selection, partial.figures)
}

fn valued(letter: char, value: &str, partial: &mut PartialOptions) -> Result<(), String> {
    let PartialOptions { options, hints, .. } = partial;
    let data = &mut options.data;
    match letter {
        'm' => {
            let sizes = &mut data.send_bytes;
            sizes.put(first(value), number::choice)?;
            hints.sizes.sends |= sizes.local.is_some();
            hints.sizes.receives |= sizes.remote.is_some();
        }
        'M' => {
            let sizes = &mut data.receive_bytes;
            put(&mut sizes.remote, &mut sizes.local, first(value), number::choice)?;
            hints.sizes.sends |= sizes.remote.is_some();
            hints.sizes.receives |= sizes.local.is_some();
        }
        'r' => {
            let (request, response) = (&mut data.request_bytes, &mut data.response_bytes);
            put(request, response, both(value), number::positive)?;
            hints.transactions = true;
        }
        's' | 'S' => {
            let PerEnd { local, remote } = &mut data.buffers;
            let buffers = if letter == 's' { local } else { remote };
            put(&mut buffers.send, &mut buffers.receive, both(value), number::choice)?;
        }
        'P' => data.ports.put(both(value), port)?,
        'H' => data.host = data_host(value, &mut data.family)?,
        'L' => data.local_host = data_host(value, &mut data.family)?,
        'b' => data.burst = Some(number::count(value)?),
        'R' => data.routing = number::truth(value)?,
        'e' => {
            data.receive_timeout =
                Some(number::seconds(value)?).filter(|time| *time > Duration::ZERO)
        }
        'K' => data.congestion_control.put(both(value), algorithm)?,
        'u' if value.len() > MAX_UUID_BYTES => {
            return Err(format!("more than {MAX_UUID_BYTES} bytes"));
        }
        'u' => data.uuid = Some(value.to_owned()),
        'G' => data.mss = number::choice(value)?,
        'q' => data.pacing_bytes_per_second = Some(number::size(value)?).filter(|rate| *rate > 0),
        'p' => {
            let (mut low, mut high) = CLIENT_PORTS;
            put(&mut low, &mut high, both(value), port)?;
            data.client_ports = Some((low, high));
        }
        'd' => hints.direction = Some(direction(value)?),
        'T' => hints.protocol = Some(protocol(value)?),
        't' => hints.socket = Some(socket(value)?),
        // Multicast TTL, ring width and options of patched builds.
        _ => {}
    }
    Ok(())
}

/// `host[,family]`; netperf picks addresses at random behind `/`.
fn data_host(value: &str, family: &mut Option<AddressFamily>) -> Result<Option<String>, String> {
    let name = host(value, family)?;
    if name.as_ref().is_some_and(|name| name.contains('/')) {
        return Err("a range of addresses is not there: name one".to_owned());
    }
    Ok(name)
}

fn algorithm(name: &str) -> Result<Option<String>, String> {
    if name.len() > MAX_ALGORITHM_BYTES {
        return Err(format!("a name of more than {MAX_ALGORITHM_BYTES} bytes"));
    }
    Ok(Some(name.to_owned()))
}

/// Words or sums of 2 (send) and 4 (receive), joined by `|`.
fn direction(value: &str) -> Result<Transfer, String> {
    let mut transfer = Transfer::default();
    for word in value.split('|') {
        let word = word.trim().to_ascii_lowercase();
        let (sends, receives, connects) = match word.as_str() {
            "send" | "xmit" | "stream" | "transmit" | "2" | "0x2" => (true, false, false),
            "recv" | "receive" | "maerts" | "4" | "0x4" => (false, true, false),
            "rr" | "6" | "0x6" => (true, true, false),
            "crr" => (true, true, true),
            _ => return Err("no direction: send, recv, rr or crr".to_owned()),
        };
        transfer.sends |= sends;
        transfer.receives |= receives;
        transfer.connects |= connects;
    }
    Ok(transfer)
}

fn protocol(value: &str) -> Result<Protocol, String> {
    match value.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err("podperf has tcp and udp".to_owned()),
    }
}

fn socket(value: &str) -> Result<Protocol, String> {
    match value.to_ascii_lowercase().as_str() {
        "stream" => Ok(Protocol::Tcp),
        "dgram" | "datagram" => Ok(Protocol::Udp),
        _ => Err("podperf has stream and dgram".to_owned()),
    }
}
