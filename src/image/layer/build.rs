// SPDX-License-Identifier: Apache-2.0
//! Applies the entries of one layer in order: file data goes to the image at once, the rest
//! into the tree.

use std::io::Read;

use super::Limits;
use super::data::Data;
use super::error::{LayerError, Name};
use super::format::{self, INODE};
use super::image::fits_inline;
use super::path::{self, MAX_NAME, Target};
use super::resolve::{Failure, Resolver};
use super::sink::Sink;
use super::tree::{
    CHUNKED, FAR_TARGET, GHOST, IMPLIED, Ino, Inode, OPAQUE, ROOT, S_IFBLK, S_IFCHR, S_IFDIR,
    S_IFIFO, S_IFLNK, S_IFREG, Tree,
};
use super::xattr::{Refusal, Xattrs};
use mvm_files::archive::{Entries, Entry, Kind};

/// Longest target of a symlink, as Linux has it.
const MAX_TARGET: usize = 4095;

pub(super) struct Builder<'a> {
    limits: &'a Limits,
    pub(super) tree: Tree,
    resolver: Resolver,
    pub(super) xattrs: Xattrs,
    pub(super) data: Data<'a>,
    /// All whiteouts of a layer are one file with many names.
    whiteout: Option<Ino>,
    /// Entries seen.
    pub(super) entries: u64,
}

impl<'a> Builder<'a> {
    pub(super) fn new(sink: Sink<'a>, limits: &'a Limits) -> Self {
        Self {
            limits,
            tree: Tree::new(limits.max_entries),
            resolver: Resolver::default(),
            xattrs: Xattrs::new(limits.max_xattr_bytes),
            data: Data::new(sink, limits.max_bytes),
            whiteout: None,
            entries: 0,
        }
    }

    pub(super) fn apply<R: Read>(
        &mut self,
        entry: &Entry,
        tar: &mut Entries<R>,
    ) -> Result<(), LayerError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(self.too_many(entry));
        }
        let refused = |what| LayerError::Path { entry: Name::new(&entry.path), what };
        path::check(&entry.path, self.limits.max_path).map_err(refused)?;
        match path::target(&entry.path).map_err(refused)? {
            Target::Ignored => Ok(()),
            Target::Root if entry.kind == Kind::Directory => self.describe_dir(ROOT, entry),
            Target::Root => Err(refused("it would replace the root directory")),
            Target::Opaque { dir } => {
                if let Some(dir) = self.make_dir_for_whiteout(dir, entry)? {
                    self.tree.inode_mut(dir).flags |= OPAQUE;
                }
                Ok(())
            }
            Target::Whiteout { dir, name } => match self.make_dir_for_whiteout(dir, entry)? {
                Some(dir) => self.whiteout(dir, name, entry),
                None => Ok(()),
            },
            Target::Plain { dir, name } => {
                let dir = self.make_dir(dir, entry)?;
                self.plain(dir, name, entry, tar)
            }
        }
    }

    fn plain<R: Read>(
        &mut self,
        dir: Ino,
        name: &[u8],
        entry: &Entry,
        tar: &mut Entries<R>,
    ) -> Result<(), LayerError> {
        let there = self.tree.lookup(dir, name);
        let there = there.map(|number| self.tree.dirent(number).ino);
        let ino = match entry.kind {
            Kind::Directory => match there {
                // A directory that comes again is described anew and keeps what is in it.
                Some(ino) if self.tree.inode(ino).is_dir() => {
                    return self.describe_dir(ino, entry);
                }
                _ => {
                    let ino = self.add(Inode::implied_dir(dir), entry)?;
                    self.describe_dir(ino, entry)?;
                    ino
                }
            },
            Kind::HardLink => self.link_target(entry)?,
            Kind::File => {
                let mut inode = self.inode(entry, S_IFREG)?;
                inode.size = entry.size;
                if let Some(map) = &entry.sparse {
                    inode.addr = self.data.sparse_file(map, entry, tar)?;
                    inode.flags |= CHUNKED;
                } else {
                    inode.addr = self.data.file(entry, tar)?;
                }
                self.add(inode, entry)?
            }
            Kind::Symlink => {
                let inode = self.inode(entry, S_IFLNK)?;
                let inode = self.symlink(inode, entry)?;
                self.add(inode, entry)?
            }
            Kind::CharDevice | Kind::BlockDevice => {
                let char = entry.kind == Kind::CharDevice;
                let mut inode = self.inode(entry, if char { S_IFCHR } else { S_IFBLK })?;
                let out_of_range = || malformed(entry, "its device number is out of range");
                inode.addr = format::device(entry.device).ok_or_else(out_of_range)?;
                self.add(inode, entry)?
            }
            Kind::Fifo => {
                let inode = self.inode(entry, S_IFIFO)?;
                self.add(inode, entry)?
            }
        };
        self.name(dir, name, ino, entry).map(drop)
    }

    /// Lets `name` mean `ino` from here on.
    fn name(&mut self, dir: Ino, name: &[u8], ino: Ino, entry: &Entry) -> Result<u32, LayerError> {
        let Some(number) = self.tree.lookup(dir, name) else {
            let done = self.tree.insert(dir, name, ino);
            return done.map_err(|_| self.too_many(entry));
        };
        let is_dir = self.tree.inode(ino).is_dir();
        let dirent = self.tree.dirent_mut(number);
        dirent.ino = ino;
        // What was here has already replaced a directory of a layer below.
        dirent.hides |= is_dir;
        self.resolver.forget();
        Ok(number)
    }

    fn whiteout(&mut self, dir: Ino, name: &[u8], entry: &Entry) -> Result<(), LayerError> {
        let there = self.tree.lookup(dir, name);
        let number = match there {
            // Whiteouts speak of the layers below: what this layer has of that name stays.
            Some(number) if !self.is_ghost(number) => number,
            _ => {
                let ino = match self.whiteout {
                    Some(ino) => ino,
                    None => self.add(Inode::whiteout(), entry)?,
                };
                self.whiteout = Some(ino);
                self.name(dir, name, ino, entry)?
            }
        };
        self.tree.dirent_mut(number).hides = true;
        Ok(())
    }

    fn is_ghost(&self, dirent: u32) -> bool {
        self.tree.inode(self.tree.dirent(dirent).ino).has(GHOST)
    }

    fn link_target(&self, entry: &Entry) -> Result<Ino, LayerError> {
        let error = |what| LayerError::Link {
            entry: Name::new(&entry.path),
            target: Name::new(&entry.link),
            what,
        };
        path::check(&entry.link, self.limits.max_path).map_err(error)?;
        let missing = "the layer has no such file before it";
        let (dir, name) = path::split(&entry.link).ok_or_else(|| error("it is a directory"))?;
        let dir = Resolver::find(&self.tree, dir, &entry.link);
        let dir = dir.map_err(|failure| self.failed(failure, entry))?;
        let dir = dir.ok_or_else(|| error(missing))?;
        let number = self.tree.lookup(dir, name).ok_or_else(|| error(missing))?;
        let ino = self.tree.dirent(number).ino;
        let inode = self.tree.inode(ino);
        if inode.is_dir() {
            return Err(error("it is a directory"));
        }
        if Some(ino) == self.whiteout {
            return Err(error(missing));
        }
        Ok(ino)
    }

    fn symlink(&mut self, mut inode: Inode, entry: &Entry) -> Result<Inode, LayerError> {
        let target = &entry.link[..];
        if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
            return Err(malformed(
                entry,
                "its target is empty, longer than 4095 bytes or holds a NUL",
            ));
        }
        // Linux shows no other mode for symlinks, whatever the tar says.
        inode.mode = S_IFLNK | 0o777;
        inode.size = target.len() as u64;
        let head = INODE + self.xattrs.encoded_len(inode.xattrs, false) as u64;
        if target.len() <= MAX_NAME && fits_inline(head, inode.size) {
            inode.addr = self.tree.keep(target).map_err(|_| self.too_many(entry))?;
        } else {
            // Not kept in memory: a million of these would be gigabytes.
            inode.addr = self.data.target(entry)?;
            inode.flags |= FAR_TARGET;
        }
        Ok(inode)
    }

    /// The metadata of an entry in a new inode.
    fn inode(&mut self, entry: &Entry, kind: u16) -> Result<Inode, LayerError> {
        let xattrs = self.xattrs.keep(&entry.xattrs, kind).map_err(|refusal| match refusal {
            Refusal::Bad(name, what) => {
                LayerError::Xattr { entry: Name::new(&entry.path), name: Name::new(&name), what }
            }
            Refusal::Full => self.limit(
                entry,
                "bytes of extended attributes",
                self.limits.max_xattr_bytes as u64,
            ),
        })?;
        Ok(Inode {
            mtime: entry.mtime.0,
            nsec: entry.mtime.1,
            uid: entry.uid,
            gid: entry.gid,
            xattrs,
            mode: kind | entry.mode,
            flags: 0,
            ..Inode::implied_dir(ROOT)
        })
    }

    /// Gives a directory the metadata of an entry, and nothing else.
    fn describe_dir(&mut self, ino: Ino, entry: &Entry) -> Result<(), LayerError> {
        let described = self.inode(entry, S_IFDIR)?;
        let inode = self.tree.inode_mut(ino);
        *inode =
            Inode { parent: inode.parent, flags: inode.flags & !(IMPLIED | GHOST), ..described };
        Ok(())
    }

    fn make_dir(&mut self, dir: &[u8], entry: &Entry) -> Result<Ino, LayerError> {
        let made = self.resolver.make(&mut self.tree, dir, &entry.path);
        made.map_err(|failure| self.failed(failure, entry))
    }

    fn make_dir_for_whiteout(
        &mut self,
        dir: &[u8],
        entry: &Entry,
    ) -> Result<Option<Ino>, LayerError> {
        let made = self.resolver.make_for_whiteout(&mut self.tree, dir, &entry.path);
        made.map_err(|failure| self.failed(failure, entry))
    }

    fn failed(&self, failure: Failure, entry: &Entry) -> LayerError {
        match failure {
            Failure::Full => self.too_many(entry),
            Failure::Error(e) => e,
        }
    }

    fn add(&mut self, inode: Inode, entry: &Entry) -> Result<Ino, LayerError> {
        self.tree.add(inode).map_err(|_| self.too_many(entry))
    }

    fn too_many(&self, entry: &Entry) -> LayerError {
        self.limit(entry, "entries", self.limits.max_entries)
    }

    fn limit(&self, entry: &Entry, what: &'static str, max: u64) -> LayerError {
        LayerError::Limit { entry: Name::new(&entry.path), what, max }
    }
}

fn malformed(entry: &Entry, what: &'static str) -> LayerError {
    LayerError::Malformed { entry: Name::new(&entry.path), what }
}
