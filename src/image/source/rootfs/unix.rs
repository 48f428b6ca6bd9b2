// SPDX-License-Identifier: Apache-2.0
//! Linux and macOS: the tar of a directory, sorted by name, with owners, modes,
//! times, attributes, hard links and devices. It stays on one file system and
//! follows no link.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::Packing;
use super::tree::{Found, Walk};
use crate::image::error::{IoContext, Result};
use crate::sys;

/// Longest path and link target that the header itself has room for.
const MAX_IN_HEADER: usize = 100;
/// The most that a process may ask of the kernel at once (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`).
const MAX_XATTRS: usize = 64 << 10;

/// Writes the tar of `packing.root`; `out` is where it goes, for messages.
pub fn pack(packing: &Packing<'_>, to: impl Write, out: &Path) -> Result<()> {
    let mut walk = Walk::begin(packing)?;
    let mut packer = Packer {
        packing,
        root: File::open(packing.root).at("read", packing.root)?,
        tar: Builder::new(to),
        out,
        links: HashMap::new(),
        entries: 0,
        bytes: 0,
    };
    while let Some(found) = walk.next()? {
        packer.entry(&found)?;
    }
    packer.tar.finish().at("write", out)
}

struct Packer<'a, W: Write> {
    packing: &'a Packing<'a>,
    root: File,
    tar: Builder<W>,
    out: &'a Path,
    /// First names of files that have several.
    links: HashMap<(u64, u64), PathBuf>,
    entries: u64,
    bytes: u64,
}

impl<W: Write> Packer<'_, W> {
    fn entry(&mut self, found: &Found) -> Result<()> {
        let (metadata, kind) = (&found.metadata, found.metadata.file_type());
        if kind.is_socket() {
            tracing::debug!(path = %found.path.display(), "a socket is left out");
            return Ok(());
        }
        self.entries += 1;
        let limits = self.packing.limits;
        self.packing.limit(self.entries, limits.conversion.max_entries, "entries")?;
        let mut header = header(metadata);
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            return self.append(found, header, None, io::empty());
        }
        if metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&key).cloned() {
                header.set_entry_type(EntryType::Link);
                return self.append(found, header, Some(&first), io::empty());
            }
            self.links.insert(key, found.name.clone());
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(&found.path).at("read", &found.path)?;
            header.set_entry_type(EntryType::Symlink);
            return self.append(found, header, Some(&target), io::empty());
        }
        if !kind.is_file() {
            return self.special(found, header);
        }
        let (file, size) = open(&self.root, found)?;
        self.bytes = self.bytes.saturating_add(size);
        self.packing.limit(self.bytes, limits.layer_bytes, "bytes")?;
        self.packing.progress.reading(self.bytes);
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        let content = Exactly { file: file.take(size), path: &found.path };
        self.append(found, header, None, content)
    }

    fn special(&mut self, found: &Found, mut header: Header) -> Result<()> {
        let kind = found.metadata.file_type();
        let device = found.metadata.rdev();
        header.set_entry_type(if kind.is_fifo() {
            EntryType::Fifo
        } else if kind.is_char_device() {
            EntryType::Char
        } else {
            EntryType::Block
        });
        if !kind.is_fifo() {
            let (major, minor) = (rustix::fs::major(device as _), rustix::fs::minor(device as _));
            if (major, minor) == (0, 0) {
                return Err(self.packing.unfit(&found.path, "is a whiteout of overlayfs"));
            }
            header.set_device_major(major as _).at("write", self.out)?;
            header.set_device_minor(minor as _).at("write", self.out)?;
        }
        self.append(found, header, None, io::empty())
    }

    /// Writes extended header, header and content.
    fn append(
        &mut self,
        found: &Found,
        mut header: Header,
        link: Option<&Path>,
        content: impl Read,
    ) -> Result<()> {
        let mut name = found.name.as_os_str().as_bytes().to_vec();
        if found.metadata.is_dir() {
            name.push(b'/');
        }
        let link = link.map(|link| link.as_os_str().as_bytes()).unwrap_or_default();
        // A hard link has the attributes of what it links to.
        let mut pax = match header.entry_type() {
            EntryType::Link => Vec::new(),
            _ => xattrs(&found.path).at("read the attributes of", &found.path)?,
        };
        for (key, text) in [("path", &name[..]), ("linkpath", link)] {
            if text.len() > MAX_IN_HEADER {
                pax.push((key.to_owned(), text.to_vec()));
            }
        }
        put(&mut header.as_old_mut().name, &name);
        put(&mut header.as_old_mut().linkname, link);
        if !pax.is_empty() {
            let records = pax.iter().map(|(key, value)| (key.as_str(), &value[..]));
            self.tar.append_pax_extensions(records).at("write", self.out)?;
        }
        header.set_cksum();
        self.tar.append(&header, content).at("pack", &found.path)
    }
}

/// As much of `text` as there is room for.
fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(0);
    header
}

/// Opens the file that was found, and nothing outside of the root that somebody
/// puts in its place.
fn open(root: &File, found: &Found) -> Result<(File, u64)> {
    let file = sys::open_below(root, &found.name).at("read", &found.path)?;
    let now = file.metadata().at("read", &found.path)?;
    if !now.is_file() {
        return Err(changed(&found.path)).at("pack", &found.path);
    }
    Ok((file, now.len()))
}

/// The attributes that belong to a file wherever it is, sorted: not those that
/// this host's security modules and overlays have put on it.
fn xattrs(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut list = vec![0u8; MAX_XATTRS];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut kept = Vec::new();
    let names = list[..length].split(|&byte| byte == 0).filter_map(|n| std::str::from_utf8(n).ok());
    for name in names.filter(|name| mvm_files::kept_attribute(name.as_bytes())) {
        let mut value = vec![0u8; MAX_XATTRS];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            // Taken away in between.
            Err(rustix::io::Errno::NODATA) => continue,
            Err(error) => return Err(error.into()),
        }
        kept.push((format!("SCHILY.xattr.{name}"), value));
    }
    kept.sort();
    Ok(kept)
}

fn changed(path: &Path) -> io::Error {
    io::Error::other(format!("{} changed while it was read", path.display()))
}

/// A file's content, as long as the header says.
struct Exactly<'a> {
    file: io::Take<File>,
    path: &'a Path,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer)? {
            0 if self.file.limit() > 0 && !buffer.is_empty() => Err(changed(self.path)),
            read => Ok(read),
        }
    }
}
