//! The ethtool ioctl's questions that need no privilege (linux/ethtool.h): driver and offloads.
//!
//! Enters: an interface name. Leaves: names and on/off states. Nothing is ever set.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x0000_0003;
const ETHTOOL_GFLAGS: u32 = 0x0000_0025;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// Offloads that one command each asks for, by ethtool's short name.
const OFFLOAD_COMMANDS: [(&str, u32); 6] = [
    ("rx", 0x0000_0014),  // ETHTOOL_GRXCSUM
    ("tx", 0x0000_0016),  // ETHTOOL_GTXCSUM
    ("sg", 0x0000_0018),  // ETHTOOL_GSG
    ("tso", 0x0000_001e), // ETHTOOL_GTSO
    ("gso", 0x0000_0023), // ETHTOOL_GGSO
    ("gro", 0x0000_002b), // ETHTOOL_GGRO
];

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware_version: [u8; 32],
    bus_info: [u8; 32],
    erom_version: [u8; 32],
    reserved: [u8; 12],
    n_priv_flags: u32,
    n_stats: u32,
    testinfo_len: u32,
    eedump_len: u32,
    regdump_len: u32,
}

/// A structure that an ethtool command reads and fills.
///
/// # Safety
/// The type is `repr(C)`, made of integers alone, and opens with the number of a command whose
/// answer the kernel writes into this very structure and nothing longer.
unsafe trait EthtoolCommand {}

// SAFETY: `EthtoolValue` is the structure of every command listed in `OFFLOAD_COMMANDS` and of
// ETHTOOL_GFLAGS.
unsafe impl EthtoolCommand for EthtoolValue {}

// SAFETY: `DriverInfo` is the structure of ETHTOOL_GDRVINFO, 196 bytes in linux/ethtool.h.
unsafe impl EthtoolCommand for DriverInfo {}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// One interface to ask about.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// Gets ready to ask about `interface`.
    ///
    /// # Errors
    /// A name longer than the 15 bytes of an interface name, or no socket to be had.
    pub fn open(interface: &str) -> io::Result<Self> {
        if interface.is_empty() || interface.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut name = [0; libc::IFNAMSIZ];
        for (to, byte) in name.iter_mut().zip(interface.bytes()) {
            *to = libc::c_char::from_ne_bytes([byte]);
        }
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self { socket, name })
    }

    /// Name of the driver.
    ///
    /// # Errors
    /// No such device, or a driver that does not say.
    pub fn driver(&self) -> io::Result<String> {
        let mut info = DriverInfo {
            command: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            version: [0; 32],
            firmware_version: [0; 32],
            bus_info: [0; 32],
            erom_version: [0; 32],
            reserved: [0; 12],
            n_priv_flags: 0,
            n_stats: 0,
            testinfo_len: 0,
            eedump_len: 0,
            regdump_len: 0,
        };
        self.call(&mut info)?;
        let name = info.driver.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// State of the offloads rx, tx, sg, tso, gso, gro and lro, each on its own: a device may
    /// answer for some and not for others.
    pub fn offloads(&self) -> impl Iterator<Item = (&'static str, io::Result<bool>)> + '_ {
        let lro = self.value(ETHTOOL_GFLAGS).map(|flags| flags & ETH_FLAG_LRO != 0);
        OFFLOAD_COMMANDS
            .into_iter()
            .map(|(name, command)| (name, self.value(command).map(|state| state != 0)))
            .chain([("lro", lro)])
    }

    fn value(&self, command: u32) -> io::Result<u32> {
        let mut value = EthtoolValue { command, data: 0 };
        self.call(&mut value)?;
        Ok(value.data)
    }

    fn call<C: EthtoolCommand>(&self, command: &mut C) -> io::Result<()> {
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut *command).cast() },
        };
        // SAFETY: the request names the interface in a terminated array and points to `command`,
        // which is borrowed mutably here and, by `EthtoolCommand`, as long as the kernel writes.
        let status = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_for_its_offloads() {
        let states: Vec<_> = Ethtool::open("lo").unwrap().offloads().collect();
        assert_eq!(states.len(), 7);
        // The loopback device has no transmit checksum to switch off (NETIF_F_HW_CSUM fixed on).
        assert!(states.iter().any(|(name, on)| *name == "tx" && matches!(on, Ok(true))));
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        let absent = Ethtool::open("nosuchdevice0").unwrap();
        assert_eq!(absent.driver().unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(absent.offloads().all(|(_, state)| state.is_err()));
        assert!(Ethtool::open("a-name-of-sixteen").is_err());
    }
}
