//! What is asked for, and what is refused.

use super::*;

fn order(change: impl FnOnce(&mut OmniRequest)) -> Result<Order, i32> {
    let mut request = OmniRequest {
        protocol: Some(Protocol::Tcp),
        direction: SERVER_RECEIVES,
        ..OmniRequest::default()
    };
    change(&mut request);
    Order::read(Dialect::Omni, &request.write(), Extensions::default())
}

#[test]
fn every_shape_is_known_by_direction_flag_and_protocol() {
    use TestDirection::{Connect, ConnectRequestResponse, Receive, RequestResponse, Send};
    for (direction, flags, protocol, expected) in [
        (4, 0, Protocol::Tcp, Ok(Send)),
        (2, 0, Protocol::Tcp, Ok(Receive)),
        (6, 0, Protocol::Tcp, Ok(RequestResponse)),
        (6, CONNECTIONS, Protocol::Tcp, Ok(ConnectRequestResponse)),
        (0, CONNECTIONS, Protocol::Tcp, Ok(Connect)),
        (4, 0, Protocol::Udp, Ok(Send)),
        (2, 0, Protocol::Udp, Ok(Receive)),
        (6, 0, Protocol::Udp, Ok(RequestResponse)),
        (6, CONNECTIONS, Protocol::Udp, Err(libc::EOPNOTSUPP)),
        (4, CONNECTIONS, Protocol::Tcp, Err(libc::EOPNOTSUPP)),
        (0, 0, Protocol::Tcp, Err(libc::EINVAL)),
        (9, 0, Protocol::Tcp, Err(libc::EINVAL)),
    ] {
        let order = order(|request| {
            (request.direction, request.flags) = (direction, flags);
            request.protocol = Some(protocol);
            (request.request_size, request.response_size) = (Some(1), Some(1));
        });
        let found = order.map(|order| order.shape.direction);
        assert_eq!(found, expected, "{direction} {flags} {protocol:?}");
    }
}

#[test]
fn sizes_and_lengths_have_bounds() {
    let refused = |change: fn(&mut OmniRequest)| order(change).unwrap_err();
    assert_eq!(refused(|request| request.receive_size = Some(MAX_CALL_BYTES + 1)), libc::EINVAL);
    assert_eq!(refused(|request| request.send_size = Some(i32::MAX.unsigned_abs())), libc::EINVAL);
    assert_eq!(refused(|request| request.test_length = MAX_TEST_SECONDS + 1), libc::EINVAL);
    let datagram = |request: &mut OmniRequest| {
        request.protocol = Some(Protocol::Udp);
        request.send_size = Some(65_508);
    };
    assert_eq!(refused(datagram), libc::EMSGSIZE);
    assert_eq!(refused(|request| request.direction = BOTH), libc::EINVAL, "no sizes");
    let order = order(|request| {
        (request.send_buffer, request.receive_buffer) = (Some(i32::MAX.unsigned_abs()), Some(0));
        request.test_length = i32::MIN;
        request.receive_size = Some(MAX_CALL_BYTES);
    });
    let order = order.unwrap();
    assert_eq!(order.ask.buffers, Buffers { send: Some(1 << 30), receive: None });
    assert_eq!(order.length, TestLength::Units(1 << 31));
    assert_eq!(order.receive_bytes, Some(64 << 20));
}

#[test]
fn other_protocols_and_families_are_unknown() {
    assert_eq!(order(|request| request.protocol = None).unwrap_err(), UNKNOWN);
    let mut message = OmniRequest::default().write();
    message.put(92, 7_u32);
    assert_eq!(Order::read(Dialect::Omni, &message, Extensions::default()).unwrap_err(), UNKNOWN);
}

#[test]
fn older_records_ask_for_their_one_test() {
    let mut request = WireMessage::default();
    request.put(40, 3);
    request.put(16, 0);
    let stream = Order::read(Dialect::Stream, &request, Extensions::default()).unwrap();
    assert_eq!(stream.shape.direction, TestDirection::Send);
    assert_eq!(stream.length, TestLength::Time(Duration::from_secs(3)));
    assert_eq!(stream.receive_bytes, None, "a size of nought is the server's choice");
    let connect = Order::read(Dialect::Connect, &request, Extensions::default()).unwrap();
    assert_eq!(connect.shape.direction, TestDirection::Connect);
}

#[test]
fn what_is_left_alone_is_not_asked_for() {
    let plain = order(|_| ()).unwrap();
    assert_eq!((&plain.ask, plain.cpu, plain.pace), (&SocketRequest::default(), None, None));
    let full = order(|request| {
        (request.tos, request.priority, request.cpu) = (Some(0x28), Some(3), Some(1));
        request.pace = [10, 500];
        request.direction = SERVER_SENDS;
        request.congestion_control = "reno".to_owned();
    });
    let full = full.unwrap();
    assert_eq!((full.ask.tos, full.ask.priority, full.cpu), (Some(0x28), Some(3), Some(1)));
    assert_eq!(full.ask.congestion_control.as_deref(), Some("reno"));
    assert_eq!(full.pace.unwrap().every, Duration::from_micros(500));
}
