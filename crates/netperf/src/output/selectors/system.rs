//! What netperf once found out about the machines. Since its version 2.7 it says that it does not.

use super::{Selector, Source, gone, no_id, zero};

both_ends! { LOCAL_SYSTEMS "LOCAL_", REMOTE_SYSTEMS "REMOTE_";
    "SYSNAME" ["Sysname"] gone;
    "SYSTEM_MODEL" ["System", "Model"] gone;
    "RELEASE" ["Release"] gone;
    "VERSION" ["Version"] gone;
    "MACHINE" ["Machine"] gone;
}

both_ends! { LOCAL_DEVICES "LOCAL_", REMOTE_DEVICES "REMOTE_";
    "INTERFACE_NAME" ["Interface", "Name"] gone;
    "INTERFACE_VENDOR" ["Interface", "Vendor"] no_id;
    "INTERFACE_DEVICE" ["Interface", "Device"] no_id;
    "INTERFACE_SUBVENDOR" ["Interface", "Subvendor"] no_id;
    "INTERFACE_SUBDEVICE" ["Interface", "Subdevice"] no_id;
    "DRIVER_NAME" ["Driver", "Name"] gone;
    "DRIVER_VERSION" ["Driver", "Version"] gone;
    "DRIVER_FIRMWARE" ["Driver", "Firmware"] gone;
    "DRIVER_BUS" ["Driver", "Bus"] gone;
    "INTERFACE_SLOT" ["Interface", "Slot"] gone;
}

rows! { SECURITY;
    Local "LOCAL_SECURITY_TYPE_ID" ["Local", "OS", "Security", "Type ID"] zero;
    Local "LOCAL_SECURITY_TYPE" ["Local", "OS", "Security", "Type"] gone;
    Local "LOCAL_SECURITY_ENABLED_NUM" ["Local", "OS", "Security", "Enabled Num"] zero;
    Local "LOCAL_SECURITY_ENABLED" ["Local", "OS", "Security", "Enabled"] gone;
    Local "LOCAL_SECURITY_SPECIFIC" ["Local", "OS", "Security", "Specific"] gone;
    Remote "REMOTE_SECURITY_TYPE_ID" ["Remote", "OS", "Security", "Type"] zero;
    Remote "REMOTE_SECURITY_TYPE" ["Remote", "OS", "Security", "Type"] gone;
    Remote "REMOTE_SECURITY_ENABLED_NUM" ["Remote", "OS", "Security", "Enabled"] zero;
    Remote "REMOTE_SECURITY_ENABLED" ["Remote", "OS", "Security", "Enabled"] gone;
    Remote "REMOTE_SECURITY_SPECIFIC" ["Remote", "OS", "Security", "Specific"] gone;
}
