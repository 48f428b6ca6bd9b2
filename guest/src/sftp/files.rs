// SPDX-License-Identifier: Apache-2.0
//! What requests do to files beyond one call of the standard library.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

/// Opens with the flags of section 6.3; `mode` is that of a new file.
pub fn open(path: &Path, flags: u32, mode: Option<u32>) -> io::Result<File> {
    let has = |flag| flags & flag != 0;
    let mut extra = OFlags::empty();
    // The standard library refuses some of these together; the kernel has the
    // last word.
    extra.set(OFlags::CREATE, has(CREATE));
    extra.set(OFlags::TRUNC, has(TRUNCATE));
    extra.set(OFlags::EXCL, has(CREATE) && has(EXCLUSIVE));
    extra.set(OFlags::APPEND, has(APPEND));
    let mut options = File::options();
    options
        .read(has(READ) || !has(WRITE))
        .write(has(WRITE))
        .mode(mode.unwrap_or(0o666))
        .custom_flags(i32::try_from(extra.bits()).unwrap_or_default());
    options.open(path)
}

/// Version 3 renames over nothing.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows how.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        other => Ok(other?),
    }
}

/// Absolute and without links; the last part need not be there.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(e)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
        }
        other => other,
    }
}

/// A path that may begin with the user's own home.
pub fn expand(path: &Path) -> io::Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"~") else { return Ok(path.into()) };
    if !rest.is_empty() && !rest.starts_with(b"/") {
        return Err(io::Error::other("only one's own home can be named"));
    }
    let mut home = std::env::var_os("HOME").unwrap_or_default().into_vec();
    home.extend_from_slice(rest);
    Ok(OsString::from_vec(home).into())
}
