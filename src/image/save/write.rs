// SPDX-License-Identifier: Apache-2.0
//! A tar that says nothing of when, where and by whom it was made.

use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::image::error::{IoContext, Result};

/// An archive on its way out.
pub struct Archive<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> Archive<W> {
    pub fn new(out: W) -> Self {
        Self { tar: Builder::new(out) }
    }

    pub fn directory(&mut self, name: &str) -> Result<()> {
        self.add(&format!("{name}/"), header(EntryType::Directory, 0o755, 0), io::empty())
    }

    /// Adds a file of `size` bytes.
    pub fn file(&mut self, name: &str, size: u64, content: impl Read) -> Result<()> {
        self.add(name, header(EntryType::Regular, 0o644, size), content)
    }

    fn add(&mut self, name: &str, mut header: Header, content: impl Read) -> Result<()> {
        self.write(name, &mut header, content).at("write", Path::new("the archive"))
    }

    fn write(&mut self, name: &str, header: &mut Header, content: impl Read) -> io::Result<()> {
        let place = &mut header.as_old_mut().name;
        let fits = name.len() <= place.len();
        let length = name.len().min(place.len());
        place[..length].copy_from_slice(&name.as_bytes()[..length]);
        // Such as a blob's that is named by a SHA-512.
        if !fits {
            self.tar.append_pax_extensions([("path", name.as_bytes())])?;
        }
        header.set_cksum();
        self.tar.append(header, content)
    }

    pub fn finish(mut self) -> Result<()> {
        let done = self.tar.finish().and_then(|()| self.tar.get_mut().flush());
        done.at("write", Path::new("the archive"))
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_whole() {
        let names = ["n".repeat(100), "n".repeat(101), format!("blobs/sha512/{}", "f".repeat(128))];
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.directory("blobs").unwrap();
        for name in &names {
            archive.file(name, 4, &b"text"[..]).unwrap();
        }
        archive.finish().unwrap();
        let mut read = tar::Archive::new(&bytes[..]);
        let mut entries = read.entries().unwrap().map(Result::unwrap);
        assert_eq!(entries.next().unwrap().path_bytes(), &b"blobs/"[..]);
        for name in &names {
            let mut entry = entries.next().unwrap();
            assert_eq!(entry.path_bytes(), name.as_bytes());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
        }
    }
}
