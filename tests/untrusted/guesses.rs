//! Guesses of the token: an address that sends wrong ones has fewer and fewer of them looked at, by
//! however many connections it comes, and no other address waits for it.

use serde_json::{Value, json};

use crate::support::process::{Client, Server, podperf};
use crate::support::wire::{WireClient, hello};
use crate::support::{TIMEOUT, text};

const TOKEN: &str = "correct horse";

fn with_token() -> std::process::Command {
    let mut command = podperf(None);
    command.env("PODPERF_TOKEN", TOKEN);
    command
}

/// What a server says to wrong proofs, all of which come at once.
fn guess(server: &Server, guesses: usize) -> Vec<Value> {
    let mut clients: Vec<WireClient> = (0..guesses)
        .map(|_| {
            let mut client = WireClient::connect_control(server.port);
            client.send(&hello());
            assert!(client.receive()["hello"].is_object());
            client
        })
        .collect();
    for client in &mut clients {
        client.send(&json!({"prove": {"proof": "00".repeat(32)}}));
    }
    clients.iter_mut().map(WireClient::receive).collect()
}

#[test]
fn guesses_of_one_address_are_looked_at_ever_more_slowly() {
    let server = Server::launch(with_token(), &[]);
    let mut looked_at = 0;
    for refusal in [guess(&server, 50), guess(&server, 30)].concat() {
        match text(&refusal, "/refused/cause") {
            "wrong token" => looked_at += 1,
            cause => {
                assert!(cause.ends_with("wrong tokens came from this address"), "{refusal}");
                assert!(text(&refusal, "/refused/remedy").starts_with("try again in "));
            }
        }
    }
    // Six at once; then two in the next second, and so on.
    assert!((6..20).contains(&looked_at), "{looked_at} guesses were looked at");
    let target = server.target();
    let args = ["rr", &target, "-n", "10", "--bind", "127.0.0.2"];
    let outcome = Client::launch(with_token(), &args).wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}, log: {:#?}", server.log());
}
