// SPDX-License-Identifier: Apache-2.0
//! From a path in the tar to a directory in the tree.
//!
//! Symlinks on the way are followed inside the layer, with the layer's root as `/`, as
//! containerd (`fs.RootPath`) and umoci (`SecureJoin`) do. There is no host path here to escape to.

use super::error::{LayerError, Name};
use super::path::components;
use super::tree::{FAR_TARGET, Full, GHOST, IMPLIED, Ino, Inode, OPAQUE, ROOT, S_IFLNK, Tree};

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

    /// The directory of a checked path for an entry to lie in, made if missing; `entry` is for
    /// messages.
    pub(super) fn make(
        &mut self,
        tree: &mut Tree,
        dir: &[u8],
        entry: &[u8],
    ) -> Result<Ino, Failure> {
        if let Some(ino) = self.remembered(dir)
            && !tree.inode(ino).has(GHOST)
        {
            return Ok(ino);
        }
        let mut walk = Walk::new(dir);
        while let Some(name) = walk.next_name() {
            match walk.step(tree, &name) {
                Step::In => {}
                Step::Nothing => walk.make(tree, &name, IMPLIED)?,
                // What the layers below have there is gone: the directory starts empty.
                Step::Whiteout(number) => {
                    let ino = tree.add(Inode::implied_dir(walk.at))?;
                    tree.inode_mut(ino).flags |= OPAQUE;
                    tree.dirent_mut(number).ino = ino;
                    walk.at = ino;
                }
                Step::No(obstacle) => return Err(obstacle.error(&name, entry)),
            }
            tree.inode_mut(walk.at).flags &= !GHOST;
        }
        self.last = Some((dir.to_vec(), walk.at));
        Ok(walk.at)
    }

    /// The directory of a checked path for a whiteout to lie in. `None` where a whiteout has
    /// nothing to hide: below a file, as tools leave them when a directory became a file, and
    /// below another whiteout.
    pub(super) fn make_for_whiteout(
        &mut self,
        tree: &mut Tree,
        dir: &[u8],
        entry: &[u8],
    ) -> Result<Option<Ino>, Failure> {
        if let Some(ino) = self.remembered(dir) {
            return Ok(Some(ino));
        }
        let mut walk = Walk::new(dir);
        while let Some(name) = walk.next_name() {
            match walk.step(tree, &name) {
                Step::In => {}
                Step::Nothing => walk.make(tree, &name, IMPLIED | GHOST)?,
                Step::Whiteout(_) | Step::No(Obstacle::NotDirectory) => return Ok(None),
                Step::No(obstacle) => return Err(obstacle.error(&name, entry)),
            }
        }
        self.last = Some((dir.to_vec(), walk.at));
        Ok(Some(walk.at))
    }

    /// The directory of a checked path, if it is there.
    pub(super) fn find(tree: &Tree, dir: &[u8], entry: &[u8]) -> Result<Option<Ino>, Failure> {
        let mut walk = Walk::new(dir);
        while let Some(name) = walk.next_name() {
            match walk.step(tree, &name) {
                Step::In => {}
                Step::Nothing | Step::Whiteout(_) => return Ok(None),
                Step::No(obstacle) => return Err(obstacle.error(&name, entry)),
            }
        }
        Ok(Some(walk.at))
    }

    fn remembered(&self, dir: &[u8]) -> Option<Ino> {
        let (path, ino) = self.last.as_ref()?;
        (path == dir).then_some(*ino)
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

/// What one more name leads to.
enum Step {
    In,
    Nothing,
    /// The entry of a whiteout.
    Whiteout(u32),
    No(Obstacle),
}

enum Obstacle {
    NotDirectory,
    Symlinks,
}

impl Obstacle {
    fn error(self, name: &[u8], entry: &[u8]) -> Failure {
        let entry = Name::new(entry);
        Failure::Error(match self {
            Self::NotDirectory => LayerError::NotDirectory { entry, parent: Name::new(name) },
            Self::Symlinks => {
                LayerError::Path { entry, what: "too many or too long symlinks lead to it" }
            }
        })
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
        let mut walk = Self { at: ROOT, todo: Vec::new(), symlinks: 0, expanded: 0 };
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

    /// Makes a directory where there is nothing and goes into it.
    fn make(&mut self, tree: &mut Tree, name: &[u8], flags: u16) -> Result<(), Full> {
        let mut inode = Inode::implied_dir(self.at);
        inode.flags = flags;
        let ino = tree.add(inode)?;
        tree.insert(self.at, name, ino)?;
        self.at = ino;
        Ok(())
    }

    fn step(&mut self, tree: &Tree, name: &[u8]) -> Step {
        if name == b".." {
            // Only symlinks bring these here. The root is its own parent.
            self.at = tree.inode(self.at).parent;
            return Step::In;
        }
        let Some(number) = tree.lookup(self.at, name) else {
            return Step::Nothing;
        };
        let ino = tree.dirent(number).ino;
        let inode = tree.inode(ino);
        if inode.is_dir() {
            self.at = ino;
            return Step::In;
        }
        if inode.is_whiteout() {
            return Step::Whiteout(number);
        }
        if inode.kind() != S_IFLNK {
            return Step::No(Obstacle::NotDirectory);
        }
        self.symlinks += 1;
        self.expanded += inode.size as usize;
        if self.symlinks > MAX_SYMLINKS || self.expanded > MAX_EXPANDED || inode.has(FAR_TARGET) {
            return Step::No(Obstacle::Symlinks);
        }
        let target = tree.link_target(inode);
        if target.starts_with(b"/") {
            self.at = ROOT;
        }
        self.push(target);
        Step::In
    }
}
