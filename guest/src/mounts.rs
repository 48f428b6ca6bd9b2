// SPDX-License-Identifier: Apache-2.0
//! What is mounted inside the new root: the kernel's file systems, and /dev.
//! Called after the change of root, so that no link of the image leads out of it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use mvm_proto::InitConfig;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

use crate::error::{Failure, Step};

/// Source and target, type, flags, options.
pub type Entry<'a> = (&'a str, &'a str, MountFlags, &'a str);

const NOTHING: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// For the initramfs.
const EARLY: [Entry<'static>; 3] =
    [("/proc", "proc", NOTHING, ""), ("/sys", "sysfs", NOTHING, ""), ALL_DEVICES];

/// Every device of the kernel.
pub const ALL_DEVICES: Entry<'static> = ("/dev", "devtmpfs", MountFlags::NOSUID, "mode=0755");

/// For the new root, in order, after /dev. /run and /tmp are *not* here: as
/// with Docker, what an image ships in them stays visible.
const SYSTEM: [Entry<'static>; 5] = [
    ("/proc", "proc", NOTHING, ""),
    ("/sys", "sysfs", NOTHING, ""),
    // 5 is the group tty of every distribution.
    (
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID.union(MountFlags::NOEXEC),
        "gid=5,mode=620,ptmxmode=666",
    ),
    ("/dev/mqueue", "mqueue", NOTHING, ""),
    ("/sys/fs/cgroup", "cgroup2", NOTHING, "nsdelegate"),
];

/// Docker's size of /dev/shm, bytes.
const SHM: u64 = 64 << 20;

/// What Docker lets nobody write: through these, root without a capability
/// would run a program with all of them (core_pattern), or end the VM.
const SEALED: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
];

/// For the initramfs, before there is a host to complain to.
pub fn mount_early() -> Result<(), Failure> {
    EARLY.iter().try_for_each(mount_entry)
}

/// Takes what `mount_early` made away. Covered by the new root it could not be
/// reached; but as long as there is a /proc that is not sealed, the kernel lets
/// whoever makes a user namespace mount another one.
pub fn unmount_early() -> Result<(), Failure> {
    EARLY.iter().try_for_each(|(target, ..)| {
        // The channel's device is open.
        unmount(*target, UnmountFlags::DETACH).step(|| format!("unmount the early {target}"))
    })
}

/// For the new root, after its /dev. Everything can be written until
/// `seal_system`.
pub fn mount_system(config: &InitConfig) -> Result<(), Failure> {
    for entry in &SYSTEM {
        make_directories(Path::new(entry.0))?;
        match mount_entry(entry) {
            // A kernel of the user's own may lack what most programs can miss.
            Err(e) if matches!(entry.1, "mqueue" | "cgroup2") => crate::error::complain(e),
            result => result?,
        }
    }
    make_directories(Path::new("/dev/shm"))?;
    let size = if config.shm_bytes == 0 { SHM } else { config.shm_bytes };
    mount_entry(&("/dev/shm", "tmpfs", NOTHING, &format!("mode=1777,size={size}")))?;
    for (target, link) in LINKS {
        match symlink(target, link) {
            // devtmpfs is one for the whole kernel.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            result => result.step(|| format!("link {link}"))?,
        }
    }
    for (path, mode) in [("/run", 0o755), ("/tmp", 0o1777)] {
        if fs::DirBuilder::new().mode(mode).create(path).is_ok() {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, mode).step(|| format!("set the mode of {path}"))?;
        }
    }
    Ok(())
}

/// Makes read-only what lets root change the kernel: see docs/SECURITY.md.
/// The agent's own way to the control groups is another mount.
pub fn seal_system() -> Result<(), Failure> {
    for path in SEALED {
        match mount_bind(path, path) {
            // Not every kernel has every one.
            Err(Errno::NOENT) => continue,
            result => result.step(|| format!("mount {path} on itself"))?,
        }
        make_read_only(path)?;
    }
    for path in ["/sys", "/sys/fs/cgroup"] {
        make_read_only(path)?;
    }
    Ok(())
}

fn make_read_only(path: &str) -> Result<(), Failure> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | NOTHING;
    match mount_remount(path, flags, "") {
        // No mount: see `mount_system`.
        Err(Errno::INVAL) => Ok(()),
        result => result.step(|| format!("make {path} read-only")),
    }
}

/// Makes the root read-only; what is mounted on it keeps its own flags.
pub fn seal_root() -> Result<(), Failure> {
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "").step(|| "make the root read-only")
}

pub fn mount_entry((target, kind, flags, options): &Entry) -> Result<(), Failure> {
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
