// SPDX-License-Identifier: Apache-2.0
//! What is in which directory, sorted, and how a directory's entries fill its blocks.

use super::format::{BLOCK, DIRENT, file_type};
use super::tree::{IMPLIED, Ino, NOTHING_BELOW, OPAQUE, ROOT, Tree};

/// Cap of the list of implied directories; who has more of them has no use for the list.
const MAX_IMPLIED_BYTES: usize = 1 << 20;

/// The inodes that are left, in the order in which they are written, and the names in each
/// directory. What was replaced is not reached from the root, and so is gone.
pub(super) struct Listing {
    /// The root, then what is in it, then what is in each of those: neighbours in a directory
    /// are neighbours on the disk.
    pub(super) order: Vec<Ino>,
    kids: Vec<u32>,
    /// Where the names in each directory begin and end among `kids`.
    spans: Vec<(u32, u32)>,
    pub(super) whiteouts: u64,
    pub(super) implied: Vec<Vec<u8>>,
}

impl Listing {
    pub(super) fn new(tree: &mut Tree) -> Self {
        tree.forget_index();
        let mut spans = vec![(0, 0); tree.inodes.len()];
        for dirent in &tree.dirents {
            spans[dirent.dir as usize].1 += 1;
        }
        let mut at = 0;
        for (start, end) in &mut spans {
            let count = *end;
            (*start, *end) = (at, at);
            at += count;
        }
        let mut kids = vec![0; tree.dirents.len()];
        for (number, dirent) in tree.dirents.iter().enumerate() {
            let end = &mut spans[dirent.dir as usize].1;
            kids[*end as usize] = number as u32;
            *end += 1;
        }
        let mut listing =
            Self { order: vec![ROOT], kids, spans, whiteouts: 0, implied: Vec::new() };
        // Its own "." and "..".
        tree.inode_mut(ROOT).nlink = 2;
        let mut implied_bytes = 0;
        let mut next = 0;
        while let Some(&ino) = listing.order.get(next) {
            next += 1;
            if !tree.inode(ino).is_dir() {
                continue;
            }
            let inode = tree.inode(ino);
            // Of what replaces a directory below, nothing there can be the model.
            let listed = inode.has(IMPLIED) && ino != ROOT && !tree.dirent(inode.addr).hides;
            if listed && implied_bytes < MAX_IMPLIED_BYTES {
                let path = path_of(tree, ino);
                implied_bytes += path.len();
                listing.implied.push(path);
            }
            listing.visit(tree, ino);
        }
        listing
    }

    /// Sorts what is in directory `ino`, counts links, and queues what was not met before.
    fn visit(&mut self, tree: &mut Tree, ino: Ino) {
        let (start, end) = self.spans[ino as usize];
        let kids = &mut self.kids[start as usize..end as usize];
        // Below an opaque directory whiteouts hide nothing, and overlayfs would list them.
        let bare = tree.inode(ino).has(NOTHING_BELOW);
        let mut kept = 0;
        for at in 0..kids.len() {
            let hidden = bare && tree.inode(tree.dirent(kids[at]).ino).is_whiteout();
            if !hidden {
                kids[kept] = kids[at];
                kept += 1;
            }
        }
        let kids = &mut kids[..kept];
        self.spans[ino as usize].1 = start + kept as u32;
        kids.sort_unstable_by(|&a, &b| tree.name(tree.dirent(a)).cmp(tree.name(tree.dirent(b))));
        for &number in kids.iter() {
            let dirent = *tree.dirent(number);
            let child = tree.inode_mut(dirent.ino);
            let met = child.nlink > 0;
            child.nlink += 1;
            if child.is_whiteout() {
                self.whiteouts += 1;
            }
            if child.is_dir() {
                child.nlink = 2;
                // Until the directory has blocks: where its name stands.
                child.addr = number;
                if dirent.hides {
                    child.flags |= OPAQUE;
                }
                if bare || child.has(OPAQUE) {
                    child.flags |= NOTHING_BELOW;
                }
                tree.inode_mut(ino).nlink += 1;
            }
            if !met {
                self.order.push(dirent.ino);
            }
        }
    }

    fn kids(&self, ino: Ino) -> &[u32] {
        let (start, end) = self.spans[ino as usize];
        &self.kids[start as usize..end as usize]
    }
}

fn path_of(tree: &Tree, mut ino: Ino) -> Vec<u8> {
    let mut names = Vec::new();
    while ino != ROOT {
        let inode = tree.inode(ino);
        names.push(tree.name(tree.dirent(inode.addr)));
        ino = inode.parent;
    }
    names.reverse();
    names.join(&b'/')
}

/// The entries of one directory, `.` and `..` in their sorted places, block by block.
pub(super) struct Directory<'t> {
    tree: &'t Tree,
    kids: &'t [u32],
    ino: Ino,
    /// Positions of `.` and `..`.
    dot: usize,
    dot_dot: usize,
    at: usize,
}

impl<'t> Directory<'t> {
    pub(super) fn new(tree: &'t Tree, listing: &'t Listing, ino: Ino) -> Self {
        let kids = listing.kids(ino);
        let before = |name: &[u8]| kids.partition_point(|&k| tree.name(tree.dirent(k)) < name);
        Self { tree, kids, ino, dot: before(b"."), dot_dot: before(b"..") + 1, at: 0 }
    }

    fn len(&self) -> usize {
        self.kids.len() + 2
    }

    fn entry(&self, at: usize) -> (&'t [u8], Ino) {
        if at == self.dot {
            return (b".", self.ino);
        }
        if at == self.dot_dot {
            return (b"..", self.tree.inode(self.ino).parent);
        }
        let skipped = usize::from(at > self.dot) + usize::from(at > self.dot_dot);
        let dirent = self.tree.dirent(self.kids[at - skipped]);
        (self.tree.name(dirent), dirent.ino)
    }

    /// The end of the block that begins at the current entry, and the bytes used in it.
    fn block_end(&self) -> (usize, usize) {
        let mut used = 0;
        for at in self.at..self.len() {
            let length = DIRENT + self.entry(at).0.len();
            if used + length > BLOCK as usize {
                return (at, used);
            }
            used += length;
        }
        (self.len(), used)
    }

    /// Size of the directory as a file: whole blocks and the used part of the last.
    pub(super) fn size(mut self) -> u64 {
        let mut size = 0;
        loop {
            let (end, used) = self.block_end();
            if end == self.len() {
                return size + used as u64;
            }
            size += BLOCK;
            self.at = end;
        }
    }

    pub(super) fn skip_blocks(&mut self, n: u64) {
        for _ in 0..n {
            self.at = self.block_end().0;
        }
    }

    /// Appends the next block, as far as it is used.
    pub(super) fn next_block(&mut self, out: &mut Vec<u8>) {
        let (end, _) = self.block_end();
        let mut name_at = (end - self.at) * DIRENT;
        for at in self.at..end {
            let (name, ino) = self.entry(at);
            let inode = self.tree.inode(ino);
            out.extend_from_slice(&u64::from(inode.nid).to_le_bytes());
            out.extend_from_slice(&(name_at as u16).to_le_bytes());
            out.extend_from_slice(&[file_type(inode), 0]);
            name_at += name.len();
        }
        for at in self.at..end {
            out.extend_from_slice(self.entry(at).0);
        }
        self.at = end;
    }
}
