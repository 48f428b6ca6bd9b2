// SPDX-License-Identifier: Apache-2.0
//! Attributes of files (section 5), read and set.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, fchown, lchown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, futimens, utimensat};

use super::wire::{Reader, Writer};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 1 << 31;

/// Those that a client names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    /// Last access and last change, seconds since 1970.
    pub times: Option<(u32, u32)>,
}

impl Attributes {
    pub fn read(packet: &mut Reader) -> io::Result<Self> {
        let flags = packet.number()?;
        let has = |flag| flags & flag != 0;
        let mut attributes = Self::default();
        if has(SIZE) {
            attributes.size = Some(packet.long()?);
        }
        if has(OWNER) {
            attributes.owner = Some((packet.number()?, packet.number()?));
        }
        if has(PERMISSIONS) {
            attributes.mode = Some(packet.number()? & 0o7777);
        }
        if has(TIMES) {
            attributes.times = Some((packet.number()?, packet.number()?));
        }
        if has(EXTENDED) {
            // Nobody gives them a meaning.
            for _ in 0..packet.number()? {
                packet.string()?;
                packet.string()?;
            }
        }
        Ok(attributes)
    }

    /// The owner last but for the mode: giving a file away takes its set-user-ID
    /// bit.
    pub fn set(&self, path: &Path) -> io::Result<()> {
        if let Some(size) = self.size {
            File::options().write(true).open(path)?.set_len(size)?;
        }
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group))?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        if let Some(times) = self.times {
            utimensat(CWD, path, &timestamps(times), AtFlags::empty())?;
        }
        Ok(())
    }

    pub fn set_open(&self, file: &File) -> io::Result<()> {
        if let Some(size) = self.size {
            file.set_len(size)?;
        }
        if let Some((user, group)) = self.owner {
            fchown(file, Some(user), Some(group))?;
        }
        if let Some(mode) = self.mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        if let Some(times) = self.times {
            futimens(file.as_fd(), &timestamps(times))?;
        }
        Ok(())
    }

    /// Of a link itself, which has no mode of its own.
    pub fn set_link(&self, path: &Path) -> io::Result<()> {
        if self.size.is_some() || (self.mode.is_some() && fs::symlink_metadata(path)?.is_symlink())
        {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if let Some((user, group)) = self.owner {
            lchown(path, Some(user), Some(group))?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        if let Some(times) = self.times {
            utimensat(CWD, path, &timestamps(times), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

fn timestamps((access, change): (u32, u32)) -> Timestamps {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: time(access), last_modification: time(change) }
}

pub fn write(packet: &mut Writer, metadata: &Metadata) {
    // The protocol has 32 bits for it.
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    packet.number(SIZE | OWNER | PERMISSIONS | TIMES);
    packet.long(metadata.size());
    packet.number(metadata.uid());
    packet.number(metadata.gid());
    packet.number(metadata.mode());
    packet.number(seconds(metadata.atime()));
    packet.number(seconds(metadata.mtime()));
}
