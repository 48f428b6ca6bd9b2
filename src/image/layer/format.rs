// SPDX-License-Identifier: Apache-2.0
//! The structures of an EROFS image (Linux, `fs/erofs/erofs_fs.h`) as bytes, little-endian.

use super::tree::{CHUNKED, INLINE, Inode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG};

/// Size of a block of the image.
pub(super) const BLOCK: u64 = 4096;
/// Unit in which inodes are numbered.
pub(super) const SLOT: u64 = 32;
/// Size of an inode with 64-bit times.
pub(super) const INODE: u64 = 64;
/// Size of a directory entry without its name.
pub(super) const DIRENT: usize = 12;
/// A chunk that is a hole.
pub(super) const HOLE: u32 = u32::MAX;

/// Where the superblock is in the first block.
pub(super) const SUPER: usize = 1024;
const MAGIC: u32 = 0xE0F5_E1E2;
const COMPAT_CHECKSUM_AND_MTIME: u32 = 0x3;
const INCOMPAT_CHUNKED: u32 = 0x4;

/// What the superblock says of an image.
pub(super) struct Super {
    pub(super) root_nid: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    pub(super) meta_block: u32,
    pub(super) uuid: [u8; 16],
    pub(super) chunked: bool,
    /// Fills the volume name.
    pub(super) label: [u8; 16],
}

impl Super {
    /// The first block of the image.
    pub(super) fn encode(&self) -> [u8; BLOCK as usize] {
        let mut block = [0; BLOCK as usize];
        let mut put = |at: usize, bytes: &[u8]| {
            block[SUPER + at..SUPER + at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPAT_CHECKSUM_AND_MTIME.to_le_bytes());
        put(12, &[BLOCK.trailing_zeros() as u8]);
        put(14, &self.root_nid.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.meta_block.to_le_bytes());
        put(48, &self.uuid);
        put(64, &self.label);
        if self.chunked {
            put(80, &INCOMPAT_CHUNKED.to_le_bytes());
        }
        let checksum = checksum(&block);
        block[SUPER + 4..SUPER + 8].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    /// Whether a first block is one of ours, and how many blocks the image has then.
    pub(super) fn blocks_of(block: &[u8; BLOCK as usize], label: &[u8; 16]) -> Option<u32> {
        let word = |at: usize| {
            let bytes = block[SUPER + at..].first_chunk::<4>().copied();
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        let ours = word(0) == MAGIC
            && word(4) == checksum(block)
            && &block[SUPER + 64..SUPER + 80] == label;
        ours.then(|| word(36))
    }
}

/// CRC-32C over the superblock and the rest of its block, the checksum itself taken as zero and
/// the end result not inverted.
fn checksum(block: &[u8; BLOCK as usize]) -> u32 {
    let mut crc = u32::MAX;
    for (at, &byte) in block[SUPER..].iter().enumerate() {
        crc ^= u32::from(if (4..8).contains(&at) { 0 } else { byte });
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    crc
}

/// An extended inode. `ino` is what 32-bit programs see as its number.
pub(super) fn inode(inode: &Inode, xattrs: usize, ino: u32, union: u32) -> [u8; INODE as usize] {
    let layout = match (inode.has(CHUNKED), inode.has(INLINE)) {
        (true, _) => 4,
        (_, true) => 2,
        _ => 0u16,
    };
    let xattr_words = match xattrs {
        0 => 0,
        bytes => (bytes - 12) as u16 / 4 + 1,
    };
    let mut out = [0; INODE as usize];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(layout << 1 | 1).to_le_bytes());
    put(2, &xattr_words.to_le_bytes());
    put(4, &inode.mode.to_le_bytes());
    put(8, &inode.size.to_le_bytes());
    put(16, &union.to_le_bytes());
    put(20, &ino.to_le_bytes());
    put(24, &inode.uid.to_le_bytes());
    put(28, &inode.gid.to_le_bytes());
    put(32, &inode.mtime.to_le_bytes());
    put(40, &inode.nsec.to_le_bytes());
    put(44, &inode.nlink.to_le_bytes());
    out
}

/// How Linux packs a device number in 32 bits; `None` if it does not fit.
pub(super) fn device((major, minor): (u64, u64)) -> Option<u32> {
    if major > 0xfff || minor > 0xf_ffff {
        return None;
    }
    let (major, minor) = (major as u32, minor as u32);
    Some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

/// The type code of a directory entry.
pub(super) fn file_type(inode: &Inode) -> u8 {
    match inode.kind() {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFLNK => 7,
        _ => 0,
    }
}
