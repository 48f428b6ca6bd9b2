// SPDX-License-Identifier: Apache-2.0
//! Entries of a tar become files. The tar may be a hostile guest's: each name is walked from
//! the directory that it is all to be in, one part after the other and through no link, so
//! that nothing outside of it is ever written. A file is whole when it gets its name.

#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::archive::{Entries, Entry, Kind, Name, TarError};
use crate::error::{Doing, Error, Notes, Result};
use crate::landing::{self, Landing};
use system::{Dir, Lost};

/// Bytes of one path; Linux takes no longer ones.
const MAX_PATH: usize = 4096;
/// Bytes of what is kept of directories until all that is in them is there.
const MAX_HELD: usize = 64 << 20;
/// Bytes of a pipe that are read at once; what is large goes around this.
#[cfg(target_os = "linux")]
const PIPED: usize = 64 << 10;
/// What a directory costs there beside its names.
const OVERHEAD: usize = 256;

/// Where entries go.
#[derive(Clone, Copy, Debug)]
pub enum Into<'a> {
    /// They are one file or directory, which goes here by the rules of `docker cp`.
    Place(&'a Path),
    /// Each goes below this directory, by its own name.
    Below(&'a Path),
}

/// What of them is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Owners, where that is permitted. Without it files are this user's.
    pub owners: bool,
    /// What gives rights on this machine (set-user-ID, capabilities, devices), whoever the
    /// owner is; without it, only with the owner.
    pub rights: bool,
    /// Links in the way of a name lead where they lead: for a tar that is trusted.
    pub follow: bool,
}

/// Unpacks a tar to its end.
///
/// # Errors
/// The tar is damaged, or breaks a rule; a file cannot be written. What was whole by then
/// stays, and nothing else.
pub fn unpack<R: Read>(tar: R, into: Into<'_>, rules: Rules, notes: &mut Notes) -> Result<()> {
    let mut feed = Feed { entries: Entries::new(tar), bulk: None };
    unpack_feed(&mut feed, into, rules, notes)
}

/// As `unpack`, from a pipe, whose bytes the kernel moves into files.
///
/// # Errors
/// As there.
#[cfg(target_os = "linux")]
pub fn unpack_pipe(tar: File, into: Into<'_>, rules: Rules, notes: &mut Notes) -> Result<()> {
    let entries = Entries::with_buffer(tar, PIPED);
    unpack_feed(&mut Feed { entries, bulk: Some(system::splice) }, into, rules, notes)
}

fn unpack_feed<R: Read>(
    feed: &mut Feed<R>,
    into: Into<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<()> {
    let first = feed.entries.next()?;
    let tree = match (into, &first) {
        (Into::Below(_), _) => Tree { root: None, name: None },
        (Into::Place(_), None) => return Err(Error::Empty),
        (Into::Place(_), Some(first)) => Tree { root: root(first)?, name: None },
    };
    let landing = match (into, &first) {
        (Into::Place(place), Some(first)) => {
            let name = tree.root.clone().unwrap_or_else(|| ".".into());
            landing::land(place, &name, first.kind == Kind::Directory)?
        }
        (Into::Below(directory), _) | (Into::Place(directory), None) => {
            Landing { directory: directory.into(), name: None }
        }
    };
    let shown = landing.directory.as_os_str().as_encoded_bytes().to_vec();
    let base = Dir::open(&landing.directory).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Error::Landing { what: "no such directory", path: Name::new(&shown) }
        }
        _ => Error::File { doing: "open", path: Name::new(&shown), why: e },
    })?;
    let tree = Tree { name: landing.name, ..tree };
    let mut unpacker = Unpacker {
        tree,
        rules,
        notes,
        at: (Vec::new(), base.clone()),
        base,
        directories: BTreeMap::new(),
        held: 0,
        lost: Lost::default(),
    };
    let mut next = first;
    let mut outcome = Ok(());
    while let Some(entry) = next {
        outcome = unpacker.entry(entry, feed);
        if outcome.is_err() {
            break;
        }
        next = match feed.entries.next() {
            Ok(next) => next,
            Err(error) => {
                outcome = Err(error.into());
                break;
            }
        };
    }
    // What is there gets its attributes, however it ended.
    outcome.and(unpacker.finish())
}

/// A tar, and perhaps a way for data of it that goes around this process.
struct Feed<R> {
    entries: Entries<R>,
    bulk: Option<Bulk<R>>,
}

type Bulk<R> = fn(&mut R, &File, u64) -> io::Result<u64>;

/// The one part that the first entry's name has; none for the content of a directory.
fn root(first: &Entry) -> Result<Option<OsString>> {
    let mut parts = parts(&first.path)?;
    match (parts.pop(), parts.is_empty()) {
        (None, _) if first.kind == Kind::Directory => Ok(None),
        (Some(root), true) => Ok(Some(root)),
        _ => Err(refused(&first.path, "the first entry is not that of a tree")),
    }
}

/// How names in the tar become names here.
struct Tree {
    root: Option<OsString>,
    /// In place of it, or before all others where there is none.
    name: Option<OsString>,
}

impl Tree {
    fn place(&self, path: &[u8]) -> Result<Vec<OsString>> {
        let mut parts = parts(path)?;
        if let Some(root) = &self.root {
            if parts.first() != Some(root) {
                return Err(refused(path, "it is not in the tree that was asked for"));
            }
            parts.remove(0);
        }
        if let Some(name) = &self.name {
            parts.insert(0, name.clone());
        }
        Ok(parts)
    }
}

/// The parts of a name, none of which leads up.
fn parts(path: &[u8]) -> Result<Vec<OsString>> {
    if path.len() > MAX_PATH {
        return Err(refused(path, "it is longer than 4096 bytes"));
    }
    let parts = path.split(|&b| b == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let part = |part: &[u8]| match part {
        b".." => Err(refused(path, "it leads up with \"..\"")),
        part => system::name(part).map_err(|what| refused(path, what)),
    };
    parts.map(part).collect()
}

fn refused(path: &[u8], what: &'static str) -> Error {
    Error::Path { path: Name::new(path), what }
}

struct Unpacker<'a> {
    tree: Tree,
    rules: Rules,
    notes: &'a mut Notes,
    base: Dir,
    /// The directory of the last entry.
    at: (Vec<OsString>, Dir),
    /// What directories are to look like when all is in them.
    directories: BTreeMap<Vec<OsString>, Entry>,
    held: usize,
    lost: Lost,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, entry: Entry, feed: &mut Feed<R>) -> Result<()> {
        let place = self.tree.place(&entry.path)?;
        let Some((name, parents)) = place.split_last() else {
            // The directory itself, which was there before.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused(&entry.path, "it has no name")),
            };
        };
        let parent = self.enter(parents, &entry.path)?;
        match entry.kind {
            Kind::Directory => return self.directory(&parent, place, entry),
            Kind::File => self.file(&parent, name, &entry, feed)?,
            Kind::HardLink => {
                let target = self.tree.place(&entry.link)?;
                let Some((from, above)) = target.split_last() else {
                    return Err(refused(&entry.link, "a directory cannot be linked to"));
                };
                let directory = self.enter(above, &entry.link)?;
                let linked = parent.temporary(|new| parent.link(&directory, from, new));
                let (new, ()) = linked.doing("link", &entry.path)?;
                new.keep_link(name).map_err(overwriting).doing("write", &entry.path)?;
            }
            Kind::Symlink => {
                let linked = parent.temporary(|new| parent.symlink(&entry.link, new));
                let (new, ()) = linked.doing("write", &entry.path)?;
                parent.settle_link(new.name(), &entry, self.rules, &mut self.lost);
                new.keep(name).map_err(overwriting).doing("write", &entry.path)?;
            }
            Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
                self.special(&parent, name, &entry)?;
            }
        }
        Ok(())
    }

    /// The directory with these names, made where it is missing.
    fn enter(&mut self, parents: &[OsString], path: &[u8]) -> Result<Dir> {
        let (names, directory) = &self.at;
        let (mut directory, rest) = match parents.strip_prefix(&names[..]) {
            Some(rest) => (directory.clone(), rest),
            None => (self.base.clone(), parents),
        };
        for name in rest {
            let entered = match directory.enter(name, self.rules.follow) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => directory
                    .make_directory(name, 0o755)
                    .and_then(|()| directory.enter(name, self.rules.follow)),
                other => other,
            };
            directory = entered.doing("enter a directory of", path)?;
        }
        self.at = (parents.to_vec(), directory.clone());
        Ok(directory)
    }

    fn directory(&mut self, parent: &Dir, place: Vec<OsString>, mut entry: Entry) -> Result<()> {
        let Some(name) = place.last() else { return Ok(()) };
        match parent.make_directory(name, 0o700) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if parent.enter(name, self.rules.follow).is_err() {
                    return Err(Error::Landing {
                        what: "cannot overwrite what is no directory with a directory",
                        path: Name::new(&entry.path),
                    });
                }
            }
            other => other.doing("make", &entry.path)?,
        }
        entry.path = Vec::new();
        let names: usize = place.iter().map(|part| part.len() + OVERHEAD).sum();
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.held += names + xattrs;
        if self.held > MAX_HELD {
            let entry = Name::new(place.last().map(|n| n.as_encoded_bytes()).unwrap_or_default());
            let (what, max) = ("bytes of names and attributes of directories", MAX_HELD as u64);
            return Err(TarError::Limit { entry, what, max }.into());
        }
        self.directories.insert(place, entry);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        parent: &Dir,
        name: &OsStr,
        entry: &Entry,
        feed: &mut Feed<R>,
    ) -> Result<()> {
        let made = parent.temporary(|new| parent.make_file(new));
        let (new, mut file) = made.doing("write", &entry.path)?;
        match &entry.sparse {
            None => write(&mut file, entry.size, entry, feed)?,
            Some(map) => {
                file.set_len(entry.size).doing("write", &entry.path)?;
                for extent in map.extents() {
                    file.seek(SeekFrom::Start(extent.offset)).doing("write", &entry.path)?;
                    write(&mut file, extent.length, entry, feed)?;
                }
            }
        }
        let settled = system::settle(&file, entry, self.rules, &mut self.lost);
        settled.doing("set the mode of", &entry.path)?;
        drop(file);
        new.keep(name).map_err(overwriting).doing("write", &entry.path)
    }

    /// Devices are what a hostile tar could do most harm with: they are made where it has the
    /// rights that the tar says it has.
    fn special(&mut self, parent: &Dir, name: &OsStr, entry: &Entry) -> Result<()> {
        let permitted = entry.kind == Kind::Fifo || self.rules.rights || self.rules.owners;
        let why = match permitted {
            false => "a device, which is made with --archive only".to_owned(),
            true => match parent.temporary(|new| parent.special(new, entry)) {
                Ok((new, ())) => {
                    parent.settle_link(new.name(), entry, self.rules, &mut self.lost);
                    return new.keep(name).map_err(overwriting).doing("write", &entry.path);
                }
                Err(e) if is_refusal(&e) => format!("{:?}: {}", entry.kind, crate::text(&e)),
                Err(e) => return Err(e).doing("make", &entry.path),
            },
        };
        self.notes.add(format!("{} is left out: {why}", Name::new(&entry.path)));
        Ok(())
    }

    /// The last of what is known of directories, and of what could not be kept.
    fn finish(mut self) -> Result<()> {
        let mut outcome = Ok(());
        // What is in a directory comes before it: its mode may bar the way.
        for (place, entry) in std::mem::take(&mut self.directories).into_iter().rev() {
            let shown = place.last().map(|name| name.as_encoded_bytes()).unwrap_or_default();
            let settled = self.enter(&place, shown).and_then(|directory| {
                directory.settle(&entry, self.rules, &mut self.lost).doing("set the mode of", shown)
            });
            outcome = outcome.and(settled);
        }
        self.lost.tell(self.notes);
        outcome
    }
}

/// Writes as much of an entry's data.
fn write<R: Read>(file: &mut File, mut left: u64, entry: &Entry, feed: &mut Feed<R>) -> Result<()> {
    while left > 0 {
        if let Some(bulk) = feed.bulk
            && let Some(moved) = feed.entries.move_data(|tar, most| bulk(tar, file, most.min(left)))
        {
            match moved {
                Ok(0) => return Err(feed.entries.truncated().into()),
                Ok(count) => left -= count,
                // Not between these two.
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => feed.bulk = None,
                Err(e) => return Err(e).doing("write", &entry.path),
            }
            continue;
        }
        let data = feed.entries.data()?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        if count == 0 {
            return Err(feed.entries.truncated().into());
        }
        file.write_all(&data[..count]).doing("write", &entry.path)?;
        feed.entries.consume(count);
        left -= count as u64;
    }
    Ok(())
}

/// A directory in the place of a file.
fn overwriting(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::IsADirectory => {
            io::Error::new(error.kind(), "cannot overwrite a directory with what is none")
        }
        _ => error,
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}
