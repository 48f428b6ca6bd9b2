// SPDX-License-Identifier: Apache-2.0
//! What a file has beside its bytes, its owner and its mode: attributes and holes; and whether
//! it is one at all, or of the kernel's making.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;

use crate::archive::SparseMap;

/// The most that a process may ask of the kernel at once (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`).
const MAX_XATTRS: usize = 64 << 10;
/// What is asked for first: most files have none.
const SOME: usize = 512;
/// Files with less in holes than this are sent whole.
const MIN_HOLES: u64 = 256 << 10;
/// Pieces of a file with holes; one with more is sent whole.
const MAX_PIECES: usize = 10_000;

/// Bytes that are moved by one system call.
#[cfg(target_os = "linux")]
const MAX_SENT: usize = 1 << 20;

/// Attributes that belong to a file wherever it is: not those that this machine's security
/// modules and overlays have put on it.
pub fn kept_attribute(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
        || name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || (name.starts_with(b"trusted.") && !name.starts_with(b"trusted.overlay."))
}

/// Names and values, of those that are kept.
pub fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let list = match whole(|buffer| rustix::fs::flistxattr(file, buffer)) {
        // Some file systems have none.
        Err(Errno::NOTSUP | Errno::INVAL | Errno::PERM) => return Ok(Vec::new()),
        other => other?,
    };
    let mut kept = Vec::new();
    for name in list.split(|&byte| byte == 0) {
        // A record of a tar cannot say where a name with a "=" ends.
        if name.contains(&b'=') || !kept_attribute(name) {
            continue;
        }
        match whole(|buffer| rustix::fs::fgetxattr(file, name, buffer)) {
            Ok(value) => kept.push((name.to_vec(), value)),
            // Taken away in between.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

fn whole(get: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut few = [0; SOME];
    match get(&mut few) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut many = vec![0; MAX_XATTRS];
            let length = get(&mut many)?;
            many.truncate(length);
            Ok(many)
        }
        Err(error) => Err(error),
    }
}

/// Where the data of a file are, if it has holes that are worth it.
pub fn holes(file: &File, metadata: &Metadata) -> io::Result<Option<SparseMap>> {
    let size = metadata.len();
    // A block of `stat` has 512 bytes, everywhere.
    if size.saturating_sub(metadata.blocks() * 512) < MIN_HOLES {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    let (mut at, mut total) = (0, 0);
    while at < size {
        let data = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole.
            Err(Errno::NXIO) => break,
            // No such thing here.
            Err(Errno::INVAL | Errno::NOTSUP) => return rewound(file, None),
            Err(error) => return Err(error.into()),
        };
        let end = match rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(data)) {
            Ok(end) => end.min(size),
            // It became smaller.
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error.into()),
        };
        if data >= size || end <= data || pieces.len() == MAX_PIECES {
            break;
        }
        pieces.push((data, end - data));
        total += end - data;
        at = end;
    }
    let all = pieces.len() < MAX_PIECES && size - total >= MIN_HOLES;
    rewound(file, all.then(|| SparseMap::new(pieces, size, total)).flatten())
}

fn rewound(file: &File, map: Option<SparseMap>) -> io::Result<Option<SparseMap>> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
    Ok(map)
}

/// Whether a file is on a file system that the kernel makes up: /proc, /sys and the like.
#[cfg(target_os = "linux")]
pub fn is_made_up(file: &File) -> bool {
    const MADE_UP: [u64; 10] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x6367_7270, // cgroup2
        0x0027_e0eb, // cgroup
        0x1cd1,      // devpts
        0x1980_0202, // mqueue
        0xcafe_4a11, // bpf
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
    ];
    let kind = rustix::fs::fstatfs(file).map(|statfs| statfs.f_type);
    kind.is_ok_and(|kind| MADE_UP.contains(&u64::from(kind as u32)))
}

#[cfg(not(target_os = "linux"))]
pub fn is_made_up(_: &File) -> bool {
    false
}

/// Moves bytes of a file to a pipe. None where the kernel cannot, or there are no more: who
/// reads on sees which.
#[cfg(target_os = "linux")]
pub fn send(file: &mut File, pipe: &mut File, most: u64) -> io::Result<u64> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_SENT);
    match rustix::io::retry_on_intr(|| rustix::fs::sendfile(&*pipe, &*file, None, most)) {
        Ok(count) => Ok(count as u64),
        Err(Errno::INVAL | Errno::IO | Errno::NOSYS) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
