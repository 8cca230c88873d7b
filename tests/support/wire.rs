//! The wire seen from outside: peers that speak the protocol byte by byte, peers that do not, and
//! a proxy that records what passes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use podperf_engine::control::preamble::Preamble;
use podperf_engine::net::SessionId;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{TIMEOUT, text};

/// A connection to a server, with bounded waits.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// The same from another address of this machine, as another client has it.
pub(crate) fn connect_from(own: [u8; 4], port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((own, 0)).into()).expect("all of 127.0.0.0/8 is ours");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Whether the peer ends the connection in time, with or without words.
pub(crate) fn is_dropped(stream: &mut TcpStream) -> bool {
    let mut ignored = [0; 4096];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A client that speaks the protocol message by message.
#[derive(Debug)]
pub(crate) struct WireClient(pub(crate) TcpStream);

/// A client whose run is ready, its stream, and what the server has said until then.
pub(crate) struct ReadyClient {
    pub(crate) client: WireClient,
    pub(crate) data: TcpStream,
    pub(crate) connect: Value,
    pub(crate) ready: Value,
}

impl WireClient {
    /// A control connection after both preambles.
    pub(crate) fn connect_control(port: u16) -> Self {
        let mut stream = connect(port);
        stream.write_all(&Preamble::Control.encode()).unwrap();
        let mut answer = [0; 32];
        stream.read_exact(&mut answer).expect("the server sends its preamble");
        assert_eq!(answer, Preamble::Control.encode());
        Self(stream)
    }

    /// A control connection that has been welcomed.
    pub(crate) fn welcome(port: u16) -> Self {
        let mut client = Self::connect_control(port);
        client.send(&hello());
        assert!(client.receive()["hello"].is_object());
        assert!(client.receive()["welcome"].is_object());
        client
    }

    /// A client whose run of `plan`, with one stream, is ready.
    pub(crate) fn ready(port: u16, plan: &Value) -> ReadyClient {
        let mut client = Self::welcome(port);
        client.send(&json!({"prepare": {"plan": plan}}));
        let answer = client.receive();
        let session = SessionId::from_hex(text(&answer, "/connect/session")).expect("an id");
        let mut data = connect(port);
        data.write_all(&Preamble::Data { session, stream: 0 }.encode()).unwrap();
        let ready = client.receive();
        assert!(ready["ready"].is_object(), "{ready:#}");
        ReadyClient { client, data, connect: answer, ready }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        // The peer may have hung up before the last byte; then it says why.
        self.try_send(message.to_string().as_bytes());
    }

    /// False: the peer has hung up.
    pub(crate) fn try_send(&mut self, json: &[u8]) -> bool {
        let length = u32::try_from(json.len()).unwrap();
        self.0.write_all(&[&length.to_be_bytes(), json].concat()).is_ok()
    }

    /// The next message that is not a heartbeat; null at the end of the connection.
    pub(crate) fn receive(&mut self) -> Value {
        loop {
            let mut head = [0; 4];
            if self.0.read_exact(&mut head).is_err() {
                return Value::Null;
            }
            let mut json = vec![0; u32::from_be_bytes(head) as usize];
            self.0.read_exact(&mut json).expect("a whole message");
            let message: Value = serde_json::from_slice(&json).expect("JSON");
            if message != json!("heartbeat") {
                return message;
            }
        }
    }
}

/// A client's hello.
pub(crate) fn hello() -> Value {
    json!({"hello": {"podperf": "0", "features": [], "nonce": "0".repeat(32), "token": false,
                     "boot_id": null}})
}

/// A plan of one stream of one second, which a server accepts.
pub(crate) fn plan() -> Value {
    let mut plan = json!({
        "workload": {"kind": "stream", "direction": "up", "message_bytes": 1024,
                     "send": "write", "receive": "read"},
        "stop_condition": {"kind": "time", "window_seconds": 1.0},
        "warm_up_seconds": 0.0, "interval_seconds": 1.0, "flows": 1,
        "client": {"workers": null, "pin": "none"}, "server": {"workers": null, "pin": "none"},
        "socket": {"congestion_control": null, "buffer_bytes": null, "mss_bytes": null,
                   "pacing_bits_per_second": null, "dscp": null, "no_delay": false}
    });
    // What an earlier program, which may be under test, calls it; unknown keys are ignored.
    plan["extent"] = plan["stop_condition"].clone();
    plan
}

/// A listener that serves one connection by `serve`; its port.
pub(crate) fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_read_timeout(Some(TIMEOUT));
            serve(stream);
        }
    });
    port
}

/// Most that a proxy records.
const MAX_RECORDED_BYTES: usize = 1 << 20;

/// A proxy before a server. It records what passes, and can hold one connection up.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    between: Arc<Between>,
}

#[derive(Debug, Default)]
struct Between {
    recorded: Mutex<Vec<u8>>,
    /// Number of the connection that is held up, from 1; 0: none.
    held: AtomicUsize,
}

impl Proxy {
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let between: Arc<Between> = Arc::default();
        let shared = Arc::clone(&between);
        std::thread::spawn(move || {
            for (number, client) in (1..).zip(listener.incoming().map_while(Result::ok)) {
                let address = SocketAddr::from(([127, 0, 0, 1], server));
                let Ok(onward) = TcpStream::connect_timeout(&address, TIMEOUT) else { continue };
                for (from, to) in [(&client, &onward), (&onward, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let between = Arc::clone(&shared);
                    std::thread::spawn(move || between.pass(number, from, to));
                }
            }
        });
        Self { port, between }
    }

    /// Whether `part` passed, early enough to be recorded.
    pub(crate) fn saw(&self, part: &[u8]) -> bool {
        self.between.recorded.lock().unwrap().windows(part.len()).any(|window| window == part)
    }

    /// Connection number `number`, from 1, stays open and passes nothing more.
    pub(crate) fn hold(&self, number: usize) {
        self.between.held.store(number, Ordering::Relaxed);
    }
}

impl Between {
    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            while self.held.load(Ordering::Relaxed) == number {
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut recorded = self.recorded.lock().unwrap();
            let room = MAX_RECORDED_BYTES.saturating_sub(recorded.len());
            recorded.extend_from_slice(&buffer[..count.min(room)]);
            drop(recorded);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
