//! Questions to the kernel's routing netlink (rtnetlink(7)): which device a packet to an address
//! leaves by, what that device is, and to what rate it is shaped.
//!
//! Enters: addresses, an interface index. Leaves: plain values. Nothing is ever set; no question
//! needs a privilege.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

const HEADER_BYTES: usize = 16; // struct nlmsghdr
const ROUTE_BYTES: usize = 12; // struct rtmsg
const LINK_BYTES: usize = 16; // struct ifinfomsg
const TRAFFIC_CONTROL_BYTES: usize = 20; // struct tcmsg
const NLMSG_ERROR: u16 = 2; // NLMSG_ERROR
const NLMSG_DONE: u16 = 3; // NLMSG_DONE
const NLM_F_REQUEST: u16 = 1; // NLM_F_REQUEST
const NLM_F_DUMP: u16 = 0x300; // NLM_F_DUMP
/// Attributes of a qdisc or class (linux/rtnetlink.h), and of what shapes (linux/pkt_sched.h).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_CEIL64: u16 = 7;
/// Where the rate stands: in struct tc_ratespec, the first of tc_tbf_qopt, the second (the ceiling)
/// of tc_htb_opt.
const RATE_OFFSET_BYTES: usize = 8;
const RATE_SPEC_BYTES: usize = 12;
/// Answers that a dump may take; what comes after them is not read.
const MAX_ANSWERS: usize = 64;
/// Bits of rta_type that are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;
/// A link with many virtual functions takes more than a page.
const REPLY_BYTES: usize = 64 * 1024;

/// The facts of a device out of RTM_NEWLINK.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Interface name (IFLA_IFNAME).
    pub name: String,
    /// MTU in bytes (IFLA_MTU).
    pub mtu_bytes: Option<u32>,
    /// Root queueing discipline (IFLA_QDISC).
    pub qdisc: Option<String>,
    /// Receive queues (IFLA_NUM_RX_QUEUES).
    pub rx_queues: Option<u32>,
    /// Transmit queues (IFLA_NUM_TX_QUEUES).
    pub tx_queues: Option<u32>,
    /// What went through it since it was made (IFLA_STATS64).
    pub counters: Option<InterfaceCounters>,
}

/// Packets and bytes through a device, with their headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

impl InterfaceCounters {
    /// The first fields of struct rtnl_link_stats64.
    fn of(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| bytes.get(8 * at..8 * at + 8).and_then(long);
        Some(Self {
            rx_packets: field(0)?,
            tx_packets: field(1)?,
            rx_bytes: field(2)?,
            tx_bytes: field(3)?,
        })
    }
}

/// Index of the device that packets to `peer` leave by, from `local` where given.
///
/// # Errors
/// No route, an address family this kernel does not have, or no netlink.
pub fn route_device(peer: IpAddr, local: Option<IpAddr>) -> io::Result<u32> {
    let local = local.filter(|local| local.is_ipv4() == peer.is_ipv4() && !local.is_unspecified());
    let peer = octets(peer);
    let source = local.map(octets).unwrap_or_default();
    let family = if peer.len() == 4 { libc::AF_INET } else { libc::AF_INET6 };
    let mut body = [0; ROUTE_BYTES].to_vec();
    body[0] = narrow(family);
    body[1] = narrow(peer.len() * 8); // rtm_dst_len
    body[2] = narrow(source.len() * 8); // rtm_src_len
    push_attribute(&mut body, libc::RTA_DST, &peer);
    if !source.is_empty() {
        push_attribute(&mut body, libc::RTA_SRC, &source);
    }
    let reply = request(libc::RTM_GETROUTE, &body)?;
    attributes(reply.get(ROUTE_BYTES..).unwrap_or_default())
        .find(|(kind, _)| *kind == libc::RTA_OIF)
        .and_then(|(_, data)| number(data))
        .ok_or_else(|| io::Error::other("the route names no device"))
}

/// What the device of this index is.
///
/// # Errors
/// No such device, or no netlink.
pub fn link(index: u32) -> io::Result<Interface> {
    let mut body = [0; LINK_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes()); // ifi_index
    let reply = request(libc::RTM_GETLINK, &body)?;
    let mut link = Interface::default();
    for (kind, data) in attributes(reply.get(LINK_BYTES..).unwrap_or_default()) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(data),
            libc::IFLA_MTU => link.mtu_bytes = number(data),
            libc::IFLA_QDISC => link.qdisc = Some(text(data)),
            libc::IFLA_NUM_RX_QUEUES => link.rx_queues = number(data),
            libc::IFLA_NUM_TX_QUEUES => link.tx_queues = number(data),
            libc::IFLA_STATS64 => link.counters = InterfaceCounters::of(data),
            _ => {}
        }
    }
    Ok(link)
}

/// Rate that the root queueing discipline of the device of this index shapes to, in bytes per
/// second: that of tbf, or the highest ceiling of a class of htb. Nothing: it shapes by neither.
///
/// # Errors
/// No netlink.
pub fn shaper(index: u32) -> io::Result<Option<u64>> {
    let mut body = [0; TRAFFIC_CONTROL_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes()); // tcm_ifindex
    let (mut highest, mut htb) = (None, false);
    dump(libc::RTM_GETQDISC, &body, |qdisc| {
        if let Some(options) = options_of(qdisc, index, "tbf") {
            highest = highest.max(rate(options, [TCA_TBF_PARMS, TCA_TBF_RATE64], 0));
        }
        htb |= options_of(qdisc, index, "htb").is_some();
    })?;
    if htb {
        dump(libc::RTM_GETTCLASS, &body, |class| {
            if let Some(options) = options_of(class, index, "htb") {
                let at = RATE_SPEC_BYTES;
                highest = highest.max(rate(options, [TCA_HTB_PARMS, TCA_HTB_CEIL64], at));
            }
        })?;
    }
    Ok(highest)
}

/// The options (TCA_OPTIONS) of a qdisc or class of this kind on the device of this index.
fn options_of<'m>(message: &'m [u8], index: u32, kind: &str) -> Option<&'m [u8]> {
    let of = number(message.get(4..8)?)?;
    let find = |wanted| {
        let mut all = attributes(message.get(TRAFFIC_CONTROL_BYTES..).unwrap_or_default());
        all.find(|(kind, _)| *kind == wanted).map(|(_, data)| data)
    };
    (of == index && text(find(TCA_KIND)?) == kind).then(|| find(TCA_OPTIONS)).flatten()
}

/// A rate out of a shaper's options: 64 bits wide in an attribute of its own, where it is so high,
/// else in the struct tc_ratespec at `at` of its parameters.
fn rate(options: &[u8], [parameters, wide]: [u16; 2], at: usize) -> Option<u64> {
    let find = |wanted| attributes(options).find(|(kind, _)| *kind == wanted);
    let narrow = || {
        let (_, data) = find(parameters)?;
        number(data.get(at + RATE_OFFSET_BYTES..at + RATE_OFFSET_BYTES + 4)?).map(u64::from)
    };
    find(wide).and_then(|(_, data)| long(data)).or_else(narrow)
}

/// Asks for all there is of a kind, and calls `each` with every answer's body.
fn dump(kind: u16, body: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let socket = ask(kind, NLM_F_REQUEST | NLM_F_DUMP, body)?;
    let mut reply = vec![0; REPLY_BYTES];
    for _ in 0..MAX_ANSWERS {
        let received = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
        let mut rest = reply.get(..received).unwrap_or_default();
        while !rest.is_empty() {
            if rest.get(4..6).and_then(short) == Some(NLMSG_DONE) {
                return Ok(());
            }
            each(answer(rest)?);
            let length: u32 = rest.get(..4).and_then(number).unwrap_or(u32::MAX);
            let next = usize::try_from(length).map_err(io::Error::other)?.next_multiple_of(4);
            rest = rest.get(next..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Sends one request and returns the body of its answer.
fn request(kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let socket = ask(kind, NLM_F_REQUEST, body)?;
    let mut reply = vec![0; REPLY_BYTES];
    let received = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    reply.truncate(received);
    answer(&reply).map(<[u8]>::to_vec)
}

/// A socket on which a request was sent.
fn ask(kind: u16, flags: u16, body: &[u8]) -> io::Result<OwnedFd> {
    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;

    let length = u32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes()); // nlmsg_seq
    message.extend(0_u32.to_ne_bytes()); // nlmsg_pid: filled in by the kernel
    message.extend(body);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    Ok(socket)
}

/// The body of the first message, or the error it carries.
fn answer(reply: &[u8]) -> io::Result<&[u8]> {
    let malformed = || io::Error::other("malformed netlink answer");
    let length: u32 = reply.get(..4).and_then(number).ok_or_else(malformed)?;
    let kind = reply.get(4..6).and_then(short).ok_or_else(malformed)?;
    let end = usize::try_from(length).map_err(io::Error::other)?;
    let body = reply.get(HEADER_BYTES..end).ok_or_else(malformed)?;
    if kind == NLMSG_ERROR {
        let errno = body.get(..4).and_then(number).ok_or_else(malformed)?.cast_signed();
        return Err(io::Error::from_raw_os_error(errno.saturating_neg()));
    }
    Ok(body)
}

/// The attributes (struct rtattr) in `bytes`, up to the first that is cut short.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(bytes.get(..2).and_then(short)?);
        let kind = bytes.get(2..4).and_then(short)? & ATTRIBUTE_TYPE_MASK;
        let data = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, data))
    })
}

fn push_attribute(message: &mut Vec<u8>, kind: u16, data: &[u8]) {
    // Addresses alone are sent: 4 or 16 bytes, which need no padding.
    let length = u16::try_from(4 + data.len()).unwrap_or(0);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(data);
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn narrow(value: impl TryInto<u8>) -> u8 {
    // Address families and prefix lengths: at most 128.
    value.try_into().unwrap_or(0)
}

fn short(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_ne_bytes)
}

fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_local_peer_is_reached_by_the_loopback_device() {
        let index = route_device(Ipv4Addr::LOCALHOST.into(), None).unwrap();
        let link = link(index).unwrap();
        assert_eq!(link.name, "lo");
        assert!(link.mtu_bytes.is_some_and(|mtu| mtu >= 1_280), "{link:?}");
        assert!(link.qdisc.is_some() && link.rx_queues.is_some() && link.tx_queues.is_some());
        assert!(link.counters.is_some());
        assert_eq!(shaper(index).unwrap(), None);
    }

    #[test]
    fn own_address_is_given_as_the_source() {
        let local = Some(Ipv4Addr::LOCALHOST.into());
        assert!(route_device(Ipv4Addr::new(127, 0, 0, 9).into(), local).is_ok());
        // The other family's address and the wildcard say nothing about the source.
        let other = Some(Ipv6Addr::LOCALHOST.into());
        assert!(route_device(Ipv4Addr::LOCALHOST.into(), other).is_ok());
        let any = Some(Ipv4Addr::UNSPECIFIED.into());
        assert!(route_device(Ipv4Addr::LOCALHOST.into(), any).is_ok());
        // An address this machine does not have cannot be a source.
        let foreign = Some(Ipv4Addr::new(192, 0, 2, 77).into());
        assert!(route_device(Ipv4Addr::new(192, 0, 2, 78).into(), foreign).is_err());
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert_eq!(link(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    /// An attribute with its header, padded.
    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, kind, data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// What the kernel answers for a device's qdisc or class.
    fn shaped(index: u32, kind: &str, options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; TRAFFIC_CONTROL_BYTES];
        message[4..8].copy_from_slice(&index.to_ne_bytes());
        message.extend(attribute(TCA_KIND, format!("{kind}\0").as_bytes()));
        message.extend(attribute(TCA_OPTIONS, options));
        message
    }

    #[test]
    fn a_shapers_rate_stands_in_its_options() {
        let spec = |rate: u32| [[0; RATE_OFFSET_BYTES].as_slice(), &rate.to_ne_bytes()].concat();
        let tbf = attribute(TCA_TBF_PARMS, &[spec(12_500_000), vec![0; 24]].concat());
        let message = shaped(7, "tbf", &tbf);
        assert_eq!(options_of(&message, 8, "tbf"), None);
        assert_eq!(options_of(&message, 7, "htb"), None);
        let options = options_of(&message, 7, "tbf").unwrap();
        let wanted = [TCA_TBF_PARMS, TCA_TBF_RATE64];
        assert_eq!(rate(options, wanted, 0), Some(12_500_000));
        // A rate that 32 bits do not hold.
        let wide = attribute(TCA_TBF_RATE64, &10_000_000_000_u64.to_ne_bytes());
        assert_eq!(rate(&[tbf, wide].concat(), wanted, 0), Some(10_000_000_000));
        let htb = attribute(TCA_HTB_PARMS, &[spec(1_000), spec(6_250_000), vec![0; 20]].concat());
        let wanted = [TCA_HTB_PARMS, TCA_HTB_CEIL64];
        assert_eq!(rate(&htb, wanted, RATE_SPEC_BYTES), Some(6_250_000));
        assert_eq!(rate(&[], wanted, RATE_SPEC_BYTES), None);
    }

    proptest! {
        #[test]
        fn no_shaper_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = options_of(&bytes, 0, "tbf");
            let _ = rate(&bytes, [TCA_HTB_PARMS, TCA_HTB_CEIL64], RATE_SPEC_BYTES);
        }

        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&bytes);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4);
        }
    }
}
