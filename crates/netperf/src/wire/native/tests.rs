//! What two podperfs say to each other, there and back.

use super::*;
use podperf_model::latency::Latencies;

#[test]
fn what_is_said_is_heard() {
    let join = ClientMessage::Join { token: [7; 16], stream: 3 };
    let next = ClientMessage::Next(Extensions { streams: 12, times_calls: true });
    for said in [
        ClientMessage::Probe,
        next,
        ClientMessage::End,
        ClientMessage::Details,
        ClientMessage::ConnectionToken,
        join,
    ] {
        assert_eq!(ClientMessage::read(&said.write()), Some(said));
    }
    assert_eq!(ClientMessage::read(&WireMessage::of(kind::OMNI)), None);
    let mut later = WireMessage::of(kind::NATIVE);
    later.put(4, 99_u32);
    assert_eq!(ClientMessage::read(&later), None);
}

#[test]
fn an_identity_is_not_mistaken_for_a_refusal_or_an_echo() {
    let own = Identity::own();
    assert_eq!(Identity::read(&own.write()), Some(own));
    let refusal = WireMessage::answer(0, crate::wire::UNKNOWN);
    assert_eq!(Identity::read(&refusal), None);
    assert_eq!(Identity::read(&ClientMessage::Probe.write()), None);
}

#[test]
fn a_token_is_told() {
    assert_eq!(read_token(&token_answer([9; 16])), Some([9; 16]));
    assert_eq!(read_token(&answer(22)), None);
}

#[test]
fn details_come_back_whole() {
    let mut latency = Latencies::new();
    latency.record(1_500);
    let bytes_received = u64::from(u32::MAX) * 9;
    let details = Details {
        counters: EndCounters { bytes_received, failed_sends: 3, ..EndCounters::default() },
        latency: Some(latency.to_wire()),
        socket: GrantedSocket { cork: true, retransmits: Some(4), ..GrantedSocket::default() },
        allowed_cpus: Some(AllowedCpusChange { process: None, workers: Some([vec![1], vec![0]]) }),
    };
    let bytes = details.write().unwrap();
    assert_eq!(Details::read(&mut bytes.as_slice()).unwrap(), details);
    // Cut short, refused, and longer than anybody reads.
    assert!(Details::read(&mut &bytes[..bytes.len() - 1]).is_err());
    let refused = Details::read(&mut answer(61).0.as_slice()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let mut endless = answer(0);
    endless.put(8, u32::MAX);
    let refused = Details::read(&mut endless.0.as_slice()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}
