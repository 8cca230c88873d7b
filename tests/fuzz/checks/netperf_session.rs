//! A session of netserver from its first message to its end, data connections included, with a
//! client that says whatever its input has. The session ends soon after its client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use podperf_model::units::Bytes;
use podperf_netperf::options::ServerOptions;
use podperf_netperf::server::testing::serve;
use podperf_netperf::test_kind::Protocol;
use podperf_netperf::wire::ask::{CONNECTIONS, MEASURE_CPU, NO_DELAY, OmniRequest};
use podperf_netperf::wire::dialect::Dialect;
use podperf_netperf::wire::native::{ClientMessage, Extensions};
use podperf_netperf::wire::reply::OmniResponse;
use podperf_netperf::wire::{MESSAGE_BYTES, WireMessage, kind};

use super::netperf_records;
use super::pair::pair;
use super::text::assert_plain;

/// What a client says in one session.
const MAX_STEPS: u32 = 8;
/// For an answer, and for a client that is silent: long on a busy machine too.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(150);
/// For what may come over a data connection or not.
const DATA_TIMEOUT: Duration = Duration::from_millis(10);
/// For results, which come only where the data was what the test asked for.
const RESULTS_TIMEOUT: Duration = Duration::from_millis(30);

/// Checks one session.
pub fn check(data: &[u8]) {
    let options = ServerOptions {
        idle_timeout: ANSWER_TIMEOUT,
        max_memory: Some(Bytes(32 << 20)),
        ..ServerOptions::default()
    };
    let (stream, accepted) = pair();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a socket takes it");
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).expect("a socket takes it");
    let log = |line: &str| assert_plain(line, "a line of the log");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client { stream, input: Unstructured::new(data) };
            for _ in 0..MAX_STEPS {
                if client.input.is_empty() || client.step().is_err() {
                    break;
                }
            }
        });
        if let Err(error) = serve(accepted, &options, &log) {
            assert_plain(&error.to_string(), "a line of the log");
        }
    });
}

struct Client<'a> {
    stream: TcpStream,
    input: Unstructured<'a>,
}

impl Client<'_> {
    /// Says one thing and hears what is answered. An error: the session is over.
    fn step(&mut self) -> Result<()> {
        match self.input.int_in_range(0..=6_u8)? {
            0..=2 => self.test(),
            3 => {
                let message = netperf_records::message(&mut self.input)?;
                let asks = Dialect::of(message.kind()).is_some();
                self.say(message)?;
                if asks && self.hear().is_some_and(|answer| answer.errno() == 0) {
                    // Without data, which would be waited for.
                    self.say(ClientMessage::End.write())?;
                    self.hear();
                }
                Ok(())
            }
            4 => {
                let said = [
                    ClientMessage::Probe,
                    ClientMessage::Details,
                    ClientMessage::End,
                    ClientMessage::ConnectionToken,
                    ClientMessage::Join { token: [0; 16], stream: 0 },
                ];
                let message = self.input.choose(&said)?.write();
                self.say(message)
            }
            5 => {
                let streams = self.input.int_in_range(0..=3)?;
                let times_calls = self.input.arbitrary()?;
                self.say(ClientMessage::Next(Extensions { streams, times_calls }).write())
            }
            _ => {
                // A part of a message, after which nothing comes.
                let count = self.input.int_in_range(0..=MESSAGE_BYTES)?;
                let _ = self.stream.write_all(&vec![0; count]);
                Err(arbitrary::Error::NotEnoughData)
            }
        }
    }

    fn say(&mut self, mut message: WireMessage) -> Result<()> {
        // On whatever port is free: others on this machine have theirs.
        match message.kind() {
            kind::OMNI => message.put(88, 0_u32),
            kind::TCP_STREAM => message.put(60, 0_u32),
            kind::TCP_CC => message.put(64, 0_u32),
            _ => {}
        }
        message.write(&mut self.stream).map_err(|_| arbitrary::Error::NotEnoughData)
    }

    fn patience(&self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).expect("a socket takes it");
    }

    /// Hears one message; absent: none came in time.
    fn hear(&mut self) -> Option<WireMessage> {
        WireMessage::read(&mut self.stream).ok()
    }

    /// Asks for a test, and does its data as it likes.
    fn test(&mut self) -> Result<()> {
        let request = self.request()?;
        let udp = request.protocol == Some(Protocol::Udp);
        self.say(request.write())?;
        let response = loop {
            match self.hear() {
                Some(message) if message.kind() == kind::OMNI_RESPONSE => {
                    break OmniResponse::read(&message);
                }
                Some(_) => {}
                // It waits for what the test before needs.
                None => return Err(arbitrary::Error::NotEnoughData),
            }
        };
        if response.errno != 0 {
            return Ok(());
        }
        assert!(response.data_port > 0, "a test without a port");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, response.data_port));
        let connections = self.input.int_in_range(0..=3_u8)?;
        for _ in 0..connections {
            // Refused, reset or late: the server's right.
            let _ = if udp { self.datagrams(to) } else { self.connection(to) };
        }
        if connections == 0 {
            // No results come of a test without data.
            return Err(arbitrary::Error::NotEnoughData);
        }
        if !self.input.ratio(1, 8)? {
            self.say(ClientMessage::End.write())?;
        }
        self.patience(RESULTS_TIMEOUT);
        while self.hear().is_some_and(|message| message.kind() != kind::OMNI_RESULTS) {}
        self.patience(ANSWER_TIMEOUT);
        Ok(())
    }

    fn request(&mut self) -> Result<OmniRequest> {
        let input = &mut self.input;
        let mut size = |most| -> Result<Option<u32>> { Ok(Some(input.int_in_range(0..=most)?)) };
        let (send_size, receive_size) = (size(70_000)?, size(70_000)?);
        let (request_size, response_size) = (size(3_000)?, size(3_000)?);
        let flags = [0, CONNECTIONS, NO_DELAY, MEASURE_CPU];
        Ok(OmniRequest {
            send_size,
            receive_size,
            request_size,
            response_size,
            flags: input.choose(&flags)? | input.choose(&flags)?,
            // By count, or until told: seconds would be waited for.
            test_length: -input.int_in_range(0..=70_000)?,
            family: *input.choose(&[None, Some(podperf_model::AddressFamily::V4)])?,
            protocol: Some(*input.choose(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp])?),
            direction: input.int_in_range(0..=7)?,
            pace: [input.int_in_range(0..=2)?, input.int_in_range(0..=2_000)?],
            congestion_control: (*input.choose(&["", "cubic", "no\u{1b}such"])?).to_owned(),
            tos: *input.choose(&[None, Some(0), Some(16)])?,
            ..OmniRequest::default()
        })
    }

    /// Sends and receives a little over one connection.
    fn connection(&mut self, to: SocketAddr) -> std::io::Result<()> {
        let mut data = TcpStream::connect_timeout(&to, ANSWER_TIMEOUT)?;
        socket2::SockRef::from(&data).set_linger(Some(Duration::ZERO))?;
        data.set_read_timeout(Some(DATA_TIMEOUT))?;
        data.set_write_timeout(Some(DATA_TIMEOUT))?;
        let sent = self.input.int_in_range(0..=9_000_usize).unwrap_or(0);
        data.write_all(&vec![b'x'; sent])?;
        if self.input.arbitrary().unwrap_or(true) {
            data.shutdown(std::net::Shutdown::Write)?;
        }
        let mut bytes = [0; 4096];
        for _ in 0..self.input.int_in_range(0..=8_u8).unwrap_or(0) {
            if data.read(&mut bytes)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn datagrams(&mut self, to: SocketAddr) -> std::io::Result<()> {
        let data = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        data.connect(to)?;
        data.set_read_timeout(Some(DATA_TIMEOUT))?;
        let (mut sent, mut answered) = (0, 0);
        for number in 0..self.input.int_in_range(0..=5_u8).unwrap_or(0) {
            let bytes = vec![b'x'; self.input.int_in_range(0..=4_000_usize).unwrap_or(1)];
            sent += data.send(&bytes)?;
            let mut answer = [0; 65_536];
            match data.recv(&mut answer) {
                Ok(count) => answered += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            // Nobody has proved to be here before three exchanges.
            assert!(number >= 3 || answered <= 3 * sent, "{answered} bytes for {sent}");
        }
        Ok(())
    }
}
