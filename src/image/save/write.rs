// SPDX-License-Identifier: Apache-2.0
//! A tar that says nothing of when, where and by whom it was made.

use std::io::{Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::image::error::{IoContext, Result};

/// An archive on its way out. Its names fit a header.
pub struct Archive<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> Archive<W> {
    pub fn new(out: W) -> Self {
        Self { tar: Builder::new(out) }
    }

    pub fn directory(&mut self, name: &str) -> Result<()> {
        let mut header = header(EntryType::Directory, 0o755, 0);
        let done = header.set_path(format!("{name}/")).and_then(|()| {
            header.set_cksum();
            self.tar.append(&header, std::io::empty())
        });
        done.at("write", Path::new("the archive"))
    }

    /// Adds a file of `size` bytes.
    pub fn file(&mut self, name: &str, size: u64, content: impl Read) -> Result<()> {
        let mut header = header(EntryType::Regular, 0o644, size);
        let done = header.set_path(name).and_then(|()| {
            header.set_cksum();
            self.tar.append(&header, content)
        });
        done.at("write", Path::new("the archive"))
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
