//! Both ends of a connection over loopback. Closing resets it, so that no port is kept for it.

use std::cell::OnceCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// A client's end and a server's.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    thread_local! {
        static LISTENER: OnceCell<TcpListener> = const { OnceCell::new() };
    }
    LISTENER.with(|listener| {
        let listener = listener.get_or_init(|| {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            TcpListener::bind(any).expect("loopback has a port")
        });
        let address = listener.local_addr().expect("it listens");
        let client = TcpStream::connect(address).expect("it listens");
        let (server, _) = listener.accept().expect("the client is there");
        for stream in [&client, &server] {
            let socket = SockRef::from(stream);
            socket.set_linger(Some(Duration::ZERO)).expect("a socket takes it");
            socket.set_tcp_nodelay(true).expect("a socket takes it");
        }
        (client, server)
    })
}
