// SPDX-License-Identifier: Apache-2.0
//! What Linux tells about the host: KVM, clocks, memory.

mod access;
mod kvm;
mod tsc;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;

use super::Verdict;
use super::cache::{Anchor, Tsc};
use super::checks::Memory;

pub(super) use super::unix::{directory_facts, executable_name, is_executable, is_ours};

const KVM: &str = "/dev/kvm";

/// A name for the time since the kernel started.
pub(super) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// The device behind the hypervisor interface and our right to it.
pub(super) fn interface_identity() -> String {
    let Ok(metadata) = fs::metadata(KVM) else {
        return "absent".to_owned();
    };
    let may = rustix::fs::access(KVM, Access::READ_OK | Access::WRITE_OK).is_ok();
    format!(
        "dev {} inode {} mode {:o} owner {}:{} access {may}",
        metadata.rdev(),
        metadata.ino(),
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
    )
}

/// Runs a guest of three instructions and times it. Takes up to five seconds
/// on a host that is not fit.
pub(super) fn probe() -> Verdict {
    kvm::probe()
}

/// Measures the time stamp counter (some 15 ms); `None` if there is none.
pub(super) fn measure_tsc() -> Option<Tsc> {
    tsc::measure()
}

/// Both clocks now.
pub(super) fn clocks() -> Option<Anchor> {
    tsc::clocks()
}

/// Bytes that this user can still write on the file system of `path`, or of
/// its nearest ancestor that exists.
pub(super) fn disk_free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(super::existing_ancestor(path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Physical memory.
pub(super) fn memory() -> Option<Memory> {
    parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// MemTotal and MemAvailable (proc_meminfo(5)), which are in KiB.
fn parse_meminfo(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let number = rest.strip_prefix(':')?.trim().strip_suffix("kB")?;
        Some(number.trim().parse::<u64>().ok()? / 1024)
    };
    Some(Memory { total_mib: field("MemTotal")?, available_mib: field("MemAvailable") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_of_a_directory_to_be() {
        let dir = tempfile::tempdir().unwrap();
        assert!(disk_free(&dir.path().join("x/y")).unwrap() > 0);
    }

    #[test]
    fn meminfo() {
        let text = "MemTotal:        8131508 kB\nMemFree:  1 kB\nMemAvailable:    4194304 kB\n";
        let parsed = parse_meminfo(text).unwrap();
        assert_eq!(parsed.total_mib, 7940);
        assert_eq!(parsed.available_mib, Some(4096));
        // Kernels before 3.14 have no estimate.
        let old = parse_meminfo("MemTotal: 2048 kB\nMemFree: 1 kB\n").unwrap();
        assert_eq!((old.total_mib, old.available_mib), (2, None));
        for bad in ["", "MemTotal:\n", "MemTotal: x kB\n", "MemTotal: 5 MB\n"] {
            assert_eq!(parse_meminfo(bad), None, "{bad}");
        }
        assert!(memory().unwrap().total_mib > 0);
    }

    #[test]
    fn identity_stays_while_nothing_changes() {
        assert_eq!(boot_id(), boot_id());
        assert_eq!(boot_id().unwrap().len(), 36);
        assert_eq!(interface_identity(), interface_identity());
    }
}
