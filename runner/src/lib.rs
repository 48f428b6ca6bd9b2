// SPDX-License-Identifier: Apache-2.0
//! The process that a libkrun VM lives in, and the only code that touches
//! libkrun. A [`Machine`] says what the VM is; [`main`] reads one from its
//! standard input, lets the caller confine the process, and becomes the VM:
//! libkrun's `krun_start_enter` ends the process when the guest ends.

mod machine;

#[cfg(unix)]
mod entry;
#[cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(feature = "embedded", feature = "system-libkrun")
))]
mod krun;
#[cfg(all(
    unix,
    not(all(
        any(target_os = "linux", target_os = "macos"),
        any(feature = "embedded", feature = "system-libkrun")
    ))
))]
#[path = "absent.rs"]
mod krun;

#[cfg(unix)]
pub use entry::main;
pub use machine::{Config, Disk, DiskFormat, Machine, Nic, Share, VsockPort};

/// Whether this build can host VMs.
pub const HOSTS: bool = cfg!(all(
    any(target_os = "linux", target_os = "macos"),
    any(feature = "embedded", feature = "system-libkrun")
));

/// Virtio-mmio transports that libkrun has on x86_64 (IRQs 5 to 15), less its
/// own balloon, entropy source and vsock; more elsewhere, which we do not use.
pub const MAX_DEVICES: usize = 8;

/// libkrun takes the number of vCPUs in one byte.
pub const MAX_VCPUS: u32 = 255;
