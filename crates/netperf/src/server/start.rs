//! What the name netserver does: the port is opened, and only then the line is printed and the
//! shell gets its prompt back.

use std::io::{self, Write as _};

use nix::sys::signal::Signal;

use super::{NetperfServer, ServerOptions};
use crate::signals;
use podperf_model::AddressFamily;
use podperf_model::error::{During as _, Kind, Result};
use podperf_sys::daemon::{ForkedProcess, detach};

/// Exit status of a server that does not serve.
const FAILED: u8 = 1;

/// Serves as the options say, in the background unless they say otherwise; the exit status.
#[must_use]
pub fn start(options: &ServerOptions) -> u8 {
    let where_it_listens = where_it_listens(options);
    let Ok(server) =
        NetperfServer::bind(options).inspect_err(|error| log(options, &error.to_string()))
    else {
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
    match run(&server, options) {
        Ok(kind) => kind.exit_status(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "netserver: {error}");
            FAILED
        }
    }
}

fn run(server: &NetperfServer<'_>, options: &ServerOptions) -> Result<Kind> {
    let (_tell, stop) = signals::watch(&[Signal::SIGINT, Signal::SIGTERM])?;
    let address = server.address().during("look up the listening port")?;
    log(options, &format!("listening on {address}"));
    server.run(&stop, &|line| log(options, line))
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
    let family = match options.family {
        None => "AF_UNSPEC",
        Some(AddressFamily::V4) => "AF_INET",
        Some(AddressFamily::V6) => "AF_INET6",
    };
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
