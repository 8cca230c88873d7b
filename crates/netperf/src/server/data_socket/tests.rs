//! Where data sockets open, and for whom.

use super::*;
use crate::wire::ask::{OmniRequest, SERVER_RECEIVES, SERVER_SENDS};
use crate::wire::dialect::Dialect;
use crate::wire::native::Extensions;

const LOCAL: &str = "127.0.0.1:12865";

fn order(change: impl FnOnce(&mut OmniRequest)) -> Order {
    let mut request = OmniRequest {
        direction: SERVER_RECEIVES,
        family: Some(AddressFamily::V4),
        protocol: Some(Protocol::Tcp),
        ..OmniRequest::default()
    };
    change(&mut request);
    Order::read(Dialect::Omni, &request.write(), Extensions::default()).unwrap()
}

fn opened(order: &Order, ports: Option<&RangeInclusive<u16>>) -> io::Result<DataSocket> {
    let local = LOCAL.parse().unwrap();
    open(order, (local, "127.0.0.1:4000".parse().unwrap()), ports)
}

fn address(data_socket: &DataSocket) -> SocketAddr {
    let (DataSource::Listening(socket) | DataSource::Datagrams(socket)) = &data_socket.source
    else {
        panic!("reserved")
    };
    socket.local_addr().unwrap().as_socket().unwrap()
}

#[test]
fn a_door_is_where_the_client_reached_the_server_or_where_it_says() {
    let data_socket = opened(&order(|_| ()), None).unwrap();
    assert_eq!(address(&data_socket).ip(), "127.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(
        (address(&data_socket).port(), data_socket.from),
        (data_socket.port, Some([127, 0, 0, 1].into()))
    );
    let named = order(|request| request.server_address = Some([127, 0, 0, 2].into()));
    let data_socket = opened(&named, None).unwrap();
    assert_eq!(address(&data_socket).ip(), IpAddr::from([127, 0, 0, 2]));
    assert_eq!(data_socket.from, None);
    // Of nobody here: all addresses.
    let named = order(|request| request.server_address = Some([192, 0, 2, 1].into()));
    assert!(address(&opened(&named, None).unwrap()).ip().is_unspecified());
    let other = order(|request| request.family = Some(AddressFamily::V6));
    if let Ok(data_socket) = opened(&other, None) {
        assert_eq!(address(&data_socket).ip(), AddressFamily::V6.unspecified());
    }
}

#[test]
fn a_busy_port_is_refused_by_its_errno_and_passed_over_in_a_range() {
    let first = opened(&order(|_| ()), None).unwrap();
    let busy = order(|request| request.data_port = first.port);
    let error = opened(&busy, None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    let (low, high) = (first.port.min(u16::MAX - 30), first.port.min(u16::MAX - 30) + 30);
    for _ in 0..5 {
        let data_socket = opened(&order(|_| ()), Some(&(low..=high))).unwrap();
        assert!(
            (low..=high).contains(&data_socket.port) && data_socket.port != first.port,
            "{}",
            data_socket.port
        );
    }
    let full = opened(&order(|_| ()), Some(&(first.port..=first.port)));
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn nobody_has_a_third_host_flooded() {
    let sends = |request: &mut OmniRequest| {
        request.direction = SERVER_SENDS;
        request.protocol = Some(Protocol::Udp);
        request.client_port = 9;
    };
    let own = order(sends);
    assert!(opened(&own, None).is_ok());
    let third = order(|request| {
        sends(request);
        request.client_address = Some([192, 0, 2, 1].into());
    });
    let error = opened(&third, None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
}
