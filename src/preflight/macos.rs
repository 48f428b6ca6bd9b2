// SPDX-License-Identifier: Apache-2.0
//! What macOS tells about the host: Hypervisor.framework, memory and disks,
//! through sysctl(8) and codesign(1), which need neither FFI nor `unsafe`.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::Verdict;
use super::apple::{self, Facts};
use super::cache::{Anchor, Tsc};
use super::checks::Memory;
use crate::sys;

pub(super) use super::unix::{directory_facts, executable_name, is_executable, is_ours};

/// A name for the time since the kernel started.
pub(super) fn boot_id() -> Option<String> {
    sysctl("kern.bootsessionuuid")
}

/// Any process may use the framework, given its binary's entitlement: signing
/// writes the file anew.
pub(super) fn interface_identity() -> String {
    let program = std::env::current_exe().and_then(|path| path.metadata());
    program.map_or_else(|error| error.to_string(), |metadata| sys::file_identity(&metadata))
}

/// Asks whether processor, system and signature let this program have
/// Hypervisor.framework. Nothing is timed: macOS offers it only where it runs
/// on the hardware.
pub(super) fn probe() -> Verdict {
    apple::judge(&Facts {
        arm: cfg!(target_arch = "aarch64"),
        translated: sysctl("sysctl.proc_translated"),
        version: sysctl("kern.osproductversion"),
        hv_support: sysctl("kern.hv_support"),
        entitlements: entitlements(),
    })
}

/// Those of the file that this process was started from, which the VMM will
/// be started from too.
fn entitlements() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let mut codesign = Command::new("/usr/bin/codesign");
    let output = run(codesign.args(["-d", "--entitlements", "-", "--xml"]).arg(program))?;
    let unsigned = String::from_utf8_lossy(&output.stderr).contains("not signed");
    (output.status.success() || unsigned)
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Not needed: a guest on Apple silicon has the generic timer.
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

/// Bytes that this user can still write on the file system of `path`, or of
/// its nearest ancestor that exists. By statfs(2): the counts of statvfs(3)
/// have 32 bits here.
pub(super) fn disk_free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statfs(super::existing_ancestor(path))?;
    Ok(stat.f_bavail.saturating_mul(u64::from(stat.f_bsize)))
}

fn sysctl(name: &str) -> Option<String> {
    let output = run(Command::new("/usr/sbin/sysctl").args(["-n", name]))?;
    let value = String::from_utf8(output.stdout).ok()?;
    let value = value.trim();
    (output.status.success() && !value.is_empty()).then(|| value.to_owned())
}

fn run(command: &mut Command) -> Option<Output> {
    command.stdin(Stdio::null()).output().ok()
}
