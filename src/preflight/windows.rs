// SPDX-License-Identifier: Apache-2.0
//! What Windows tells about the host: memory and disks. Hyper-V is not asked
//! before there is a backend that uses it.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};

use super::Verdict;
use super::cache::{Anchor, Tsc};
use super::checks::{DirectoryFacts, Memory};
use super::error::DirectoryProblem;

/// Windows names no boot, so nothing about it is remembered.
pub(super) fn boot_id() -> Option<String> {
    None
}

/// There is no interface yet.
pub(super) fn interface_identity() -> String {
    String::new()
}

/// Says that mvm has no use for Hyper-V yet.
pub(super) fn probe() -> Verdict {
    Verdict::NotYet { what: "mvm does not use Hyper-V yet".to_owned() }
}

/// Not measured: the guest's kernel falls back to its own way.
pub(super) fn measure_tsc() -> Option<Tsc> {
    None
}

/// Both clocks now.
pub(super) fn clocks() -> Option<Anchor> {
    None
}

/// Name of a program's file.
pub(super) fn executable_name(stem: &str) -> String {
    format!("{stem}.exe")
}

/// Whether this is a file; Windows has no permission bit to ask.
pub(super) fn is_executable(metadata: &Metadata) -> bool {
    metadata.is_file()
}

/// What is in the user's profile is the user's, by its inherited ACL.
pub(super) fn is_ours(_file: &File) -> bool {
    true
}

/// What is at a directory's path. Whether an ACL allows writing is only known
/// by trying, so it is taken for granted here and reported where it fails.
pub(super) fn directory_facts(path: &Path) -> DirectoryFacts {
    let facts = |exists, is_directory, writable| DirectoryFacts {
        exists,
        is_directory,
        writable,
        ours: true,
        mode: 0,
    };
    match path.metadata() {
        Ok(metadata) => facts(true, metadata.is_dir(), Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let possible = super::existing_ancestor(path).is_dir();
            let writable = possible.then_some(()).ok_or(DirectoryProblem::NotADirectory);
            facts(false, false, writable)
        }
        Err(error) => {
            let why = error.to_string();
            facts(false, false, Err(DirectoryProblem::Unreadable { why }))
        }
    }
}

/// Bytes that this user can still write on the volume of `path`, or of its
/// nearest ancestor that exists.
pub(super) fn disk_free(path: &Path) -> io::Result<u64> {
    let path: &OsStr = super::existing_ancestor(path).as_os_str();
    let wide: Vec<u16> = path.encode_wide().chain([0]).collect();
    let mut free = 0;
    // SAFETY: `wide` ends with a zero and lives through the call, `free` is
    // valid for the write of a u64, and the two outputs not asked for may be
    // null (GetDiskFreeSpaceExW).
    let done = unsafe {
        GetDiskFreeSpaceExW(wide.as_ptr(), &mut free, std::ptr::null_mut(), std::ptr::null_mut())
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(free)
}

/// Physical memory.
pub(super) fn memory() -> Option<Memory> {
    let mut status =
        MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..Default::default() };
    // SAFETY: `status` is valid for writes and says its own size, as
    // GlobalMemoryStatusEx demands.
    let done = unsafe { GlobalMemoryStatusEx(&mut status) };
    (done != 0).then_some(Memory {
        total_mib: status.ullTotalPhys >> 20,
        available_mib: Some(status.ullAvailPhys >> 20),
    })
}
