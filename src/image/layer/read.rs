// SPDX-License-Identifier: Apache-2.0
//! Looks single names up in a layer's disk image. It reads what this module
//! writes and no other EROFS; nothing here grows with the size of the image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::format::{BLOCK, DIRENT, INODE, SLOT, SUPER};
use super::tree::{S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG};

/// Layouts of data, as an inode's format has them.
const PLAIN: u16 = 0;
const INLINE: u16 = 2;
/// A header comes before an inode's own attributes.
const XATTR_HEADER: u64 = 12;
/// `trusted.` as the kernel numbers it, and what is behind it.
const OPAQUE: (u8, &[u8], &[u8]) = (4, b"overlay.opaque", b"y");

/// A layer's disk image.
pub struct Reader {
    file: File,
    meta: u64,
    root: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    mode: u16,
    layout: u16,
    size: u64,
    /// First block, or device number.
    union: u32,
    xattrs: u64,
    /// Where the attributes end and the tail of inline data begins.
    behind: u64,
}

impl Node {
    pub fn is_directory(&self) -> bool {
        self.kind() == S_IFDIR
    }

    pub fn is_file(&self) -> bool {
        self.kind() == S_IFREG
    }

    pub fn is_symlink(&self) -> bool {
        self.kind() == S_IFLNK
    }

    pub fn is_whiteout(&self) -> bool {
        self.kind() == S_IFCHR && self.union == 0
    }

    fn kind(&self) -> u16 {
        self.mode & 0o170_000
    }
}

impl Reader {
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?)
    }

    pub fn of(file: File) -> io::Result<Self> {
        let mut reader = Self { file, meta: 0, root: 0 };
        let head = reader.at(SUPER as u64, 44)?;
        reader.root = u64::from(u16_at(&head, 14));
        reader.meta = u64::from(u32_at(&head, 40)) * BLOCK;
        Ok(reader)
    }

    pub fn root(&self) -> io::Result<Node> {
        self.node(self.root)
    }

    /// What `name` is in a directory, if it is there.
    pub fn find(&self, directory: &Node, name: &[u8]) -> io::Result<Option<Node>> {
        // Names are sorted throughout: the last block that begins at or before
        // the name is the one to look into.
        let (mut low, mut high) = (0, directory.size.div_ceil(BLOCK));
        while low < high {
            let middle = low + (high - low) / 2;
            let block = self.block(directory, middle)?;
            let first = entries(&block).next().ok_or_else(damaged)?;
            match first.0 <= name {
                true if high - low == 1 => {
                    let found = entries(&block).find(|entry| entry.0 == name);
                    return found.map(|(_, nid)| self.node(nid)).transpose();
                }
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(None)
    }

    /// Content of a file or target of a symlink of at most `limit` bytes.
    pub fn content(&self, node: &Node, limit: u64) -> io::Result<Vec<u8>> {
        if node.size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::new();
        for index in 0..node.size.div_ceil(BLOCK) {
            content.extend(self.block(node, index)?);
        }
        Ok(content)
    }

    /// Whether a directory hides what lower layers have in it.
    pub fn is_opaque(&self, directory: &Node) -> io::Result<bool> {
        let length = directory.behind - directory.xattrs;
        if length <= XATTR_HEADER {
            return Ok(false);
        }
        let xattrs = self.at(directory.xattrs, length)?;
        let mut rest = &xattrs[XATTR_HEADER as usize..];
        while let [name_length, prefix, low, high, pairs @ ..] = rest {
            let name_length = usize::from(*name_length);
            let length = name_length + usize::from(u16::from_le_bytes([*low, *high]));
            let (name, value) = pairs
                .get(..length)
                .and_then(|pair| pair.split_at_checked(name_length))
                .ok_or_else(damaged)?;
            if (*prefix, name, value) == OPAQUE {
                return Ok(true);
            }
            rest = rest.get((4 + length).next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }

    fn node(&self, nid: u64) -> io::Result<Node> {
        let at =
            nid.checked_mul(SLOT).and_then(|n| n.checked_add(self.meta)).ok_or_else(damaged)?;
        let inode = self.at(at, INODE)?;
        let format = u16_at(&inode, 0);
        let words = u64::from(u16_at(&inode, 2));
        let xattrs = at + INODE;
        let length = if words == 0 { 0 } else { XATTR_HEADER + 4 * (words - 1) };
        Ok(Node {
            mode: u16_at(&inode, 4),
            layout: format >> 1,
            size: u64_at(&inode, 8),
            union: u32_at(&inode, 16),
            xattrs,
            behind: xattrs + length,
        })
    }

    /// One block of data, cut at its end.
    fn block(&self, node: &Node, index: u64) -> io::Result<Vec<u8>> {
        let length = (node.size - index * BLOCK).min(BLOCK);
        let place = match node.layout {
            INLINE if length < BLOCK => node.behind,
            PLAIN | INLINE => (u64::from(node.union) + index) * BLOCK,
            // In chunks: nothing that is looked up has holes.
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.at(place, length)
    }

    fn at(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        match file.take(length).read_to_end(&mut bytes)? as u64 == length {
            true => Ok(bytes),
            false => Err(damaged()),
        }
    }
}

/// Names and node numbers in a block of a directory; what is damaged ends it.
fn entries(block: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let first_name = block.get(8..10).map_or(0, |_| usize::from(u16_at(block, 8)));
    let count = (first_name / DIRENT).min(block.len() / DIRENT);
    (0..count).map_while(move |number| {
        let at = number * DIRENT;
        let start = usize::from(u16_at(block, at + 8));
        let end = match number + 1 < count {
            true => usize::from(u16_at(block, at + DIRENT + 8)),
            false => block.len(),
        };
        let name = block.get(start..end)?;
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        Some((&name[..length], u64_at(block, at)))
    })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the layer's disk image is damaged")
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}
