// SPDX-License-Identifier: Apache-2.0
//! A file, or a directory with all that is in it, becomes entries of a tar.

#[cfg(unix)]
mod facts;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::archive::{Entry, Name, Writer};
use crate::error::{Error, Notes, Result};

#[cfg(unix)]
pub use facts::kept_attribute;

/// What goes into the tar, beside what the file says of itself.
#[derive(Clone, Debug)]
pub struct As {
    /// Name of the first entry; those below it begin with it. `.`: the content of a
    /// directory.
    pub name: Vec<u8>,
    /// A symbolic link is what it leads to; links below the first entry never are.
    pub follow: bool,
    /// Owners in place of the files' own.
    pub owners: Option<(u32, u32)>,
    /// Permissions of files (not of directories) in place of their own.
    pub mode: Option<u16>,
}

impl As {
    /// As it is, under this name.
    pub fn named(name: &[u8]) -> Self {
        Self { name: name.to_vec(), follow: false, owners: None, mode: None }
    }
}

/// Writes the entries of `path`. What the kernel makes up (/proc, /sys, …) is left out, unless
/// `path` itself is of it; so are sockets.
///
/// # Errors
/// A file cannot be read, or the stream not be written. What vanishes meanwhile is left out,
/// and a file that changes its size has the size that it had; `notes` tell.
pub fn pack<W: Write>(
    path: &Path,
    what: &As,
    tar: &mut Writer<W>,
    notes: &mut Notes,
) -> Result<()> {
    system::pack(path, what, tar, None, notes)
}

/// As `pack`, to a pipe, to which the kernel moves the bytes of files.
///
/// # Errors
/// As there.
#[cfg(target_os = "linux")]
pub fn pack_pipe(path: &Path, what: &As, tar: &mut Writer<File>, notes: &mut Notes) -> Result<()> {
    system::pack(path, what, tar, Some(facts::send), notes)
}

/// A way for a file's bytes that goes around this process.
type Bulk<F, W> = Option<fn(&mut F, &mut W, u64) -> io::Result<u64>>;
/// What is sent so, at least.
const MIN_BULK: u64 = 64 << 10;

/// Writes an entry and its data, as many bytes as it says.
fn write_file<W: Write, F: Read>(
    entry: &Entry,
    file: &mut F,
    seek: fn(&mut F, u64) -> io::Result<()>,
    bulk: Bulk<F, W>,
    tar: &mut Writer<W>,
    notes: &mut Notes,
) -> Result<()> {
    tar.begin(entry).map_err(Error::Stream)?;
    let failed = |why| Error::File { doing: "read", path: Name::new(&entry.path), why };
    let mut missing = 0;
    let mut piece = |file: &mut F, length: u64| -> Result<()> {
        let mut left = length;
        while let Some(bulk) = bulk.filter(|_| left >= MIN_BULK) {
            match tar.data_by(|to| bulk(file, to, left)).map_err(Error::Stream)? {
                0 => break,
                count => left -= count.min(left),
            }
        }
        while left > 0 {
            let read = tar.data_from(&mut *file, left).map_err(failed)?;
            match read.map_err(Error::Stream)? {
                0 => break,
                count => left -= count as u64,
            }
        }
        missing += left;
        tar.zeros(left).map_err(Error::Stream)
    };
    match &entry.sparse {
        None => piece(file, entry.size)?,
        Some(map) => {
            for extent in map.extents() {
                seek(file, extent.offset).map_err(failed)?;
                piece(file, extent.length)?;
            }
        }
    }
    if missing > 0 {
        notes.incomplete = true;
        notes.add(format!(
            "{} became smaller while it was read: {missing} bytes are zeros",
            Name::new(&entry.path)
        ));
    }
    tar.pad(entry.stored()).map_err(Error::Stream)
}

/// The name of something in a directory of the tar.
fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory, b"/", name].concat()
}
