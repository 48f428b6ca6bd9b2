// SPDX-License-Identifier: Apache-2.0
//! The layer's directory tree in memory: inodes, directory entries and their names in three
//! flat arrays, about 100 bytes per entry. Directories know their parent, so nothing recurses.

use super::index::Index;

/// Number of an inode in the tree.
pub(super) type Ino = u32;

pub(super) const ROOT: Ino = 0;

pub(super) const S_IFMT: u16 = 0o170_000;
pub(super) const S_IFIFO: u16 = 0o010_000;
pub(super) const S_IFCHR: u16 = 0o020_000;
pub(super) const S_IFDIR: u16 = 0o040_000;
pub(super) const S_IFBLK: u16 = 0o060_000;
pub(super) const S_IFREG: u16 = 0o100_000;
pub(super) const S_IFLNK: u16 = 0o120_000;

/// Nothing of this directory's namesake in the layers below shows through.
pub(super) const OPAQUE: u16 = 1;
/// No entry of the tar describes this directory; it is there because something lies in it.
pub(super) const IMPLIED: u16 = 2;
/// A file in chunks: `addr` is the number of its chunk list.
pub(super) const CHUNKED: u16 = 4;
/// The symlink's target stands in the data area, at block `addr`.
pub(super) const FAR_TARGET: u16 = 8;
/// This directory or one above it is opaque: whiteouts in it have nothing to hide.
pub(super) const NOTHING_BELOW: u16 = 16;
/// The tail of the data stands behind the inode.
pub(super) const INLINE: u16 = 32;
/// An implied directory that nothing but whiteouts needed so far: it is not there to be seen.
pub(super) const GHOST: u16 = 64;

#[derive(Clone, Copy)]
pub(super) struct Inode {
    pub(super) mtime: i64,
    /// File size, length of a symlink's target, size of a directory once it is laid out.
    pub(super) size: u64,
    pub(super) nsec: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// First block of the data, device number, or offset of a symlink's target in the text.
    pub(super) addr: u32,
    /// The parent, of a directory.
    pub(super) parent: Ino,
    /// Number of the attribute set.
    pub(super) xattrs: u32,
    /// Where the inode stands in the image, in units of 32 bytes.
    pub(super) nid: u32,
    pub(super) nlink: u32,
    pub(super) mode: u16,
    pub(super) flags: u16,
}

impl Inode {
    /// A directory nobody described: 0755, root's, at the epoch, so that the image depends on
    /// nothing but the tar.
    pub(super) fn implied_dir(parent: Ino) -> Self {
        Self {
            mtime: 0,
            size: 0,
            nsec: 0,
            uid: 0,
            gid: 0,
            addr: 0,
            parent,
            xattrs: 0,
            nid: 0,
            nlink: 0,
            mode: S_IFDIR | 0o755,
            flags: IMPLIED,
        }
    }

    /// An overlayfs whiteout: a character device 0:0.
    pub(super) fn whiteout() -> Self {
        Self { mode: S_IFCHR, flags: 0, ..Self::implied_dir(ROOT) }
    }

    pub(super) fn kind(&self) -> u16 {
        self.mode & S_IFMT
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }

    pub(super) fn is_whiteout(&self) -> bool {
        self.kind() == S_IFCHR && self.addr == 0
    }

    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Dirent {
    name: u32,
    pub(super) dir: Ino,
    pub(super) ino: Ino,
    length: u8,
    /// What stood here in the layers below is gone, whatever stands here now.
    pub(super) hides: bool,
}

pub(super) struct Tree {
    pub(super) inodes: Vec<Inode>,
    pub(super) dirents: Vec<Dirent>,
    text: Vec<u8>,
    index: Index,
    max: u64,
}

/// The tree cannot grow.
pub(super) struct Full;

impl Tree {
    /// A tree of a root directory, that may hold `max` names and inodes.
    pub(super) fn new(max: u64) -> Self {
        Self {
            inodes: vec![Inode::implied_dir(ROOT)],
            dirents: Vec::new(),
            text: Vec::new(),
            index: Index::new(),
            max: max.min(u64::from(u32::MAX / 2)),
        }
    }

    pub(super) fn add(&mut self, inode: Inode) -> Result<Ino, Full> {
        if self.inodes.len() as u64 > self.max {
            return Err(Full);
        }
        self.inodes.push(inode);
        Ok(self.inodes.len() as u32 - 1)
    }

    pub(super) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[ino as usize]
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[ino as usize]
    }

    pub(super) fn dirent(&self, number: u32) -> &Dirent {
        &self.dirents[number as usize]
    }

    pub(super) fn dirent_mut(&mut self, number: u32) -> &mut Dirent {
        &mut self.dirents[number as usize]
    }

    pub(super) fn name(&self, dirent: &Dirent) -> &[u8] {
        &self.text[dirent.name as usize..][..usize::from(dirent.length)]
    }

    /// The target of a symlink that is not a far one.
    pub(super) fn link_target(&self, inode: &Inode) -> &[u8] {
        &self.text[inode.addr as usize..][..inode.size as usize]
    }

    /// Keeps a short text and tells where.
    pub(super) fn keep(&mut self, text: &[u8]) -> Result<u32, Full> {
        let at = u32::try_from(self.text.len()).map_err(|_| Full)?;
        self.text.extend_from_slice(text);
        Ok(at)
    }

    pub(super) fn lookup(&self, dir: Ino, name: &[u8]) -> Option<u32> {
        self.index.find((dir, name), key_of(&self.dirents, &self.text))
    }

    /// Adds a name that is not there yet; it is at most 255 bytes long.
    pub(super) fn insert(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Result<u32, Full> {
        if self.dirents.len() as u64 >= self.max {
            return Err(Full);
        }
        let length = u8::try_from(name.len()).map_err(|_| Full)?;
        let number = self.dirents.len() as u32;
        let name = self.keep(name)?;
        self.dirents.push(Dirent { name, dir, ino, length, hides: false });
        self.index.insert(number, key_of(&self.dirents, &self.text));
        Ok(number)
    }

    /// Frees what only lookups need.
    pub(super) fn forget_index(&mut self) {
        self.index = Index::new();
    }
}

fn key_of<'t>(dirents: &'t [Dirent], text: &'t [u8]) -> impl Fn(u32) -> (u32, &'t [u8]) {
    move |number| {
        let d = &dirents[number as usize];
        (d.dir, &text[d.name as usize..][..usize::from(d.length)])
    }
}
