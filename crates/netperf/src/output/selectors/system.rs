//! What netperf once found out about the machines. Since its version 2.7 it says that it does not.

use super::Selector;

const GONE: &str = "Deprecated";
const NO_ID: &str = "0xfffffffe";
const ZERO: &str = "0";

pub(super) static SYSTEMS: &[Selector] = &[
    Selector::fixed("LOCAL_SYSNAME", ["Local", "Sysname", "", ""], GONE),
    Selector::fixed("LOCAL_SYSTEM_MODEL", ["Local", "System", "Model", ""], GONE),
    Selector::fixed("LOCAL_RELEASE", ["Local", "Release", "", ""], GONE),
    Selector::fixed("LOCAL_VERSION", ["Local", "Version", "", ""], GONE),
    Selector::fixed("LOCAL_MACHINE", ["Local", "Machine", "", ""], GONE),
    Selector::fixed("REMOTE_SYSNAME", ["Remote", "Sysname", "", ""], GONE),
    Selector::fixed("REMOTE_SYSTEM_MODEL", ["Remote", "System", "Model", ""], GONE),
    Selector::fixed("REMOTE_RELEASE", ["Remote", "Release", "", ""], GONE),
    Selector::fixed("REMOTE_VERSION", ["Remote", "Version", "", ""], GONE),
    Selector::fixed("REMOTE_MACHINE", ["Remote", "Machine", "", ""], GONE),
];

pub(super) static LOCAL_DEVICES: &[Selector] = &[
    Selector::fixed("LOCAL_INTERFACE_NAME", ["Local", "Interface", "Name", ""], GONE),
    Selector::fixed("LOCAL_INTERFACE_VENDOR", ["Local", "Interface", "Vendor", ""], NO_ID),
    Selector::fixed("LOCAL_INTERFACE_DEVICE", ["Local", "Interface", "Device", ""], NO_ID),
    Selector::fixed("LOCAL_INTERFACE_SUBVENDOR", ["Local", "Interface", "Subvendor", ""], NO_ID),
    Selector::fixed("LOCAL_INTERFACE_SUBDEVICE", ["Local", "Interface", "Subdevice", ""], NO_ID),
    Selector::fixed("LOCAL_DRIVER_NAME", ["Local", "Driver", "Name", ""], GONE),
    Selector::fixed("LOCAL_DRIVER_VERSION", ["Local", "Driver", "Version", ""], GONE),
    Selector::fixed("LOCAL_DRIVER_FIRMWARE", ["Local", "Driver", "Firmware", ""], GONE),
    Selector::fixed("LOCAL_DRIVER_BUS", ["Local", "Driver", "Bus", ""], GONE),
    Selector::fixed("LOCAL_INTERFACE_SLOT", ["Local", "Interface", "Slot", ""], GONE),
];

pub(super) static REMOTE_DEVICES: &[Selector] = &[
    Selector::fixed("REMOTE_INTERFACE_NAME", ["Remote", "Interface", "Name", ""], GONE),
    Selector::fixed("REMOTE_INTERFACE_VENDOR", ["Remote", "Interface", "Vendor", ""], NO_ID),
    Selector::fixed("REMOTE_INTERFACE_DEVICE", ["Remote", "Interface", "Device", ""], NO_ID),
    Selector::fixed("REMOTE_INTERFACE_SUBVENDOR", ["Remote", "Interface", "Subvendor", ""], NO_ID),
    Selector::fixed("REMOTE_INTERFACE_SUBDEVICE", ["Remote", "Interface", "Subdevice", ""], NO_ID),
    Selector::fixed("REMOTE_DRIVER_NAME", ["Remote", "Driver", "Name", ""], GONE),
    Selector::fixed("REMOTE_DRIVER_VERSION", ["Remote", "Driver", "Version", ""], GONE),
    Selector::fixed("REMOTE_DRIVER_FIRMWARE", ["Remote", "Driver", "Firmware", ""], GONE),
    Selector::fixed("REMOTE_DRIVER_BUS", ["Remote", "Driver", "Bus", ""], GONE),
    Selector::fixed("REMOTE_INTERFACE_SLOT", ["Remote", "Interface", "Slot", ""], GONE),
];

pub(super) static SECURITY: &[Selector] = &[
    Selector::fixed("LOCAL_SECURITY_TYPE_ID", ["Local", "OS", "Security", "Type ID"], ZERO),
    Selector::fixed("LOCAL_SECURITY_TYPE", ["Local", "OS", "Security", "Type"], GONE),
    Selector::fixed("LOCAL_SECURITY_ENABLED_NUM", ["Local", "OS", "Security", "Enabled Num"], ZERO),
    Selector::fixed("LOCAL_SECURITY_ENABLED", ["Local", "OS", "Security", "Enabled"], GONE),
    Selector::fixed("LOCAL_SECURITY_SPECIFIC", ["Local", "OS", "Security", "Specific"], GONE),
    Selector::fixed("REMOTE_SECURITY_TYPE_ID", ["Remote", "OS", "Security", "Type"], ZERO),
    Selector::fixed("REMOTE_SECURITY_TYPE", ["Remote", "OS", "Security", "Type"], GONE),
    Selector::fixed("REMOTE_SECURITY_ENABLED_NUM", ["Remote", "OS", "Security", "Enabled"], ZERO),
    Selector::fixed("REMOTE_SECURITY_ENABLED", ["Remote", "OS", "Security", "Enabled"], GONE),
    Selector::fixed("REMOTE_SECURITY_SPECIFIC", ["Remote", "OS", "Security", "Specific"], GONE),
];
