// SPDX-License-Identifier: Apache-2.0
//! Block devices: finding a disk by its serial, and cutting the layers' disk
//! into partitions. The kernel takes partitions by ioctl (BLKPG), so the disk
//! needs no table, and 127 layers need neither loop devices nor slots.

use std::ffi::{c_int, c_longlong, c_void};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mvm_proto::DEVICE_BY_SERIAL;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use crate::error::{Failure, Step};
use crate::uevent;

/// Disks are there when init starts; slow buses get this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// `_IO(0x12, 105)` of linux/blkpg.h.
const BLKPG: Opcode = opcode::none(0x12, 105);
const BLKPG_ADD_PARTITION: c_int = 1;

/// `struct blkpg_partition`.
#[repr(C)]
struct Partition {
    start: c_longlong,
    length: c_longlong,
    number: c_int,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct BlkpgArgument {
    operation: c_int,
    flags: c_int,
    length: c_int,
    data: *mut c_void,
}

/// The path of a disk named as the host names it: a path, or
/// `serial:` and a virtio-blk serial.
pub fn find(name: &str) -> Result<PathBuf, Failure> {
    let look = || match name.strip_prefix(DEVICE_BY_SERIAL) {
        Some(serial) => by_serial(serial),
        None => Ok(Path::new(name).exists().then(|| name.into())),
    };
    uevent::wait_for(PATIENCE, look)
        .step(|| format!("look for disk {name}"))?
        .ok_or_else(|| Failure::new(format!("look for disk {name}"), Errno::NODEV))
}

fn by_serial(serial: &str) -> io::Result<Option<PathBuf>> {
    for disk in std::fs::read_dir("/sys/block")? {
        let disk = disk?;
        // Only virtio-blk has the attribute.
        let theirs = std::fs::read_to_string(disk.path().join("serial")).unwrap_or_default();
        if theirs.trim_end_matches('\n') == serial {
            return Ok(Some(Path::new("/dev").join(disk.file_name())));
        }
    }
    Ok(None)
}

/// Tells the kernel that `length` bytes from `start` are partition `number`,
/// counted from 1. Its node is there when this returns: see `partition_path`.
pub fn add_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    let convert = |n: u64| c_longlong::try_from(n).map_err(|_| io::Error::from(Errno::FBIG));
    let mut partition = Partition {
        start: convert(start)?,
        length: convert(length)?,
        number: c_int::try_from(number).map_err(|_| io::Error::from(Errno::INVAL))?,
        names: [0; 128],
    };
    let argument = BlkpgArgument {
        operation: BLKPG_ADD_PARTITION,
        flags: 0,
        length: size_of::<Partition>() as c_int,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: BLKPG reads a blkpg_ioctl_arg, whose layout BlkpgArgument has,
    // and through it a blkpg_partition, which outlives the call; the kernel
    // keeps neither pointer.
    unsafe { ioctl(disk, Setter::<BLKPG, BlkpgArgument>::new(argument)) }?;
    Ok(())
}

/// `/dev/vda1`, `/dev/nvme0n1p1`.
pub fn partition_path(disk: &Path, number: u32) -> PathBuf {
    let disk = disk.display().to_string();
    let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{separator}{number}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_as_the_kernel_does() {
        assert_eq!(partition_path("/dev/vda".as_ref(), 1), Path::new("/dev/vda1"));
        assert_eq!(partition_path("/dev/nvme0n1".as_ref(), 127), Path::new("/dev/nvme0n1p127"));
    }

    #[test]
    fn structures_have_the_size_of_the_kernels() {
        assert_eq!(size_of::<Partition>(), 152);
        assert_eq!(size_of::<BlkpgArgument>(), 24);
    }
}
