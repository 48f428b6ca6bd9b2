// SPDX-License-Identifier: Apache-2.0
//! /dev of the workload: Docker's few nodes, and the devices of this VM that
//! the host names.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;

use mvm_proto::streams::PROGRAM;
use mvm_proto::{Device, InitConfig};
use rustix::fs::{CWD, Dev, FileType, Mode, chmod, major, makedev, minor, mknodat, stat};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use crate::device_rules::Rule;
use crate::error::{Failure, Step};
use crate::mounts::{ALL_DEVICES, make_directories, mount_entry};

/// Names, major and minor numbers.
const NODES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// A device that was asked for.
struct Asked<'a> {
    target: &'a Path,
    kind: FileType,
    number: Dev,
    mode: Mode,
}

/// Mounts it. Returns what is to be allowed beside the nodes that are always
/// there.
pub fn mount(config: &InitConfig) -> Result<Vec<Rule>, Failure> {
    make_directories(Path::new("/dev"))?;
    let rules = mount_nodes(config)?;
    File::create(PROGRAM).step(|| format!("make {PROGRAM}"))?;
    Ok(rules)
}

/// This program, for those of the image: read-only, and of any user.
pub fn mount_program() -> Result<(), Failure> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_bind("/proc/self/exe", PROGRAM)
        .and_then(|()| mount_remount(PROGRAM, flags, ""))
        .step(|| format!("mount {PROGRAM}"))
}

fn mount_nodes(config: &InitConfig) -> Result<Vec<Rule>, Failure> {
    if config.all_devices {
        return mount_entry(&ALL_DEVICES).map(|()| Vec::new());
    }
    let asked = look_up(&config.devices)?;
    mount_entry(&("/dev", "tmpfs", MountFlags::NOSUID, "mode=755,size=64m"))?;
    for (path, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        make(Path::new(path), FileType::CharacterDevice, makedev(major, minor), mode)?;
    }
    symlink("pts/ptmx", "/dev/ptmx").step(|| "link /dev/ptmx")?;
    for device in &asked {
        device.target.parent().map_or(Ok(()), make_directories)?;
        make(device.target, device.kind, device.number, device.mode)?;
    }
    Ok(asked.iter().map(Asked::rule).collect())
}

/// What the kernel says of devices; its own /dev is there meanwhile.
fn look_up(devices: &[Device]) -> Result<Vec<Asked<'_>>, Failure> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    mount_entry(&ALL_DEVICES)?;
    let asked = devices.iter().map(find).collect();
    unmount("/dev", UnmountFlags::empty()).step(|| "unmount the devices of the VM")?;
    asked
}

fn find(device: &Device) -> Result<Asked<'_>, Failure> {
    let step = || format!("give the command the device {}", device.path);
    let target = Path::new(&device.target);
    if !target.starts_with("/dev") || !Path::new(&device.path).starts_with("/dev") {
        return Err(Failure::invalid(step(), "it is not in /dev"));
    }
    let found = stat(&device.path).step(step)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    // No udev is there to open /dev/fuse and /dev/net/tun for all; a disk stays
    // root's.
    let mode = match kind {
        FileType::CharacterDevice => 0o666,
        FileType::BlockDevice => 0o600,
        _ => return Err(Failure::invalid(step(), "it is no device")),
    };
    Ok(Asked { target, kind, number: found.st_rdev, mode: Mode::from_raw_mode(mode) })
}

fn make(path: &Path, kind: FileType, number: Dev, mode: Mode) -> Result<(), Failure> {
    mknodat(CWD, path, kind, mode, number)
        // Past the umask.
        .and_then(|()| chmod(path, mode))
        .step(|| format!("make {}", path.display()))
}

impl Asked<'_> {
    fn rule(&self) -> Rule {
        Rule {
            block: self.kind == FileType::BlockDevice,
            major: major(self.number),
            minor: Some(minor(self.number)),
        }
    }
}
