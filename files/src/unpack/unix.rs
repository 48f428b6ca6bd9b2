// SPDX-License-Identifier: Apache-2.0
//! Linux and macOS: everything is done from the descriptor of the directory that it is in.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fsetxattr, futimens, linkat, mkdirat, openat, renameat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::Rules;
use crate::archive::{Entry, Name};
use crate::error::Notes;
use crate::pack::kept_attribute;

/// Names that are tried for something on its way, before it is given up.
const TRIES: u32 = 1000;

/// Bytes that are moved by one system call: what pipes hold at most.
#[cfg(target_os = "linux")]
const MAX_SPLICE: usize = 1 << 20;

/// One part of a path.
pub fn name(part: &[u8]) -> Result<OsString, &'static str> {
    match part.contains(&0) {
        true => Err("it holds a NUL byte"),
        false => Ok(OsStr::from_bytes(part).to_owned()),
    }
}

/// An open directory.
#[derive(Clone)]
pub struct Dir(Rc<OwnedFd>);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Wherever its path leads.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Rc::new(openat(CWD, path, DIRECTORY, Mode::empty())?)))
    }

    /// One that is in this one, and no link to one unless that is asked for.
    pub fn enter(&self, name: &OsStr, follow: bool) -> io::Result<Self> {
        let flags = if follow { DIRECTORY } else { DIRECTORY | OFlags::NOFOLLOW };
        match openat(&*self.0, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) => Err(io::ErrorKind::NotADirectory.into()),
            other => Ok(Self(Rc::new(other?))),
        }
    }

    pub fn make_directory(&self, name: &OsStr, mode: u16) -> io::Result<()> {
        Ok(mkdirat(&*self.0, name, Mode::from_raw_mode(mode.into()))?)
    }

    /// Makes something under a name that nothing has.
    pub fn temporary<T>(
        &self,
        make: impl Fn(&OsStr) -> io::Result<T>,
    ) -> io::Result<(Temporary, T)> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        for _ in 0..TRIES {
            let number = LAST.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".mvm-cp-{}-{number}", std::process::id()));
            match make(&name) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
                Ok(made) => {
                    return Ok((Temporary { directory: self.clone(), name: Some(name) }, made));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// An empty file that nobody else may open.
    pub fn make_file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&*self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub fn symlink(&self, target: &[u8], name: &OsStr) -> io::Result<()> {
        Ok(symlinkat(OsStr::from_bytes(target), &*self.0, name)?)
    }

    /// Another name for what is in `directory`; of a link, for the link.
    pub fn link(&self, directory: &Self, from: &OsStr, name: &OsStr) -> io::Result<()> {
        Ok(linkat(&*directory.0, from, &*self.0, name, AtFlags::empty())?)
    }

    #[cfg(target_os = "linux")]
    pub fn special(&self, name: &OsStr, entry: &Entry) -> io::Result<()> {
        use rustix::fs::{FileType, makedev, mknodat};

        use crate::archive::Kind;
        let kind = match entry.kind {
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let part = |number| u32::try_from(number).map_err(io::Error::other);
        let device = makedev(part(entry.device.0)?, part(entry.device.1)?);
        // To set it later, a name would have to be trusted.
        let mode = Mode::from_raw_mode((entry.mode & 0o777).into());
        Ok(mknodat(&*self.0, name, kind, mode, device)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn special(&self, _: &OsStr, _: &Entry) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Owner, mode, attributes and times of this directory.
    pub fn settle(&self, entry: &Entry, rules: Rules, lost: &mut Lost) -> io::Result<()> {
        settle_open(self.0.as_fd(), entry, rules, entry.mode, lost)
    }

    /// Owner and times of what cannot be opened.
    pub fn settle_link(&self, name: &OsStr, entry: &Entry, rules: Rules, lost: &mut Lost) {
        let (uid, gid) = owner(entry);
        if rules.owners
            && chownat(&*self.0, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).is_err()
        {
            lost.owners = true;
        }
        let _ = utimensat(&*self.0, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Something that has no name of its own yet, and goes if it gets none.
pub struct Temporary {
    directory: Dir,
    name: Option<OsString>,
}

impl Temporary {
    pub fn name(&self) -> &OsStr {
        self.name.as_deref().unwrap_or_default()
    }

    /// Gives it a name, in place of what has that.
    pub fn keep(mut self, name: &OsStr) -> io::Result<()> {
        let directory = &*self.directory.0;
        renameat(directory, self.name(), directory, name)?;
        self.name = None;
        Ok(())
    }

    /// As `keep`, of a hard link: where that is there already, `rename` does nothing.
    pub fn keep_link(self, name: &OsStr) -> io::Result<()> {
        let directory = &*self.directory.0;
        Ok(renameat(directory, self.name(), directory, name)?)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(&*self.directory.0, name, AtFlags::empty());
        }
    }
}

/// What could not be kept, of all files together.
#[derive(Default)]
pub struct Lost {
    owners: bool,
    /// The first of them.
    attribute: Option<(Name, Errno)>,
}

impl Lost {
    pub fn tell(&self, notes: &mut Notes) {
        if self.owners {
            notes.add("not all owners could be kept: only root may give files away".into());
        }
        if let Some((name, why)) = &self.attribute {
            let why = crate::text(&(*why).into());
            notes.add(format!("not all extended attributes could be kept: {name}: {why}"));
        }
    }
}

/// Owner, mode, attributes and times of a file.
pub fn settle(file: &File, entry: &Entry, rules: Rules, lost: &mut Lost) -> io::Result<()> {
    settle_open(file.as_fd(), entry, rules, entry.mode & 0o1777, lost)
}

/// `harmless`: the mode without what gives rights to whoever runs it.
fn settle_open(
    file: BorrowedFd<'_>,
    entry: &Entry,
    rules: Rules,
    harmless: u16,
    lost: &mut Lost,
) -> io::Result<()> {
    let mut rights = rules.rights;
    if rules.owners {
        let (uid, gid) = owner(entry);
        match fchown(file, Some(uid), Some(gid)) {
            Ok(()) => rights = true,
            Err(_) => lost.owners = true,
        }
    }
    // After the owner, whose change takes set-user-ID and capabilities away.
    let mode = if rights { entry.mode } else { harmless };
    fchmod(file, Mode::from_raw_mode(mode.into()))?;
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| kept_attribute(name)) {
        let gives_rights = name.starts_with(b"security.") || name.starts_with(b"trusted.");
        if gives_rights && !rights {
            continue;
        }
        if let Err(why) = fsetxattr(file, &name[..], value, XattrFlags::empty()) {
            lost.attribute.get_or_insert_with(|| (Name::new(name), why));
        }
    }
    Ok(futimens(file, &times(entry))?)
}

fn owner(entry: &Entry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

fn times(entry: &Entry) -> Timestamps {
    let (seconds, nanos) = entry.mtime;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Moves bytes of a pipe to where a file is written.
#[cfg(target_os = "linux")]
pub fn splice(pipe: &mut File, file: &File, most: u64) -> io::Result<u64> {
    use rustix::pipe::{SpliceFlags, splice};
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_SPLICE);
    let moved =
        rustix::io::retry_on_intr(|| splice(&*pipe, None, file, None, most, SpliceFlags::MOVE))?;
    Ok(moved as u64)
}
