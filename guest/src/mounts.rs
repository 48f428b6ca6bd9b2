// SPDX-License-Identifier: Apache-2.0
//! What is mounted inside the new root: the kernel's file systems. Called
//! after the change of root, so that no link of the image leads out of it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::mount::{MountFlags, mount, mount_remount};

use crate::error::{Failure, Step};

/// source and target, type, flags, options.
type Entry = (&'static str, &'static str, MountFlags, &'static str);

const NOTHING: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// In order. /proc and /sys are writable as on a machine of one's own: unlike
/// a container, what is set there is this VM's. /run and /tmp are *not* here:
/// as with Docker, what an image ships in them stays visible.
const SYSTEM: [Entry; 7] = [
    ("/proc", "proc", NOTHING, ""),
    ("/sys", "sysfs", NOTHING, ""),
    ("/dev", "devtmpfs", MountFlags::NOSUID, "mode=0755"),
    // 5 is the group tty of every distribution.
    (
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID.union(MountFlags::NOEXEC),
        "gid=5,mode=620,ptmxmode=666",
    ),
    ("/dev/shm", "tmpfs", NOTHING, "mode=1777"),
    ("/dev/mqueue", "mqueue", NOTHING, ""),
    ("/sys/fs/cgroup", "cgroup2", NOTHING, "nsdelegate"),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
];

/// Docker's defaults for a container with a network of its own: anyone may
/// bind any port and ping.
const SYSCTLS: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
];

/// For the initramfs, before there is a host to complain to.
pub fn mount_early() -> Result<(), Failure> {
    SYSTEM[..3].iter().try_for_each(mount_entry)
}

/// For the new root.
pub fn mount_system() -> Result<(), Failure> {
    for entry in &SYSTEM {
        make_directories(Path::new(entry.0))?;
        match mount_entry(entry) {
            // A kernel of the user's own may lack what most programs can miss.
            Err(e) if matches!(entry.1, "mqueue" | "cgroup2") => crate::error::complain(e),
            result => result?,
        }
    }
    for (target, link) in LINKS {
        match symlink(target, link) {
            // devtmpfs is one for the whole kernel.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            result => result.step(|| format!("link {link}"))?,
        }
    }
    for (path, value) in SYSCTLS {
        // A kernel without them does not need them.
        let _ = fs::write(path, value);
    }
    for (path, mode) in [("/run", 0o755), ("/tmp", 0o1777)] {
        if fs::DirBuilder::new().mode(mode).create(path).is_ok() {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, mode).step(|| format!("set the mode of {path}"))?;
        }
    }
    Ok(())
}

/// Makes the root read-only; what is mounted on it keeps its own flags.
pub fn seal_root() -> Result<(), Failure> {
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "").step(|| "make the root read-only")
}

fn mount_entry((target, kind, flags, options): &Entry) -> Result<(), Failure> {
    let options = CString::new(*options).step(|| format!("options of {target}"))?;
    mount(*kind, *target, *kind, *flags, options.as_c_str())
        .step(|| format!("mount {kind} at {target}"))
}

pub fn make_directories(path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .step(|| format!("make directory {}", path.display()))
}
