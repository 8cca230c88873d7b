//! What the name netserver does: the port is opened, and only then the line is printed and the
//! shell gets its prompt back.

use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::Builder;

use super::accept;
use super::data_reservation::DataReservations;
use super::session::ServerContext;
use crate::options::{ServerOptions, family_name};
use crate::signals;
use crossbeam_channel::{Sender, bounded};
use podperf_engine::net::{
    AddressLimits, ListeningPort, LogFormat, LogWriter, MemoryAccount, RunSink, ServerEnd, listen,
    wildcard,
};
use podperf_engine::policy::PolicyFile;
use podperf_model::AddressFamily;
use podperf_model::error::{Code, During as _, Error, Kind, Result};
use podperf_model::run_record::RunRecord;
use podperf_sys::daemon::{ForkedProcess, detach};

/// Exit status of a server that does not serve.
const FAILED: u8 = 1;

/// Serves as the options say, in the background unless they say otherwise; the exit status.
#[must_use]
pub fn start(options: &ServerOptions) -> u8 {
    let where_it_listens = where_it_listens(options);
    let opened = open_port(options).inspect_err(|error| log(options, &error.to_string()));
    let policy = match options.policy.as_deref().map(PolicyFile::open).transpose() {
        Ok(policy) => policy,
        Err(error) => {
            let _ = writeln!(io::stderr(), "netserver: {error}");
            return FAILED;
        }
    };
    let Ok(port) = opened else {
        let _ = writeln!(io::stderr(), "Unable to start netserver with  {where_it_listens}");
        return FAILED;
    };
    if !options.foreground && !options.one_at_a_time {
        let _ = writeln!(io::stdout(), "Starting netserver with host {where_it_listens}");
        match detach() {
            Ok(ForkedProcess::Parent) => return 0,
            Ok(ForkedProcess::Child) => {}
            Err(error) => {
                let _ = writeln!(io::stderr(), "netserver: go to the background: {error}");
                return FAILED;
            }
        }
    }
    match run(&port, options, policy.as_ref()) {
        Ok(kind) => kind.exit_status(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "netserver: {error}");
            FAILED
        }
    }
}

/// Opens the port.
///
/// # Errors
/// Naming the address, when it is taken, not this host's, or not to be found.
fn open_port(options: &ServerOptions) -> Result<ListeningPort> {
    let mut opened =
        Err(Error::new(Kind::Unmeasured, "listen", "no such address")
            .with_code(Code::NameResolution));
    for address in addresses(options)? {
        opened = listen(address, false);
        if opened.is_ok() {
            break;
        }
    }
    opened
}

/// Looks up addresses to listen on; the first that is to be had is taken.
fn addresses(options: &ServerOptions) -> Result<Vec<SocketAddr>> {
    let any = match (options.family, &options.host) {
        (Some(AddressFamily::V4), None) => "0.0.0.0",
        (Some(AddressFamily::V6), None) => "::",
        (None, None) => return Ok(vec![SocketAddr::new(wildcard(), options.port)]),
        (_, Some(host)) => host,
    };
    let found =
        (any, options.port).to_socket_addrs().during(format!("look up the own address '{any}'"))?;
    let of_family =
        |address: &SocketAddr| options.family.is_none_or(|family| family.has(address.ip()));
    Ok(found.filter(of_family).collect())
}

/// Serves until a signal ends it; every session has ended then.
///
/// # Errors
/// When the port breaks.
fn run(port: &ListeningPort, options: &ServerOptions, policy: Option<&PolicyFile>) -> Result<Kind> {
    let (stop, reload) = signals::watch_as_server()?;
    let address = port.local_addr().during("look up the listening port")?;
    let format = options.log.or_else(|| (options.debug > 0).then_some(LogFormat::Text));
    let writer = format.map(|format| LogWriter::start("netserver", format, io::stderr()));
    let writer = writer.transpose().during("start the log")?;
    let log = |line: &str| writer.iter().for_each(|writer| writer.write(line));
    let write_run = |run: &RunRecord| writer.iter().for_each(|writer| writer.write_run(run));
    let runs: RunSink<'_> = if format == Some(LogFormat::Json) { Some(&write_run) } else { None };
    log(&format!("listening on {address}"));
    let pair = || UnixStream::pair().during("prepare to end what is served");
    let ((open_drain, draining), (open, closing)) = (pair()?, pair()?);
    let memory = MemoryAccount::open(options.max_memory, options.one_at_a_time);
    log(&format!("tests share {}", memory.budget()));
    let context = ServerContext {
        options,
        log: &log,
        runs,
        reservations: &DataReservations::new(AddressLimits::NONE),
        memory: &memory,
        draining: draining.as_fd(),
        closing: closing.as_fd(),
        admission: policy.map(PolicyFile::admission),
    };
    let serve = || accept::run(port, context, &stop, ServerEnd::new(open_drain, open));
    let Some(policy) = policy else { return serve() };
    std::thread::scope(|scope| {
        let (ending, ended) = bounded(0);
        let log = context.log;
        let keep = move || policy.keep(Some(&reload), &ended, log);
        Builder::new()
            .name("netserver-policy".into())
            .spawn_scoped(scope, keep)
            .during("start the policy's thread")?;
        let served = serve();
        // Every session has ended, so that what is written then is all.
        drop::<Sender<()>>(ending);
        served
    })
}

/// Logs, where asked to.
fn log(options: &ServerOptions, line: &str) {
    if options.debug > 0 {
        // With standard error gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "netserver: {line}");
    }
}

/// Host, port and family in netserver's words.
fn where_it_listens(options: &ServerOptions) -> String {
    let host = options.host.as_deref().unwrap_or("IN(6)ADDR_ANY");
    let family = family_name(options.family);
    format!("'{host}' port '{}' and family {family}", options.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_what_was_typed() {
        let all = ServerOptions::default();
        assert_eq!(where_it_listens(&all), "'IN(6)ADDR_ANY' port '12865' and family AF_UNSPEC");
        let one = ServerOptions {
            host: Some("127.0.0.1".to_owned()),
            family: Some(AddressFamily::V4),
            port: 4000,
            ..all
        };
        assert_eq!(where_it_listens(&one), "'127.0.0.1' port '4000' and family AF_INET");
    }
}
