// SPDX-License-Identifier: Apache-2.0
//! What macOS tells about the host: Hypervisor.framework and memory, through
//! sysctl(8), which needs neither FFI nor `unsafe`.

use std::process::{Command, Stdio};

use super::Verdict;
use super::cache::{Anchor, Tsc};
use super::checks::Memory;

pub(super) use super::unix::{directory_facts, disk_free, executable_name, is_executable, is_ours};

/// A name for the time since the kernel started.
pub(super) fn boot_id() -> Option<String> {
    sysctl("kern.bootsessionuuid")
}

/// Any process may use the framework, given its binary's entitlement, which
/// does not change while it runs.
pub(super) fn interface_identity() -> String {
    "Hypervisor.framework".to_owned()
}

/// Asks whether the processor and the system offer Hypervisor.framework.
/// Nothing is timed: macOS offers it only where it runs on the hardware.
pub(super) fn probe() -> Verdict {
    match sysctl("kern.hv_support").as_deref() {
        Some("1") => Verdict::Usable { micros_per_10k: None },
        _ => Verdict::Absent {
            hint: "use a Mac with Hypervisor.framework (`sysctl kern.hv_support` says 1); \
                   a virtual Mac has none unless its host nests virtualization"
                .to_owned(),
        },
    }
}

/// Not needed: an emulated guest on Apple silicon has the generic timer.
pub(super) fn measure_tsc() -> Option<Tsc> {
    None
}

/// Both clocks now.
pub(super) fn clocks() -> Option<Anchor> {
    None
}

/// Physical memory. macOS compresses and purges, so it has no figure for what
/// is available.
pub(super) fn memory() -> Option<Memory> {
    let bytes: u64 = sysctl("hw.memsize")?.parse().ok()?;
    Some(Memory { total_mib: bytes >> 20, available_mib: None })
}

fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("/usr/sbin/sysctl")
        .args(["-n", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let value = String::from_utf8(output.stdout).ok()?;
    let value = value.trim();
    (output.status.success() && !value.is_empty()).then(|| value.to_owned())
}
