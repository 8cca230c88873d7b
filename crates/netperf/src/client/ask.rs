//! What the options ask of either end: the record for netserver, and the own job.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::data::socket::{GrantedSocket, SocketRequest};
use crate::data::{DRAIN_STALL_TIMEOUT, Job};
use crate::options::{Buffers, Options, PerEnd};
use crate::test_kind::{MAX_DATAGRAM_BYTES, NetperfTest, Protocol, TestDirection, TestLength};
use crate::wire::ask::{
    CONNECTIONS, KEEPALIVE, MEASURE_CPU, NO_DELAY, OmniRequest, ROUTING, SERVER_RECEIVES,
    SERVER_SENDS,
};
use podperf_model::AddressFamily;
use podperf_model::plan::Role;

/// A UDP response that has not come after this time is lost, unless `-e` says otherwise.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// For the end of a stream that is received, when its time is over: what is still on its way over a
/// slow link does not belong to the test. The real netserver takes a client that leaves before it
/// has ended for an error; podperf's is told of the end.
const END_TIMEOUT: Duration = Duration::from_secs(1);
const NATIVE_END_TIMEOUT: Duration = Duration::from_millis(100);

/// What is asked of the own data sockets.
pub(super) fn of_sockets(options: &Options) -> SocketRequest {
    let data = &options.data;
    SocketRequest {
        buffers: data.buffers.local,
        no_delay: data.no_delay,
        cork: data.cork,
        mss: data.mss,
        congestion_control: data.congestion_control.local.clone(),
        tos: options.tos.local,
        priority: options.priority.local,
        keepalive: options.keepalive,
        pacing_bytes_per_second: data.pacing_bytes_per_second,
        dont_route: !data.routing,
        dont_fragment: data.dont_fragment,
    }
}

/// What is asked of netserver. `client_port`: where the own datagrams come from.
pub(super) fn of_server(
    options: &Options,
    family: AddressFamily,
    client: Option<SocketAddr>,
    server_address: Option<IpAddr>,
) -> OmniRequest {
    let data = &options.data;
    let Buffers { send, receive } = data.buffers.remote;
    let shape = options.shape;
    let transacts = shape.direction.transacts();
    let layout = &options.layout;
    let ring = [layout.align.remote, layout.offset.remote, layout.width.remote.unwrap_or(1)];
    OmniRequest {
        cpu: options.cpus.remote,
        send_buffer: send,
        send_size: data.send_bytes.remote,
        send_ring: ring,
        request_size: transacts.then_some(data.request_bytes),
        receive_buffer: receive,
        receive_size: data.receive_bytes.remote,
        receive_ring: ring,
        response_size: transacts.then_some(data.response_bytes),
        flags: flags(options),
        test_length: match options.length {
            TestLength::Time(time) => i32::try_from(time.as_secs()).unwrap_or(i32::MAX),
            TestLength::Units(units) => i32::try_from(units).map_or(i32::MIN + 1, |units| -units),
            TestLength::UntilTold => 0,
        },
        data_port: data.ports.remote,
        family: Some(family),
        protocol: Some(shape.protocol),
        direction: match shape.direction {
            TestDirection::Send => SERVER_RECEIVES,
            TestDirection::Receive => SERVER_SENDS,
            TestDirection::RequestResponse | TestDirection::ConnectRequestResponse => {
                SERVER_RECEIVES | SERVER_SENDS
            }
            TestDirection::Connect => 0,
        },
        client_port: client.map_or(0, |address| address.port()),
        pace: options.pace.remote.map_or([0; 2], |pace| {
            [pace.operations, u32::try_from(pace.every.as_micros()).unwrap_or(u32::MAX)]
        }),
        client_address: client.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()),
        server_address,
        priority: options.priority.remote,
        tos: options.tos.remote.map(u32::from),
        congestion_control: data.congestion_control.remote.clone().unwrap_or_default(),
        fill_file: options.fill.remote.clone().unwrap_or_default(),
    }
}

/// On which ends CPU is measured: a document has both.
pub(super) fn wants_cpu(options: &Options) -> PerEnd<bool> {
    let PerEnd { local, remote } = options.cpu;
    PerEnd { local: local || options.json, remote: remote || options.json }
}

fn flags(options: &Options) -> u32 {
    let set = [
        (options.data.no_delay, NO_DELAY),
        (!options.shape.direction.lasts(), CONNECTIONS),
        (wants_cpu(options).remote, MEASURE_CPU),
        // Without it a netserver tells no congestion control, so it is always asked for.
        (true, ROUTING),
        (options.keepalive, KEEPALIVE),
    ];
    set.into_iter().filter(|(asked, _)| *asked).fold(0, |flags, (_, flag)| flags | flag)
}

/// What this end does. Sizes that were not asked for follow the socket's buffers, as netperf's do.
pub(super) fn of_self(
    options: &Options,
    granted: &GrantedSocket,
    payload: Option<Arc<[u8]>>,
    (timed, native): (bool, bool),
) -> Job {
    let data = &options.data;
    let most = |bytes: u32| match options.shape.protocol {
        Protocol::Tcp => bytes,
        Protocol::Udp => bytes.min(MAX_DATAGRAM_BYTES),
    };
    let size = |asked: Option<u32>, buffer: Option<u32>| {
        asked.unwrap_or_else(|| most(buffer.unwrap_or(MAX_DATAGRAM_BYTES))).max(1)
    };
    let shape = options.shape;
    let receives = shape.direction == TestDirection::Receive && shape.protocol == Protocol::Tcp;
    let counted_by_sender = receives && matches!(options.length, TestLength::Units(_));
    let drain_timeout = match (receives, native) {
        (false, _) => options.peer_timeout.unwrap_or(DRAIN_STALL_TIMEOUT).min(DRAIN_STALL_TIMEOUT),
        (true, true) => NATIVE_END_TIMEOUT,
        (true, false) => END_TIMEOUT,
    };
    let connects_only = shape.direction == TestDirection::Connect;
    Job {
        role: Role::Client,
        shape,
        send_bytes: size(data.send_bytes.local, granted.send_buffer),
        receive_bytes: size(data.receive_bytes.local, granted.receive_buffer),
        request_bytes: if connects_only { 0 } else { data.request_bytes },
        response_bytes: if connects_only { 0 } else { data.response_bytes },
        length: if counted_by_sender { TestLength::UntilTold } else { options.length },
        in_flight: 1 + data.burst.unwrap_or(0),
        streams: options.streams,
        cpu: options.cpus.local,
        timed,
        sendfile: options.test == NetperfTest::TcpSendfile,
        pace: options.pace.local,
        limits_responses: false,
        payload,
        receive_timeout: data.receive_timeout.unwrap_or(RECEIVE_TIMEOUT),
        drain_timeout,
    }
}
