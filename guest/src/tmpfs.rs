// SPDX-License-Identifier: Apache-2.0
//! File systems in memory that the host asked for (`--tmpfs`).

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mvm_proto::Tmpfs;
use rustix::mount::{MountFlags, mount};

use crate::error::{Failure, Step};
use crate::mounts::make_directories;

/// What may be asked for; the rest of mount(2) does something else.
const FLAGS: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NOSUID)
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::SYNCHRONOUS)
    .union(MountFlags::DIRSYNC)
    .union(MountFlags::NOATIME)
    .union(MountFlags::NODIRATIME)
    .union(MountFlags::RELATIME)
    .union(MountFlags::STRICTATIME);

/// Mounts one, in a directory that is made if it is missing. Its owner and mode
/// are the options', else root and 1777, whatever the image's directory had.
pub fn mount_tmpfs(tmpfs: &Tmpfs) -> Result<(), Failure> {
    let target = Path::new(OsStr::from_bytes(&tmpfs.target));
    let step = || format!("mount tmpfs at {} ({})", target.display(), tmpfs.options);
    if !target.is_absolute() {
        return Err(Failure::invalid(step(), "the target is not an absolute path"));
    }
    let flags = MountFlags::from_bits_retain(tmpfs.flags);
    if !FLAGS.contains(flags) {
        return Err(Failure::invalid(step(), format!("unknown flags: {:#x}", tmpfs.flags)));
    }
    make_directories(target)?;
    let options = CString::new(tmpfs.options.as_str()).step(step)?;
    mount("tmpfs", target, "tmpfs", flags, options.as_c_str()).step(step)
}

/// How deep a path is: what is mounted at a shallow one must not cover what is
/// at a deeper one.
pub fn depth(target: &[u8]) -> usize {
    let parts = target.split(|byte| *byte == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_names_something() {
        for (path, expected) in [("/", 0), ("/a", 1), ("/a/", 1), ("//a/./b", 2), ("/a/b/c", 3)] {
            assert_eq!(depth(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_mount_of_ours_is_refused() {
        let mut tmpfs = Tmpfs::new();
        tmpfs.target = b"relative".to_vec();
        assert!(mount_tmpfs(&tmpfs).unwrap_err().to_string().contains("absolute"));
        tmpfs.target = b"/no/such".to_vec();
        tmpfs.flags = 0x1000; // MS_BIND
        assert!(mount_tmpfs(&tmpfs).unwrap_err().to_string().contains("unknown flags"));
    }
}
