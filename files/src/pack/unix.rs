// SPDX-License-Identifier: Apache-2.0
//! Linux and macOS. Each file is opened from the directory that it was found in, through no
//! link: who moves directories about meanwhile (a VM on a shared one) gets nothing packed
//! that is not in the tree.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::facts::{self, is_made_up};
use super::{As, Bulk, below, write_file};
use crate::archive::{Entry, Kind, Name, Writer};
use crate::error::{Doing, Error, Notes, Result};

/// Bytes of a file that the kernel makes up, and says to have none.
const MAX_MADE_UP: u64 = 16 << 20;

pub fn pack<W: Write>(
    path: &Path,
    what: &As,
    tar: &mut Writer<W>,
    bulk: Bulk<File, W>,
    notes: &mut Notes,
) -> Result<()> {
    let shown = path.as_os_str().as_bytes();
    let (parent, name) = split(path, what.follow);
    let parent = open_directory(CWD, parent.as_os_str(), OFlags::empty()).doing("read", shown)?;
    let mut packer =
        Packer { shown, what, tar, bulk, notes, links: HashMap::new(), open: Vec::new() };
    let whole = cfg!(target_os = "linux") && path == Path::new("/");
    packer.entry(&parent, &name, what.name.clone(), None)?;
    if let Some(root) = packer.open.first_mut().filter(|_| whole) {
        // Its devices are the VM's, or the host's.
        root.left.retain(|name| name != "dev");
    }
    while let Some(level) = packer.open.last_mut() {
        let Some(name) = level.left.pop() else {
            packer.open.pop();
            continue;
        };
        let (directory, device) = (Rc::clone(&level.directory), level.device);
        let path = below(&level.path, name.as_bytes());
        packer.entry(&directory, &name, path, Some(device))?;
    }
    Ok(())
}

/// The directory that a path's last part is looked up in, and that part. What a link leads to
/// has no such part.
fn split(path: &Path, follow: bool) -> (PathBuf, OsString) {
    let text = path.as_os_str().as_bytes();
    let last = text.rsplit(|&b| b == b'/').next().unwrap_or_default();
    if follow || matches!(last, b"" | b"." | b"..") {
        return match path.canonicalize() {
            Ok(real) => match (real.parent(), real.file_name()) {
                (Some(parent), Some(name)) => (parent.into(), name.into()),
                _ => (real, ".".into()),
            },
            // What is wrong with it shows when it is opened.
            Err(_) => (path.into(), ".".into()),
        };
    }
    let parent = &text[..text.len() - last.len()];
    let parent = if parent.is_empty() { b"." } else { parent };
    (OsStr::from_bytes(parent).into(), OsString::from_vec(last.to_vec()))
}

/// A directory that is not done.
struct Level {
    directory: Rc<OwnedFd>,
    path: Vec<u8>,
    /// Last first.
    left: Vec<OsString>,
    device: u64,
}

struct Packer<'a, W: Write> {
    /// The path that was asked for.
    shown: &'a [u8],
    what: &'a As,
    tar: &'a mut Writer<W>,
    bulk: Bulk<File, W>,
    notes: &'a mut Notes,
    /// First names of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
    open: Vec<Level>,
}

impl<W: Write> Packer<'_, W> {
    /// `within`: the device of the directory that it was found in; nothing for the first.
    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: Vec<u8>,
        within: Option<u64>,
    ) -> Result<()> {
        match self.try_entry(directory, name, &path, within) {
            // It was there when the directory was read.
            Err(Error::File { why, .. })
                if within.is_some() && why.kind() == io::ErrorKind::NotFound =>
            {
                self.notes.add(format!("{} vanished before it was read", Name::new(&path)));
                Ok(())
            }
            // By the name that it was asked for.
            Err(Error::File { doing, why, .. }) if within.is_none() => {
                Err(Error::File { doing, path: Name::new(self.shown), why })
            }
            other => other,
        }
    }

    fn try_entry(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        within: Option<u64>,
    ) -> Result<()> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(io::Error::from).doing("read", path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(directory, name, path, within),
            FileType::RegularFile => self.file(directory, name, path),
            FileType::Symlink => {
                let link = readlinkat(directory, name, Vec::new());
                let link = link.map_err(io::Error::from).doing("read", path)?.into_bytes();
                let entry = Entry { link, ..self.of_stat(Kind::Symlink, path, &stat) };
                self.whole(&entry)
            }
            FileType::Fifo => self.whole(&self.of_stat(Kind::Fifo, path, &stat)),
            kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                let kind = match kind {
                    FileType::CharacterDevice => Kind::CharDevice,
                    _ => Kind::BlockDevice,
                };
                let number = stat.st_rdev;
                let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
                let device = (u64::from(major), u64::from(minor));
                self.whole(&Entry { device, ..self.of_stat(kind, path, &stat) })
            }
            _ => {
                self.notes.add(format!("{} is a socket, and left out", Name::new(path)));
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        within: Option<u64>,
    ) -> Result<()> {
        let opened = open_directory(directory, name, OFlags::NOFOLLOW).doing("read", path)?;
        let file = File::from(opened);
        let metadata = file.metadata().doing("read", path)?;
        self.whole(&self.of_file(Kind::Directory, path, &file, &metadata)?)?;
        let device = metadata.dev();
        if within.is_some_and(|within| within != device) && is_made_up(&file) {
            return Ok(());
        }
        let mut left = Vec::new();
        for entry in Dir::read_from(&file).map_err(io::Error::from).doing("read", path)? {
            let entry = entry.map_err(io::Error::from).doing("read", path)?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                left.push(OsString::from_vec(name.to_vec()));
            }
        }
        left.sort_unstable_by(|a, b| b.cmp(a));
        let directory = Rc::new(OwnedFd::from(file));
        self.open.push(Level { directory, path: path.to_vec(), left, device });
        Ok(())
    }

    fn file(&mut self, directory: &OwnedFd, name: &OsStr, path: &[u8]) -> Result<()> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(directory, name, flags, Mode::empty());
        let mut file = File::from(opened.map_err(io::Error::from).doing("read", path)?);
        let metadata = file.metadata().doing("read", path)?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into()).doing("read", path);
        }
        if metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&key) {
                let link = first.clone();
                let entry = self.of_file(Kind::HardLink, path, &file, &metadata)?;
                return self.whole(&Entry { link, xattrs: Vec::new(), ..entry });
            }
            self.links.insert(key, path.to_vec());
        }
        let mut entry = self.of_file(Kind::File, path, &file, &metadata)?;
        if metadata.len() == 0 && is_made_up(&file) {
            return self.made_up(file, entry);
        }
        entry.size = metadata.len();
        entry.sparse = facts::holes(&file, &metadata).doing("read", path)?;
        let seek = |file: &mut File, to| file.seek(SeekFrom::Start(to)).map(drop);
        write_file(&entry, &mut file, seek, self.bulk, self.tar, self.notes)
    }

    /// A file that has its size when it is read.
    fn made_up(&mut self, file: File, mut entry: Entry) -> Result<()> {
        let mut content = Vec::new();
        let read = file.take(MAX_MADE_UP).read_to_end(&mut content);
        entry.size = read.doing("read", &entry.path)? as u64;
        self.tar.begin(&entry).map_err(Error::Stream)?;
        self.tar.data(&content).map_err(Error::Stream)?;
        self.tar.pad(entry.size).map_err(Error::Stream)
    }

    /// An entry without data.
    fn whole(&mut self, entry: &Entry) -> Result<()> {
        self.tar.begin(entry).map_err(Error::Stream)
    }

    fn of_file(&self, kind: Kind, path: &[u8], file: &File, of: &Metadata) -> Result<Entry> {
        let mode = match (self.what.mode, kind) {
            (Some(mode), Kind::File) => mode,
            _ => (of.mode() & 0o7777) as u16,
        };
        let (uid, gid) = self.what.owners.unwrap_or((of.uid(), of.gid()));
        let mtime = (of.mtime(), of.mtime_nsec() as u32);
        let xattrs = facts::xattrs(file.as_fd()).doing("read the attributes of", path)?;
        Ok(Entry { mode, uid, gid, mtime, xattrs, ..bare(kind, path) })
    }

    #[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
    fn of_stat(&self, kind: Kind, path: &[u8], of: &Stat) -> Entry {
        let (uid, gid) = self.what.owners.unwrap_or((of.st_uid, of.st_gid));
        let mtime = (of.st_mtime as i64, of.st_mtime_nsec as u32);
        let mode = (of.st_mode & 0o7777) as u16;
        Entry { mode, uid, gid, mtime, ..bare(kind, path) }
    }
}

fn bare(kind: Kind, path: &[u8]) -> Entry {
    Entry {
        path: path.to_vec(),
        link: Vec::new(),
        kind,
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        size: 0,
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn open_directory(at: impl AsFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(&at, name, flags, Mode::empty()) {
        // A directory that may be searched and not read will do to look something up in.
        #[cfg(target_os = "linux")]
        Err(Errno::ACCESS) if !flags.contains(OFlags::NOFOLLOW) => {
            Ok(openat(at, name, flags | OFlags::PATH, Mode::empty())?)
        }
        // It was one when it was looked at.
        Err(Errno::LOOP | Errno::NOTDIR) if flags.contains(OFlags::NOFOLLOW) => {
            Err(io::ErrorKind::NotFound.into())
        }
        other => Ok(other?),
    }
}
