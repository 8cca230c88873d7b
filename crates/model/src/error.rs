//! The one error type: which operation failed, with which peer, why, and what to do about it.
//!
//! Errors cross the control connection and stand in the result document, so the cause is kept as
//! text for people, and as a code and an errno for programs: nobody has to read the text to decide.
//! Enters: an operation and its cause. Leaves: a sentence and an exit status.

use std::fmt::{self, Write as _};
use std::io;

use serde::{Deserialize, Serialize};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failure means for the run as a whole; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line asks for something impossible. Exit status 2.
    Usage,
    /// Nothing could be measured (no connection, refused, not permitted). Exit status 3.
    Unmeasured,
    /// The run broke off; what was measured before stands in the result. Exit status 4.
    Incomplete,
    /// The deadline given by the user passed. Exit status 5.
    Deadline,
    /// SIGINT ended the run. Exit status 130.
    Interrupted,
    /// SIGTERM or SIGHUP ended the run. Exit status 143.
    Terminated,
}

impl Kind {
    /// The process exit status this kind maps to.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Unmeasured => 3,
            Self::Incomplete => 4,
            Self::Deadline => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// What failed, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The command line, a plan or a file asks for something impossible.
    Usage,
    /// A name has no address.
    NameResolution,
    /// Nobody listens there (ECONNREFUSED).
    ConnectionRefused,
    /// There is no route to the peer (EHOSTUNREACH, ENETUNREACH, ENETDOWN).
    Unreachable,
    /// An established connection broke (ECONNRESET, EPIPE, end of stream).
    ConnectionLost,
    /// The peer said nothing in time, or a system call took too long (ETIMEDOUT).
    Timeout,
    /// The address or port is taken (EADDRINUSE), or no port is left (EADDRNOTAVAIL).
    AddressUnavailable,
    /// The system forbids it (EPERM, EACCES).
    PermissionDenied,
    /// The system does not have it (EOPNOTSUPP, ENOSYS, EINVAL and their like).
    NotSupported,
    /// Memory, descriptors, threads or another resource of the system ran out.
    ResourceExhausted,
    /// The peer does not speak podperf's protocol, or another version of it.
    Protocol,
    /// The token is wrong or missing.
    Unauthorized,
    /// The peer refuses what it was asked for.
    Refused,
    /// Nothing was received in the window, or in the last part of it.
    NothingReceived,
    /// Nothing moved for as long as a run may stand still.
    Stalled,
    /// A stream reached another server or program than the control connection did.
    OtherServer,
    /// Packets are lost for their size alone: the path's MTU is smaller than the ends believe.
    PathMtu,
    /// A deadline given by the user passed.
    Deadline,
    /// A signal ended it.
    Signal,
    /// A fault of podperf itself: a thread panicked, an invariant is broken.
    Internal,
    /// Any other system call that failed; `errno` tells which way.
    System,
    /// None of the others.
    Other,
}

impl Code {
    /// The code of a failure that the system reports.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::ConnectionRefused => Self::ConnectionRefused,
            Io::HostUnreachable | Io::NetworkUnreachable | Io::NetworkDown => Self::Unreachable,
            Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::BrokenPipe
            | Io::NotConnected
            | Io::UnexpectedEof => Self::ConnectionLost,
            Io::TimedOut | Io::WouldBlock => Self::Timeout,
            Io::AddrInUse | Io::AddrNotAvailable => Self::AddressUnavailable,
            Io::PermissionDenied => Self::PermissionDenied,
            Io::Unsupported | Io::InvalidInput => Self::NotSupported,
            Io::OutOfMemory | Io::QuotaExceeded | Io::StorageFull => Self::ResourceExhausted,
            Io::InvalidData => Self::Protocol,
            // ENFILE, EMFILE, EAGAIN of clone(2) and ENOBUFS have no kind of their own.
            _ => match error.raw_os_error() {
                Some(ENFILE | EMFILE | ENOBUFS) => Self::ResourceExhausted,
                Some(_) => Self::System,
                None => Self::Other,
            },
        }
    }

    /// What a failure's meaning for the run tells of its code.
    const fn implied_by(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::Deadline => Self::Deadline,
            Kind::Interrupted | Kind::Terminated => Self::Signal,
            Kind::Unmeasured | Kind::Incomplete => Self::Other,
        }
    }
}

/// errno(3) as Linux numbers them on every architecture that podperf is built for.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

/// A failure: `operation peer: cause (remedy)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Error {
    /// What the failure means for the run.
    pub kind: Kind,
    /// What failed, for programs.
    pub code: Code,
    /// The system's error number, where a system call failed (errno(3), as Linux counts).
    #[serde(default)]
    pub errno: Option<i32>,
    /// What was being done, in lower case: "connect control connection to".
    pub operation: String,
    /// The other side, usually `address:port`.
    #[serde(default)]
    pub peer: Option<String>,
    /// Why it failed, in the words of the system where it has some.
    pub cause: String,
    /// What the user can do about it.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The stream it happened on.
    #[serde(default)]
    pub stream: Option<u32>,
    /// Seconds since the window opened; negative in the warm-up.
    #[serde(default)]
    pub at_seconds: Option<f64>,
    /// The limit of this end that was reached, for its own counts; it is not sent.
    #[serde(skip)]
    pub limit: Option<&'static str>,
}

impl std::error::Error for Error {}

impl Error {
    /// A failure of `operation` because of `cause`.
    pub fn new(kind: Kind, operation: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self {
            kind,
            code: Code::implied_by(kind),
            errno: None,
            operation: operation.into(),
            peer: None,
            cause: cause.to_string(),
            remedy: None,
            stream: None,
            at_seconds: None,
            limit: None,
        }
    }

    /// A failure of a system call, or of the library's.
    pub fn system(kind: Kind, operation: impl Into<String>, error: &io::Error) -> Self {
        Self {
            code: Code::of(error),
            errno: error.raw_os_error(),
            ..Self::new(kind, operation, error)
        }
    }

    /// A command line that cannot be carried out: option, value, and what is allowed.
    pub fn usage(option: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, format!("invalid value '{value}' for '{option}'"), allowed)
    }

    /// Names the peer.
    #[must_use]
    pub fn with_peer(mut self, peer: impl fmt::Display) -> Self {
        self.peer = Some(peer.to_string());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names the stream.
    #[must_use]
    pub const fn with_stream(mut self, stream: u32) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Says what failed, for programs.
    #[must_use]
    pub const fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Names the limit of this end that was reached.
    #[must_use]
    pub const fn with_limit(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same failure with another meaning for the run.
    #[must_use]
    pub const fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

/// Names the operation during which the system reported a failure.
pub trait During<T> {
    /// The failure as one of `operation`: nothing could be measured.
    ///
    /// # Errors
    /// The same, with its operation.
    fn during(self, operation: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: impl Into<String>) -> Result<T> {
        self.map_err(|error| Error::system(Kind::Unmeasured, operation, &error.into()))
    }
}

/// Adds to a failure what the caller knows of it.
pub trait Context: Sized {
    /// Names the peer.
    #[must_use]
    fn with_peer(self, peer: impl fmt::Display) -> Self;

    /// Names the stream.
    #[must_use]
    fn with_stream(self, stream: u32) -> Self;

    /// Says what to do.
    #[must_use]
    fn with_remedy(self, remedy: impl Into<String>) -> Self;

    /// Says what it means for the run.
    #[must_use]
    fn with_kind(self, kind: Kind) -> Self;
}

impl<T> Context for Result<T> {
    fn with_peer(self, peer: impl fmt::Display) -> Self {
        self.map_err(|error| error.with_peer(peer))
    }

    fn with_stream(self, stream: u32) -> Self {
        self.map_err(|error| error.with_stream(stream))
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Self {
        self.map_err(|error| error.with_remedy(remedy))
    }

    fn with_kind(self, kind: Kind) -> Self {
        self.map_err(|error| error.with_kind(kind))
    }
}

/// One line without control characters: a peer may have written it, and a terminal or a log with a
/// line an event may show it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = OneLine(f);
        if let Some(stream) = self.stream {
            write!(f, "stream {stream}: ")?;
        }
        f.write_str(&self.operation)?;
        if let Some(peer) = &self.peer {
            write!(f, " {peer}")?;
        }
        write!(f, ": {}", self.cause)?;
        if let Some(at) = self.at_seconds {
            write!(f, " (at {at:.3} s)")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// Passes text on with a blank for each control character.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, part) in text.split(char::is_control).enumerate() {
            if number > 0 {
                self.0.write_char(' ')?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_operation_peer_cause_and_remedy() {
        let error = Error::new(Kind::Unmeasured, "connect control connection to", "refused")
            .with_peer("192.0.2.2:5210")
            .with_remedy("start `podperf serve` there");
        assert_eq!(
            error.to_string(),
            "connect control connection to 192.0.2.2:5210: refused; start `podperf serve` there"
        );
        assert_eq!(error.kind.exit_status(), 3);
    }

    #[test]
    fn an_error_is_one_line_whoever_wrote_it() {
        let error =
            Error::new(Kind::Incomplete, "read\tfrom", "\u{1b}[2J\r\ngone").with_peer("a\0b");
        assert_eq!(error.to_string(), "read from a b:  [2J  gone");
        assert_eq!(error.cause, "\u{1b}[2J\r\ngone", "what it is stays as it is");
    }

    #[test]
    fn what_the_system_reports_is_kept_for_programs() {
        for (errno, code) in [
            (111, Code::ConnectionRefused),
            (113, Code::Unreachable),
            (101, Code::Unreachable),
            (104, Code::ConnectionLost),
            (32, Code::ConnectionLost),
            (110, Code::Timeout),
            (98, Code::AddressUnavailable),
            (99, Code::AddressUnavailable),
            (1, Code::PermissionDenied),
            (95, Code::NotSupported),
            (12, Code::ResourceExhausted),
            (24, Code::ResourceExhausted),
            (105, Code::ResourceExhausted),
            (5, Code::System),
        ] {
            let failed: io::Result<()> = Err(io::Error::from_raw_os_error(errno));
            let error =
                failed.during("connect to").with_peer("[::1]:1").with_stream(3).unwrap_err();
            assert_eq!((error.errno, error.code), (Some(errno), code), "{error}");
            assert_eq!((error.peer.as_deref(), error.stream), (Some("[::1]:1"), Some(3)));
            assert_eq!((error.kind, &*error.operation), (Kind::Unmeasured, "connect to"));
            let back: Error =
                serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
            assert_eq!(back, error);
        }
        let eof: io::Result<()> = Err(io::ErrorKind::UnexpectedEof.into());
        let error = eof.during("read from").with_kind(Kind::Incomplete).unwrap_err();
        assert_eq!((error.errno, error.code), (None, Code::ConnectionLost));
        assert_eq!(error.kind, Kind::Incomplete);
        assert_eq!(Error::usage("-P", 0, "allowed: 1").code, Code::Usage);
    }
}
