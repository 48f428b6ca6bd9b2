// SPDX-License-Identifier: Apache-2.0
//! From a path in the tar to a directory in the tree.
//!
//! Symlinks on the way are followed inside the layer, with the layer's root as `/`, as
//! containerd (`fs.RootPath`) and umoci (`SecureJoin`) do. There is no host path here to escape to.

use super::error::{LayerError, Name};
use super::path::components;
use super::tree::{FAR_TARGET, Full, IMPLIED, Ino, Inode, OPAQUE, ROOT, S_IFLNK, Tree};

/// Linux's own limit (`MAXSYMLINKS`).
const MAX_SYMLINKS: u32 = 40;

/// Cap of the bytes that symlinks add to one path: a few entries must not cost minutes.
const MAX_EXPANDED: usize = 16 << 10;

/// Resolves directories and remembers the last one, since tars list a directory in one go.
#[derive(Default)]
pub(super) struct Resolver {
    last: Option<(Vec<u8>, Ino)>,
}

impl Resolver {
    /// To be called when a name begins to mean something else.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The directory of a checked path, made if missing; `entry` is for messages.
    pub(super) fn make(
        &mut self,
        tree: &mut Tree,
        dir: &[u8],
        entry: &[u8],
    ) -> Result<Ino, Failure> {
        if let Some((path, ino)) = &self.last
            && path == dir
        {
            return Ok(*ino);
        }
        let mut walk = Walk::new(dir);
        while let Some(name) = walk.next_name() {
            if walk.step(tree, &name, entry)? {
                continue;
            }
            let ino = tree.add(Inode::implied_dir(walk.at))?;
            match tree.lookup(walk.at, &name) {
                // A whiteout: the directory starts empty.
                Some(number) => {
                    tree.dirent_mut(number).ino = ino;
                    tree.inode_mut(ino).flags = IMPLIED | OPAQUE;
                }
                None => {
                    tree.insert(walk.at, &name, ino)?;
                }
            }
            walk.at = ino;
        }
        self.last = Some((dir.to_vec(), walk.at));
        Ok(walk.at)
    }

    /// The directory of a checked path, if it is there.
    pub(super) fn find(tree: &Tree, dir: &[u8], entry: &[u8]) -> Result<Option<Ino>, Failure> {
        let mut walk = Walk::new(dir);
        while let Some(name) = walk.next_name() {
            if !walk.step(tree, &name, entry)? {
                return Ok(None);
            }
        }
        Ok(Some(walk.at))
    }
}

/// Why a path leads nowhere.
pub(super) enum Failure {
    Full,
    Error(LayerError),
}

impl From<Full> for Failure {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

struct Walk {
    at: Ino,
    /// The names still to go, the next one last.
    todo: Vec<Vec<u8>>,
    symlinks: u32,
    expanded: usize,
}

impl Walk {
    fn new(path: &[u8]) -> Self {
        let mut walk = Self {
            at: ROOT,
            todo: Vec::new(),
            symlinks: 0,
            expanded: 0,
        };
        walk.push(path);
        walk
    }

    fn push(&mut self, path: &[u8]) {
        let from = self.todo.len();
        self.todo.extend(components(path).map(<[u8]>::to_vec));
        self.todo[from..].reverse();
    }

    fn next_name(&mut self) -> Option<Vec<u8>> {
        self.todo.pop()
    }

    /// Goes into `name`; false if there is nothing of that name.
    fn step(&mut self, tree: &Tree, name: &[u8], entry: &[u8]) -> Result<bool, Failure> {
        if name == b".." {
            // Only symlinks bring these here.
            self.at = tree.inode(self.at).parent;
            return Ok(true);
        }
        let Some(number) = tree.lookup(self.at, name) else {
            return Ok(false);
        };
        let ino = tree.dirent(number).ino;
        let inode = tree.inode(ino);
        if inode.is_dir() {
            self.at = ino;
            return Ok(true);
        }
        if inode.is_whiteout() {
            return Ok(false);
        }
        if inode.kind() != S_IFLNK {
            return Err(Failure::Error(LayerError::NotDirectory {
                entry: Name::new(entry),
                parent: Name::new(name),
            }));
        }
        self.symlinks += 1;
        self.expanded += inode.size as usize;
        if self.symlinks > MAX_SYMLINKS || self.expanded > MAX_EXPANDED || inode.has(FAR_TARGET) {
            return Err(Failure::Error(LayerError::Path {
                entry: Name::new(entry),
                what: "too many or too long symlinks lead to it",
            }));
        }
        let target = tree.link_target(inode);
        if target.starts_with(b"/") {
            self.at = ROOT;
        }
        self.push(target);
        Ok(true)
    }
}
