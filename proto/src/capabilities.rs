// SPDX-License-Identifier: Apache-2.0
//! Capabilities of Linux by name and as sets of bits: bit n is capability n
//! (linux/capability.h).

/// In the kernel's order, without their `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Every one that has a name.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// To make device nodes.
pub const MKNOD: u64 = 1 << 27;

/// Those that Docker leaves to a container: CHOWN, DAC_OVERRIDE, FOWNER,
/// FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW,
/// SYS_CHROOT, MKNOD, AUDIT_WRITE and SETFCAP.
pub const DEFAULT: u64 = 0xa804_25fb;

/// The bit of a capability, by its name with or without `CAP_`, in any case.
pub fn by_name(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == name).map(|bit| 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (name, bit) in
            [("CHOWN", 0), ("cap_sys_admin", 21), ("CAP_Mknod", 27), ("checkpoint_restore", 40)]
        {
            assert_eq!(by_name(name), Some(1 << bit), "{name}");
        }
        for name in ["", "CAP_", "ALL", "CAP_CAP_CHOWN", "CHOWN "] {
            assert_eq!(by_name(name), None, "{name:?}");
        }
        assert_eq!(by_name("MKNOD"), Some(MKNOD));
    }

    #[test]
    fn the_default_is_dockers() {
        let names = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP \
                     SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
        let bits = names.split_whitespace().filter_map(by_name).fold(0, |all, bit| all | bit);
        assert_eq!(bits, DEFAULT);
        assert_eq!(DEFAULT.count_ones(), 14);
    }
}
