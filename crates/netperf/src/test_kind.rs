//! Which test is run, and what its data connections do.

use std::time::Duration;

/// Data connections of one test.
pub const MAX_STREAMS: u32 = 10_000;
/// Payload of a UDP datagram over IPv4 (RFC 768, RFC 791).
pub const MAX_DATAGRAM_BYTES: u32 = 65_507;

/// A test by the name it is asked for under (`-t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetperfTest {
    /// Bytes from netperf to netserver.
    TcpStream,
    /// Bytes from netserver to netperf.
    TcpMaerts,
    /// [`Self::TcpStream`] by sendfile(2).
    TcpSendfile,
    /// Requests and responses on one connection.
    TcpRr,
    /// The same with a connection each.
    TcpCrr,
    /// Connections alone.
    TcpCc,
    /// Datagrams from netperf to netserver.
    UdpStream,
    /// Requests and responses of a datagram each.
    UdpRr,
    /// Whatever the options of the test say.
    Omni,
    /// Prints a UUID.
    Uuid,
    /// Prints the local CPU rate.
    LocCpu,
    /// Prints the remote CPU rate.
    RemCpu,
}

impl NetperfTest {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::TcpStream,
        Self::TcpMaerts,
        Self::TcpRr,
        Self::TcpCrr,
        Self::UdpStream,
        Self::UdpRr,
        Self::Omni,
        Self::TcpSendfile,
        Self::TcpCc,
        Self::Uuid,
        Self::LocCpu,
        Self::RemCpu,
    ];

    /// What `-t` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TcpStream => "TCP_STREAM",
            Self::TcpMaerts => "TCP_MAERTS",
            Self::TcpSendfile => "TCP_SENDFILE",
            Self::TcpRr => "TCP_RR",
            Self::TcpCrr => "TCP_CRR",
            Self::TcpCc => "TCP_CC",
            Self::UdpStream => "UDP_STREAM",
            Self::UdpRr => "UDP_RR",
            Self::Omni => "OMNI",
            Self::Uuid => "UUID",
            Self::LocCpu => "LOC_CPU",
            Self::RemCpu => "REM_CPU",
        }
    }

    /// What it does where no option says otherwise. The last three have no data.
    #[must_use]
    pub const fn shape(self) -> TestShape {
        let (protocol, direction) = match self {
            Self::TcpMaerts => (Protocol::Tcp, TestDirection::Receive),
            Self::TcpRr => (Protocol::Tcp, TestDirection::RequestResponse),
            Self::TcpCrr => (Protocol::Tcp, TestDirection::ConnectRequestResponse),
            Self::TcpCc => (Protocol::Tcp, TestDirection::Connect),
            Self::UdpStream => (Protocol::Udp, TestDirection::Send),
            Self::UdpRr => (Protocol::Udp, TestDirection::RequestResponse),
            Self::TcpStream | Self::TcpSendfile | Self::Omni => {
                (Protocol::Tcp, TestDirection::Send)
            }
            Self::Uuid | Self::LocCpu | Self::RemCpu => (Protocol::Tcp, TestDirection::Send),
        };
        TestShape { protocol, direction }
    }
}

/// What goes over the data connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestShape {
    /// How.
    pub protocol: Protocol,
    /// Which way.
    pub direction: TestDirection,
}

/// Transport protocol of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// How long a test lasts, or one end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestLength {
    /// So much time.
    Time(Duration),
    /// So many bytes (streams) or transactions, over all connections.
    Units(u64),
    /// Until a signal, or until the other end has ended it.
    UntilTold,
}

impl TestLength {
    /// The time, where it lasts for one.
    #[must_use]
    pub const fn time(self) -> Option<Duration> {
        match self {
            Self::Time(time) => Some(time),
            Self::Units(_) | Self::UntilTold => None,
        }
    }
}

/// Which way data goes, as netperf sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestDirection {
    /// netperf sends.
    Send,
    /// netperf receives.
    Receive,
    /// Requests and responses.
    RequestResponse,
    /// Requests and responses, a connection each.
    ConnectRequestResponse,
    /// Connections alone.
    Connect,
}

impl TestDirection {
    /// It is made of transactions.
    #[must_use]
    pub const fn transacts(self) -> bool {
        !matches!(self, Self::Send | Self::Receive)
    }

    /// Its connections last from the start to the end.
    #[must_use]
    pub const fn lasts(self) -> bool {
        !matches!(self, Self::ConnectRequestResponse | Self::Connect)
    }
}
