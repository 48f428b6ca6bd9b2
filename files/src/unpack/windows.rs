// SPDX-License-Identifier: Apache-2.0
//! Windows: names are checked for what they mean there, and directories for being no link
//! before they are entered. There are no owners, modes or attributes of Linux.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::Rules;
use crate::archive::Entry;
use crate::error::Notes;

/// Names that are tried for something on its way, before it is given up.
const TRIES: u32 = 1000;

/// What stands for a device in every directory.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// One part of a path.
pub fn name(part: &[u8]) -> Result<OsString, &'static str> {
    let text = std::str::from_utf8(part).map_err(|_| "it is not UTF-8")?;
    if text.chars().any(|c| c < ' ' || "<>:\"|?*\\".contains(c)) {
        return Err("it holds a character that no name has on Windows");
    }
    if text.ends_with([' ', '.']) {
        return Err("it ends in a way that no name does on Windows");
    }
    let stem = text.split('.').next().unwrap_or_default().trim_end();
    let numbered = |prefix: &str| {
        stem.len() == 4
            && stem.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && stem.ends_with(|c: char| c.is_ascii_digit())
    };
    let device = DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device));
    if device || numbered("COM") || numbered("LPT") {
        return Err("it means a device on Windows");
    }
    Ok(text.into())
}

/// A directory.
#[derive(Clone)]
pub struct Dir(PathBuf);

impl Dir {
    /// Wherever its path leads.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(path.canonicalize()?))
    }

    /// One that is in this one, and no link to one unless that is asked for.
    pub fn enter(&self, name: &OsStr, follow: bool) -> io::Result<Self> {
        let path = self.0.join(name);
        let metadata = if follow { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        match metadata?.is_dir() {
            true => Ok(Self(path)),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub fn make_directory(&self, name: &OsStr, _: u16) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
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

    /// An empty file.
    pub fn make_file(&self, name: &OsStr) -> io::Result<File> {
        File::options().write(true).create_new(true).open(self.0.join(name))
    }

    pub fn symlink(&self, target: &[u8], name: &OsStr) -> io::Result<()> {
        let target = std::str::from_utf8(target).map_err(io::Error::other)?;
        // Which kind of link it has to be is not known: most are to files.
        std::os::windows::fs::symlink_file(target.replace('/', "\\"), self.0.join(name))
    }

    pub fn link(&self, directory: &Self, from: &OsStr, name: &OsStr) -> io::Result<()> {
        fs::hard_link(directory.0.join(from), self.0.join(name))
    }

    pub fn special(&self, _: &OsStr, _: &Entry) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn settle(&self, _: &Entry, _: Rules, _: &mut Lost) -> io::Result<()> {
        Ok(())
    }

    pub fn settle_link(&self, _: &OsStr, _: &Entry, _: Rules, _: &mut Lost) {}
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
        let directory = &self.directory.0;
        fs::rename(directory.join(self.name()), directory.join(name))?;
        self.name = None;
        Ok(())
    }

    pub fn keep_link(self, name: &OsStr) -> io::Result<()> {
        self.keep(name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = fs::remove_file(self.directory.0.join(name));
        }
    }
}

/// Nothing that Windows could keep is lost.
#[derive(Default)]
pub struct Lost;

impl Lost {
    pub fn tell(&self, _: &mut Notes) {}
}

/// The time of a file.
pub fn settle(file: &File, entry: &Entry, _: Rules, _: &mut Lost) -> io::Result<()> {
    let (seconds, nanos) = entry.mtime;
    let since = u64::try_from(seconds).ok().map(|seconds| Duration::new(seconds, nanos));
    match since.and_then(|since| UNIX_EPOCH.checked_add(since)) {
        Some(time) => file.set_modified(time),
        None => Ok(()),
    }
}
