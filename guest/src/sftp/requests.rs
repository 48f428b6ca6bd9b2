// SPDX-License-Identifier: Apache-2.0
//! Requests and their answers (sections 6 and 7).

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, symlink};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::attributes::{self, Attributes};
use super::handles::{Handles, MAX_HANDLES, Open};
use super::wire::{MAX_DATA, MAX_PACKET, Reader, Writer, bad};
use super::{files, listing};
use crate::error::text;

const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;

/// Names with the versions that OpenSSH gives them.
pub const EXTENSIONS: [(&str, &str); 8] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// Names in one answer.
const NAMES: usize = 128;

#[derive(Default)]
pub struct Server {
    handles: Handles,
}

/// What a request comes to, but for failing.
enum Outcome {
    Done,
    End,
    Answer(Writer),
}

use Outcome::{Answer, Done, End};

impl Server {
    /// An error is a packet without a request in it, which ends it all.
    pub fn answer(&mut self, mut packet: Reader) -> io::Result<Writer> {
        let kind = packet.byte()?;
        let id = packet.number()?;
        Ok(match self.carry_out(kind, id, &mut packet) {
            Ok(Answer(answer)) => answer,
            Ok(Done) => status(id, OK, "success"),
            Ok(End) => status(id, EOF, "end of file"),
            Err(error) => status(id, code(&error), &text(&error)),
        })
    }

    fn carry_out(&mut self, kind: u8, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        match kind {
            3 => self.open(id, packet),
            4 => self.handles.close(packet.string()?).map(|()| Done),
            5 => self.read(id, packet),
            6 => self.write(packet),
            7 => Ok(attrs(id, &fs::symlink_metadata(packet.path()?)?)),
            8 => self.metadata(id, packet),
            9 => {
                let path = packet.path()?;
                Attributes::read(packet)?.set(&path).map(|()| Done)
            }
            10 => self.set(packet),
            11 => self.open_directory(id, packet),
            12 => self.read_directory(id, packet),
            13 => fs::remove_file(packet.path()?).map(|()| Done),
            14 => {
                let path = packet.path()?;
                let mode = Attributes::read(packet)?.mode.unwrap_or(0o777);
                fs::DirBuilder::new().mode(mode).create(path).map(|()| Done)
            }
            15 => fs::remove_dir(packet.path()?).map(|()| Done),
            16 => Ok(name(id, &files::canonical(&packet.path()?)?)),
            17 => Ok(attrs(id, &fs::metadata(packet.path()?)?)),
            18 => files::rename(&packet.path()?, &packet.path()?).map(|()| Done),
            19 => Ok(name(id, &fs::read_link(packet.path()?)?)),
            // In the order that OpenSSH made out of the draft's: the target first.
            20 => symlink(packet.path()?, packet.path()?).map(|()| Done),
            200 => self.extended(id, packet),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn open(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        let (path, flags) = (packet.path()?, packet.number()?);
        let file = files::open(&path, flags, Attributes::read(packet)?.mode)?;
        self.handle(id, Open::File(file))
    }

    fn handle(&mut self, id: u32, open: Open) -> io::Result<Outcome> {
        let mut answer = Writer::answer(HANDLE, id);
        self.handles.add(open, &mut answer).map(|()| Answer(answer))
    }

    fn read(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        let file = self.handles.file(packet.string()?)?;
        let (offset, length) = (packet.long()?, packet.number()? as usize);
        let mut buffer = vec![0; length.min(MAX_DATA)];
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What was read is not lost.
                Err(e) if filled == 0 => return Err(e),
                Err(_) => break,
            }
        }
        if filled == 0 && length > 0 {
            return Ok(End);
        }
        let mut answer = Writer::answer(DATA, id);
        answer.string(&buffer[..filled]);
        Ok(Answer(answer))
    }

    fn write(&mut self, packet: &mut Reader) -> io::Result<Outcome> {
        let file = self.handles.file(packet.string()?)?;
        let offset = packet.long()?;
        file.write_all_at(packet.string()?, offset).map(|()| Done)
    }

    fn metadata(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        let metadata = match self.handles.get(packet.string()?)? {
            Open::File(file) => file.metadata()?,
            Open::Directory { path, .. } => fs::metadata(path)?,
        };
        Ok(attrs(id, &metadata))
    }

    fn set(&mut self, packet: &mut Reader) -> io::Result<Outcome> {
        let open = self.handles.get(packet.string()?)?;
        let attributes = Attributes::read(packet)?;
        match open {
            Open::File(file) => attributes.set_open(file)?,
            Open::Directory { path, .. } => attributes.set(path)?,
        }
        Ok(Done)
    }

    fn open_directory(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        let path = packet.path()?;
        let entries = fs::read_dir(&path)?;
        self.handle(id, Open::Directory { path, entries, dots: 0 })
    }

    fn read_directory(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        let Open::Directory { path, entries, dots } = self.handles.get(packet.string()?)? else {
            return Err(bad("the handle is of a file"));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (mut count, mut names) = (0, Writer::new(0));
        let mut add = |name: &[u8], path: &Path| {
            // It may be gone since.
            let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
            names.string(name);
            names.string(&listing::line(name, &metadata, now));
            attributes::write(&mut names, &metadata);
            count += 1;
            names.len()
        };
        for (number, dot) in [(0, "."), (1, "..")] {
            if *dots == number {
                *dots += 1;
                add(dot.as_bytes(), &path.join(dot));
            }
        }
        for entry in entries.by_ref().take(NAMES) {
            let entry = entry?;
            if add(entry.file_name().as_bytes(), &entry.path()) > MAX_DATA / 2 {
                break;
            }
        }
        if count == 0 {
            return Ok(End);
        }
        let mut answer = Writer::answer(NAME, id);
        answer.number(count);
        answer.append(&names);
        Ok(Answer(answer))
    }

    fn extended(&mut self, id: u32, packet: &mut Reader) -> io::Result<Outcome> {
        match packet.string()? {
            b"posix-rename@openssh.com" => {
                fs::rename(packet.path()?, packet.path()?).map(|()| Done)
            }
            b"hardlink@openssh.com" => fs::hard_link(packet.path()?, packet.path()?).map(|()| Done),
            b"statvfs@openssh.com" => Ok(file_system(id, &statvfs(packet.path()?)?)),
            b"fstatvfs@openssh.com" => {
                let file: &File = self.handles.file(packet.string()?)?;
                Ok(file_system(id, &rustix::fs::fstatvfs(file)?))
            }
            b"fsync@openssh.com" => self.handles.file(packet.string()?)?.sync_all().map(|()| Done),
            b"lsetstat@openssh.com" => {
                let path = packet.path()?;
                Attributes::read(packet)?.set_link(&path).map(|()| Done)
            }
            b"limits@openssh.com" => Ok(limits(id)),
            b"expand-path@openssh.com" => {
                Ok(name(id, &files::canonical(&files::expand(&packet.path()?)?)?))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

fn status(id: u32, code: u32, message: &str) -> Writer {
    let mut answer = Writer::answer(STATUS, id);
    answer.number(code);
    answer.string(message.as_bytes());
    // Its language.
    answer.string(b"");
    answer
}

fn code(error: &io::Error) -> u32 {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NO_SUCH_FILE,
        io::ErrorKind::PermissionDenied => PERMISSION_DENIED,
        io::ErrorKind::Unsupported => UNSUPPORTED,
        io::ErrorKind::InvalidData => BAD_MESSAGE,
        _ => FAILURE,
    }
}

fn attrs(id: u32, metadata: &fs::Metadata) -> Outcome {
    let mut answer = Writer::answer(ATTRS, id);
    attributes::write(&mut answer, metadata);
    Answer(answer)
}

/// One name, without attributes.
fn name(id: u32, path: &Path) -> Outcome {
    let mut answer = Writer::answer(NAME, id);
    answer.number(1);
    answer.string(path.as_os_str().as_bytes());
    answer.string(path.as_os_str().as_bytes());
    answer.number(0);
    Answer(answer)
}

fn file_system(id: u32, stat: &StatVfs) -> Outcome {
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    let has = |flag, bit| if stat.f_flag.contains(flag) { bit } else { 0 };
    let mut answer = Writer::answer(EXTENDED_REPLY, id);
    for number in [
        stat.f_bsize,
        stat.f_frsize,
        stat.f_blocks,
        stat.f_bfree,
        stat.f_bavail,
        stat.f_files,
        stat.f_ffree,
        stat.f_favail,
        stat.f_fsid,
        has(StatVfsMountFlags::RDONLY, READ_ONLY) | has(StatVfsMountFlags::NOSUID, NO_SETUID),
        stat.f_namemax,
    ] {
        answer.long(number);
    }
    Answer(answer)
}

fn limits(id: u32) -> Outcome {
    let mut answer = Writer::answer(EXTENDED_REPLY, id);
    for number in [MAX_PACKET, MAX_DATA, MAX_DATA, MAX_HANDLES] {
        answer.long(number as u64);
    }
    Answer(answer)
}
