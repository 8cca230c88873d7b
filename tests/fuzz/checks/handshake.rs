//! Greeting and proof: whatever a client says, one that does not know the token is never welcome.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use podperf_engine::control::framing::{FrameReader, MAX_HANDSHAKE_MESSAGE_BYTES, encode};
use podperf_engine::control::message::{FromClient, FromServer, Hello, features};
use podperf_engine::control::pending_client::{Opening, PendingClient, ServerIdentity};
use podperf_engine::control::preamble::{LENGTH_BYTES, Preamble};
use podperf_engine::net::{FirstMessage as _, PendingStage, Progress, SessionId};
use podperf_engine::policy::Token;
use podperf_model::plan::Role;
use serde_json::{Value, json};

use super::pair::pair;
use super::{edited, text};

/// What is said in one handshake.
const MAX_STEPS: u32 = 12;
const NONCE: &str = "6e6f6e6365";

static HELLO: LazyLock<[Value; 1]> = LazyLock::new(|| [json!(FromClient::Hello(hello()))]);

fn hello() -> Hello {
    Hello {
        podperf: "0.1.0".into(),
        features: features(),
        nonce: NONCE.into(),
        token: true,
        boot_id: None,
    }
}

/// Checks one handshake.
pub fn check(data: &[u8]) {
    let token = Token::from_text("a secret that nobody knows").expect("it is long enough");
    let mut input = Unstructured::new(data);
    let knows = input.arbitrary::<u8>().unwrap_or(0);
    let server = ServerIdentity::new((knows & 1 != 0).then_some(&token), None);
    let (client, accepted) = pair();
    accepted.set_nonblocking(true).expect("a socket takes it");
    client.set_nonblocking(true).expect("a socket takes it");
    let mut client =
        Client { stream: client, input, said: Vec::new(), token: token.clone(), proved: false };
    let mut pending = PendingClient::new(accepted, &server);
    for _ in 0..MAX_STEPS {
        if client.step().is_err() {
            break;
        }
        match pending.read() {
            Ok(Progress::Incomplete) => {}
            Ok(Progress::Closed) => break,
            Ok(Progress::Complete(Opening::Stream { .. })) => {
                assert_eq!(pending.stage(), PendingStage::Silent, "a stream after a greeting");
                break;
            }
            Ok(Progress::Complete(Opening::Client(welcome))) => {
                let hello = &welcome.hello;
                assert!(server.token.is_none() || client.proved, "welcome without a proof");
                assert!(hello.features.len() <= 64, "{} features", hello.features.len());
                break;
            }
            Err(error) => {
                text::assert_one_line(&error.to_string(), "what is logged");
                break;
            }
        }
        client.listen();
        if pending.paused_until().is_some() {
            // A wrong proof, which is refused in a third of a second.
            break;
        }
    }
}

/// A client that says whatever its input has.
struct Client<'a> {
    stream: TcpStream,
    input: Unstructured<'a>,
    /// What the server said.
    said: Vec<u8>,
    token: Token,
    /// It has made the right proof.
    proved: bool,
}

impl Client<'_> {
    /// Says one thing. An error: it has nothing more to say.
    fn step(&mut self) -> Result<()> {
        if self.input.is_empty() {
            return Err(arbitrary::Error::NotEnoughData);
        }
        let message = |message: &FromClient| encode(message).unwrap_or_default();
        let bytes = match self.input.int_in_range(0..=8_u8)? {
            0 | 1 => Preamble::Control.encode().to_vec(),
            2 => {
                let session = SessionId(self.input.arbitrary()?);
                Preamble::Data { session, stream: self.input.arbitrary()? }.encode().to_vec()
            }
            3 => message(&FromClient::Hello(hello())),
            4 => encode(&edited::value(&mut self.input, &*HELLO)?).unwrap_or_default(),
            5 => message(&FromClient::Prove { proof: self.input.arbitrary::<&str>()?.to_owned() }),
            6 => self.proof(),
            7 => message(&FromClient::Heartbeat),
            _ => self.input.arbitrary::<&[u8]>()?.to_vec(),
        };
        let said = if self.input.ratio(1, 4)? {
            self.input.int_in_range(0..=bytes.len())?
        } else {
            bytes.len()
        };
        // A server that is gone or has enough of it.
        let _ = (&self.stream).write(&bytes[..said]);
        Ok(())
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        match (&self.stream).read(&mut bytes) {
            Ok(count) => self.said.extend(&bytes[..count]),
            Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidInput),
        }
        let most = LENGTH_BYTES + 3 * MAX_HANDSHAKE_MESSAGE_BYTES as usize;
        assert!(self.said.len() <= most, "{} bytes to a stranger", self.said.len());
    }

    /// The proof of one who knows the token and has heard the server's hello.
    fn proof(&mut self) -> Vec<u8> {
        let mut frame = FrameReader::new(MAX_HANDSHAKE_MESSAGE_BYTES);
        let mut messages = Vec::new();
        let _ =
            frame.take::<FromServer>(self.said.get(LENGTH_BYTES..).unwrap_or(&[]), &mut messages);
        let Some(FromServer::Hello(server)) = messages.into_iter().next() else {
            return Vec::new();
        };
        self.proved = true;
        let proof = self.token.prove(Role::Client, NONCE, &server.nonce);
        encode(&FromClient::Prove { proof }).unwrap_or_default()
    }
}
