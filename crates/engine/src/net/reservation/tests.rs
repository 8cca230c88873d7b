//! Tests of reservations and of the order of streams.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_session_id_survives_as_text(session: [u8; 16]) {
        let id = SessionId(session);
        prop_assert_eq!(SessionId::from_hex(&id.to_hex()), Some(id));
    }
}

fn deliver<S>(all: &Reservations<&'static str, S>, id: SessionId, stream: u32) -> bool {
    all.with(id, |waiting| waiting.deliver(stream, "a stream")).unwrap_or(false)
}

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const A: SessionId = SessionId([1; 16]);
const B: SessionId = SessionId([2; 16]);

#[test]
fn connections_go_to_their_session_until_it_has_all_it_reserved() {
    let all = Reservations::new(AddressLimits::of_sessions(8));
    let mut a = all.reserve(A, IP, 2, ()).unwrap();
    assert!(!deliver(&all, B, 0), "nobody's");
    assert!(deliver(&all, A, 1) && deliver(&all, A, 0));
    assert!(!deliver(&all, A, 0), "one too many");
    let arrived: Vec<_> = a.arrivals().try_iter().collect();
    assert_eq!((a.id(), arrived), (A, vec![(1, "a stream"), (0, "a stream")]));
    a.close();
    assert!(!deliver(&all, A, 0), "closed");
}

#[test]
fn sessions_are_bounded_and_a_closed_one_counts_until_it_is_dropped() {
    let all: Reservations<&str, u8> = Reservations::new(AddressLimits::of_sessions(1));
    let mut a = all.reserve(A, IP, 1, 7).unwrap();
    assert_eq!(all.with(A, |waiting| waiting.state), Some(7));
    a.close();
    assert_eq!(all.with(A, |waiting| waiting.state), None);
    assert_eq!(all.reserve(B, IP, 1, 0).unwrap_err(), ReachedLimit::InAll(1));
    drop(a);
    let b = all.reserve(B, IP, 1, 0).unwrap();
    all.for_each(|waiting| waiting.state += 1);
    assert_eq!(all.with(B, |waiting| waiting.state), Some(1));
    drop(b);
    assert!(!deliver(&all, B, 0), "gone");
}

#[test]
fn slots_take_each_number_once() {
    let mut slots = StreamSlots::new(2);
    assert!(slots.fill(1, "b") && !slots.fill(1, "c") && !slots.fill(2, "d"));
    assert_eq!(slots.missing(), 1);
    assert!(slots.fill(0, "a"));
    assert_eq!((slots.missing(), slots.into_streams()), (0, vec!["a", "b"]));
}

#[test]
fn one_address_leaves_places_to_others_where_there_are_many() {
    let all: Reservations<&str, ()> = Reservations::new(AddressLimits::of_sessions(64));
    let id = |number: u8| SessionId([number; 16]);
    let own: Vec<_> = (0..48).map(|number| all.reserve(id(number), IP, 1, ()).unwrap()).collect();
    assert_eq!(all.reserve(id(100), IP, 1, ()).unwrap_err(), ReachedLimit::Address(48));
    let near = IpAddr::from([127, 0, 0, 2]);
    let _near: Vec<_> =
        (48..56).map(|number| all.reserve(id(number), near, 1, ()).unwrap()).collect();
    assert_eq!(all.reserve(id(100), near, 1, ()).unwrap_err(), ReachedLimit::Prefix(56));
    let _far = all.reserve(id(100), IpAddr::from([192, 0, 2, 1]), 1, ()).unwrap();
    drop(own);
    let _again = all.reserve(id(101), IP, 1, ()).unwrap();
}
