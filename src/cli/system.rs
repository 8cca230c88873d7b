//! What only this system can say about a command line: the CPUs the process may use, the congestion
//! controls the kernel has, the token in the environment.
//!
//! Enters: a plan that `plan::rules` has accepted. Leaves: acceptance, or an error that names the
//! option, its value and what is allowed. What the system does not tell is left to the run, where
//! the kernel decides. Opens no connection.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use podperf_engine::metrics::topology::allowed_cpus;
use podperf_engine::policy::Token;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::{CheckedPlan, Pin, cpu_list};

/// Holds a token when no file is named.
pub(super) const TOKEN_VARIABLE: &str = "PODPERF_TOKEN";
/// Far beyond any secret; a token file that is longer is another file.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";
const PERMITTED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// The local system, as far as a command line depends on it.
#[derive(Debug)]
pub(super) struct System {
    /// CPUs this process may use; absent: not told.
    pub(super) cpus: Option<Vec<u32>>,
    /// Asks the kernel for a congestion control on a socket that is never connected.
    pub(super) try_congestion_control: fn(&str) -> io::Result<()>,
    /// Congestion controls the kernel has at hand; absent: not told.
    pub(super) available_controls: Option<String>,
    /// Of these, those that a user without CAP_NET_ADMIN may choose; absent: not told.
    pub(super) permitted_controls: Option<String>,
    /// The environment variable with the token.
    pub(super) token: Option<OsString>,
}

impl System {
    /// The system this process runs on.
    pub(super) fn read() -> Self {
        Self {
            cpus: allowed_cpus().ok(),
            try_congestion_control,
            available_controls: fs::read_to_string(AVAILABLE).ok(),
            permitted_controls: fs::read_to_string(PERMITTED).ok(),
            token: env::var_os(TOKEN_VARIABLE),
        }
    }

    /// A system that is not this one, and of which nothing is known.
    pub(super) fn anywhere() -> Self {
        Self {
            cpus: None,
            try_congestion_control: |_| Ok(()),
            available_controls: None,
            permitted_controls: None,
            token: None,
        }
    }

    /// Holds a plan against this system. `alone` says that the server runs in this process too.
    pub(super) fn check(&self, plan: &CheckedPlan, alone: bool) -> Result<()> {
        self.check_pin("--pin", &plan.client.pin)?;
        if alone {
            self.check_pin("--server-pin", &plan.server.pin)?;
            self.check_spin(plan)?;
        }
        plan.socket.congestion_control.as_ref().map_or(Ok(()), |name| self.check_congestion(name))
    }

    fn check_pin(&self, option: &str, pin: &Pin) -> Result<()> {
        let (Pin::List(asked), Some(allowed)) = (pin, &self.cpus) else { return Ok(()) };
        let Some(cpu) = asked.iter().find(|cpu| !allowed.contains(cpu)) else { return Ok(()) };
        let (asked, allowed) = (cpu_list(asked), cpu_list(allowed));
        let why = format!("this process may not use CPU {cpu}; allowed: {allowed}");
        Err(Error::usage(option, asked, why))
    }

    /// Two ends that never sleep on one CPU take turns by the scheduler's clock alone.
    fn check_spin(&self, plan: &CheckedPlan) -> Result<()> {
        let cpus = |pin: &Pin| match pin {
            Pin::List(cpus) => Some(cpus.clone()),
            Pin::Auto | Pin::None => self.cpus.clone(),
        };
        let (client, server) = (cpus(&plan.client.pin), cpus(&plan.server.pin));
        let both = plan.client.wait.spins() && plan.server.wait.spins();
        match (client.as_deref(), server.as_deref()) {
            (Some([cpu]), Some([other])) if both && cpu == other => {
                let allowed = format!("allowed: with a CPU for each end, but both have only {cpu}");
                Err(Error::usage("--server-wait", "spin", allowed))
            }
            _ => Ok(()),
        }
    }

    /// The kernel is asked rather than its list, because it loads a module on demand for those who
    /// may (tcp_ca_find_autoload in net/ipv4/tcp_cong.c).
    fn check_congestion(&self, name: &str) -> Result<()> {
        let (error, list, file) = match (self.try_congestion_control)(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ("this kernel has none of it", &self.available_controls, AVAILABLE)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ("not permitted to this user", &self.permitted_controls, PERMITTED)
            }
            _ => return Ok(()),
        };
        let allowed = list.as_deref().map_or_else(
            || format!("{file} is not readable"),
            |names| names.split_whitespace().collect::<Vec<_>>().join(", "),
        );
        Err(Error::usage("--congestion", name, format!("{error}; allowed: {allowed}")))
    }

    /// The token out of `file`, else out of the environment. Its value is never shown.
    pub(super) fn token(&self, file: Option<&Path>) -> Result<Option<Token>> {
        if let Some(path) = file {
            let refuse = |cause: String| Error::usage("--token-file", path.display(), cause);
            let text = read_token(path).map_err(|error| refuse(error.to_string()))?;
            return Token::from_text(&text).map(Some).map_err(|error| refuse(error.cause));
        }
        let Some(value) = &self.token else { return Ok(None) };
        let refuse = |cause: String| {
            let operation = format!("invalid value of the environment variable {TOKEN_VARIABLE}");
            Error::new(Kind::Usage, operation, cause)
        };
        let text = value.to_str().ok_or_else(|| refuse("allowed: UTF-8 text".to_owned()))?;
        Token::from_text(text).map(Some).map_err(|error| refuse(error.cause))
    }
}

/// A document out of the file that `option` names, else out of the environment variable `variable`.
pub(super) fn text_of(option: &str, file: Option<&Path>, variable: &str) -> Result<String> {
    let refuse = |cause: &str| {
        let operation = format!("invalid value of the environment variable {variable}");
        Error::new(Kind::Usage, operation, cause).with_remedy(format!("or name a file by {option}"))
    };
    match (file, env::var(variable)) {
        (Some(path), _) => {
            fs::read_to_string(path).map_err(|error| Error::usage(option, path.display(), error))
        }
        (None, Ok(text)) => Ok(text),
        (None, Err(env::VarError::NotPresent)) => Err(refuse("it is not set")),
        (None, Err(env::VarError::NotUnicode(_))) => Err(refuse("allowed: UTF-8 text")),
    }
}

/// The text of a file that holds a secret and nothing else.
pub(super) fn read_token(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_TOKEN_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_TOKEN_BYTES {
        return Err(io::Error::other(
            "longer than 64 KiB; allowed: a file that holds a token alone",
        ));
    }
    Ok(text)
}

fn try_congestion_control(name: &str) -> io::Result<()> {
    let socket = [Domain::IPV4, Domain::IPV6]
        .into_iter()
        .find_map(|domain| Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).ok());
    socket.map_or(Ok(()), |socket| socket.set_tcp_congestion(name.as_bytes()))
}

#[cfg(test)]
impl System {
    /// Four CPUs, two congestion controls, a third that is not permitted, no token.
    pub(super) fn example() -> Self {
        Self {
            cpus: Some(vec![0, 1, 2, 3]),
            try_congestion_control: |name| match name {
                "cubic" | "reno" => Ok(()),
                "bbr" => Err(io::ErrorKind::PermissionDenied.into()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            available_controls: Some("reno cubic\n".to_owned()),
            permitted_controls: Some("reno\n".to_owned()),
            token: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_its_file_or_the_environment_and_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "from-the-file\n").unwrap();
        let environment = |value: &str| System { token: Some(value.into()), ..System::example() };
        assert!(System::example().token(None).unwrap().is_none());
        assert!(System::example().token(Some(file.path())).unwrap().is_some());
        assert!(environment("long-enough").token(None).unwrap().is_some());
        // The file is asked for by name, so it counts, whatever the environment holds.
        assert!(environment("short").token(Some(file.path())).unwrap().is_some());

        let error = environment("short").token(None).unwrap_err().to_string();
        assert!(error.contains("PODPERF_TOKEN") && !error.contains("short"), "{error}");
        std::fs::write(&file, "tiny").unwrap();
        let error = System::example().token(Some(file.path())).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
        assert_eq!(error.kind.exit_status(), 2);
        std::fs::write(&file, vec![b'x'; (64 << 10) + 1]).unwrap();
        let error = System::example().token(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("longer than 64 KiB"), "{error}");
        let error =
            System::example().token(Some("/nonexistent/token".as_ref())).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid value '/nonexistent/token' for '--token-file'"),
            "{error}"
        );
    }

    #[test]
    fn the_kernel_takes_what_it_lists_and_refuses_what_nobody_has() {
        let system = System::read();
        let listed = system.available_controls.as_deref().unwrap_or_default();
        if let Some(name) = listed.split_whitespace().find(|name| *name == "reno") {
            assert_eq!(system.check_congestion(name), Ok(()));
        }
        let error = system.check_congestion("nosuch").unwrap_err().to_string();
        assert!(error.starts_with("invalid value 'nosuch' for '--congestion'"), "{error}");
        // This thread runs on one of the CPUs that the process may use.
        let own = u32::try_from(nix::sched::sched_getcpu().unwrap()).unwrap();
        assert!(system.cpus.unwrap().contains(&own));
    }
}
