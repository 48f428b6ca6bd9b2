// SPDX-License-Identifier: Apache-2.0
//! Lays the finished tree out behind the file data and writes it: blocks of directories first,
//! then the inodes with what fits behind them, the superblock last.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

use super::Summary;
use super::build::Builder;
use super::data::{Chunks, Data, PlacedRun};
use super::dirs::{Directory, Listing};
use super::error::{LayerError, Name};
use super::format::{self, BLOCK, HOLE, INODE, SLOT, Super};
use super::sink::Sink;
use super::tree::{
    CHUNKED, FAR_TARGET, INLINE, Ino, Inode, OPAQUE, ROOT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK,
    S_IFREG, Tree,
};
use super::xattr::Xattrs;

/// The root stands at the second inode's place, so that no inode has number zero.
const FIRST: u64 = INODE;

/// Writes everything but file data, which is in the image already, and tells what it holds.
pub(super) fn finish(
    mut builder: Builder<'_>,
    out: &File,
    label: [u8; 16],
) -> Result<Summary, LayerError> {
    let mut listing = Listing::new(&mut builder.tree);
    let Builder { mut tree, xattrs, data, entries, .. } = builder;
    let Data { mut sink, chunks, runs, used, .. } = data;
    let first_block = sink.align()?;
    let layout = Layout::new(&mut tree, &xattrs, &listing, &chunks, first_block)?;
    let mut writer = Writer {
        tree: &tree,
        xattrs: &xattrs,
        listing: &listing,
        chunks: &chunks,
        runs: &runs,
        start: layout.meta_block * BLOCK,
        sink: &mut sink,
        hash: Sha256::new(),
        bytes: Vec::new(),
    };
    writer.blocks()?;
    writer.inodes()?;
    let hash = writer.hash.finalize();
    let blocks = sink.align()?;
    sink.flush()?;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    // RFC 9562: a UUID of a vendor's own kind.
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let superblock = Super {
        root_nid: (FIRST / SLOT) as u16,
        inodes: listing.order.len() as u64,
        blocks: block_number(blocks)?,
        meta_block: block_number(layout.meta_block)?,
        uuid,
        chunked: !chunks.is_empty(),
        label,
    };
    let mut file = out;
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.write_all(&superblock.encode()))
        .map_err(LayerError::Write)?;
    Ok(Summary {
        entries,
        inodes: listing.order.len() as u64,
        whiteouts: listing.whiteouts,
        data_bytes: used,
        image_bytes: blocks * BLOCK,
        dropped_xattrs: xattrs.dropped,
        root_opaque: tree.inode(ROOT).has(OPAQUE),
        implied_dirs: std::mem::take(&mut listing.implied),
    })
}

fn block_number(block: u64) -> Result<u32, LayerError> {
    u32::try_from(block).map_err(|_| LayerError::Limit {
        entry: Name::new(b"the layer's directories"),
        what: "blocks",
        max: u64::from(u32::MAX),
    })
}

/// Room behind an inode, in the same block, for the tail of its data.
pub(super) fn fits_inline(head: u64, tail: u64) -> bool {
    tail > 0 && head + tail <= BLOCK
}

fn head_len(inode: &Inode, xattrs: &Xattrs) -> u64 {
    INODE + xattrs.encoded_len(inode.xattrs, inode.has(OPAQUE)) as u64
}

/// Bytes of data that stand in blocks in front of the inodes or behind the inode: those of
/// directories, and of symlinks that were found to fit behind theirs.
fn near_data(inode: &Inode) -> u64 {
    match inode.kind() {
        S_IFDIR => inode.size,
        S_IFLNK if !inode.has(FAR_TARGET) => inode.size,
        _ => 0,
    }
}

struct Layout {
    /// The block where the inodes begin.
    meta_block: u64,
}

impl Layout {
    /// Gives every inode its place, and every directory its size and blocks.
    fn new(
        tree: &mut Tree,
        xattrs: &Xattrs,
        listing: &Listing,
        chunks: &[Chunks],
        first_block: u64,
    ) -> Result<Self, LayerError> {
        let mut block = first_block;
        let mut at = FIRST;
        for &ino in &listing.order {
            let mut inode = *tree.inode(ino);
            if inode.is_dir() {
                inode.size = Directory::new(tree, listing, ino).size();
            }
            let mut length = head_len(&inode, xattrs);
            let near = near_data(&inode);
            if near > 0 {
                if inode.is_dir() {
                    inode.addr = block_number(block)?;
                }
                if fits_inline(length, near % BLOCK) {
                    inode.flags |= INLINE;
                    length += near % BLOCK;
                    block += near / BLOCK;
                } else {
                    block += near.div_ceil(BLOCK);
                }
            }
            let aligned = at.next_multiple_of(BLOCK);
            // Short ones stay in one block; of long ones the fixed part does.
            if at + length.min(BLOCK) > aligned && (length <= BLOCK || at + INODE > aligned) {
                at = aligned;
            }
            inode.nid = u32::try_from(at / SLOT).map_err(|_| too_many_inodes())?;
            at += length;
            if inode.has(CHUNKED) {
                at += index_len(&inode, chunks);
            }
            at = at.next_multiple_of(SLOT);
            *tree.inode_mut(ino) = inode;
        }
        Ok(Self { meta_block: block })
    }
}

fn too_many_inodes() -> LayerError {
    LayerError::Limit {
        entry: Name::new(b"the layer's directories"),
        what: "bytes of inodes",
        max: u64::from(u32::MAX) * SLOT,
    }
}

fn index_len(inode: &Inode, chunks: &[Chunks]) -> u64 {
    let bits = chunks[inode.addr as usize].bits;
    inode.size.div_ceil(BLOCK << bits) * 4
}

struct Writer<'w, 'a> {
    tree: &'w Tree,
    xattrs: &'w Xattrs,
    listing: &'w Listing,
    chunks: &'w [Chunks],
    runs: &'w [PlacedRun],
    /// Where the inodes begin.
    start: u64,
    sink: &'w mut Sink<'a>,
    hash: Sha256,
    bytes: Vec<u8>,
}

impl Writer<'_, '_> {
    /// The blocks in front of the inodes, in the order in which they were laid out.
    fn blocks(&mut self) -> Result<(), LayerError> {
        for &ino in &self.listing.order {
            let inode = self.tree.inode(ino);
            let mut left = near_data(inode);
            if inode.has(INLINE) {
                left -= left % BLOCK;
            }
            if left == 0 {
                continue;
            }
            let mut blocks = Directory::new(self.tree, self.listing, ino);
            while left > 0 {
                self.bytes.clear();
                blocks.next_block(&mut self.bytes);
                self.bytes.resize(BLOCK as usize, 0);
                self.put()?;
                left = left.saturating_sub(BLOCK);
            }
        }
        Ok(())
    }

    fn inodes(&mut self) -> Result<(), LayerError> {
        for (number, &ino) in self.listing.order.iter().enumerate() {
            let inode = self.tree.inode(ino);
            let place = self.start + u64::from(inode.nid) * SLOT;
            self.sink.zeros(place - self.sink.position())?;
            let opaque = inode.has(OPAQUE);
            let xattrs = self.xattrs.encoded(inode.xattrs, opaque);
            let union = match inode.kind() {
                S_IFREG if inode.has(CHUNKED) => self.chunks[inode.addr as usize].bits,
                S_IFREG | S_IFCHR | S_IFBLK | S_IFDIR => inode.addr,
                S_IFLNK if inode.has(FAR_TARGET) => inode.addr,
                _ => 0,
            };
            self.bytes.clear();
            let fixed = format::inode(inode, xattrs.len(), number as u32 + 1, union);
            self.bytes.extend_from_slice(&fixed);
            self.bytes.extend_from_slice(&xattrs);
            if inode.has(INLINE) {
                self.tail(ino, inode);
            }
            self.put()?;
            if inode.has(CHUNKED) {
                self.index(inode)?;
            }
        }
        Ok(())
    }

    fn tail(&mut self, ino: Ino, inode: &Inode) {
        if inode.kind() == S_IFLNK {
            self.bytes.extend_from_slice(self.tree.link_target(inode));
            return;
        }
        let mut blocks = Directory::new(self.tree, self.listing, ino);
        blocks.skip_blocks(inode.size / BLOCK);
        blocks.next_block(&mut self.bytes);
    }

    /// The block number of each chunk of a sparse file.
    fn index(&mut self, inode: &Inode) -> Result<(), LayerError> {
        let Chunks { bits, first_run, runs } = &self.chunks[inode.addr as usize];
        let per_chunk = 1u64 << bits;
        let mut runs = self.runs[*first_run..first_run + runs].iter().peekable();
        self.bytes.clear();
        for chunk in 0..inode.size.div_ceil(BLOCK << bits) {
            while runs.peek().is_some_and(|run| u64::from(run.end) <= chunk) {
                runs.next();
            }
            let addr = match runs.peek() {
                Some(run) if u64::from(run.start) <= chunk => {
                    block_number(u64::from(run.addr) + (chunk - u64::from(run.start)) * per_chunk)?
                }
                _ => HOLE,
            };
            self.bytes.extend_from_slice(&addr.to_le_bytes());
            if self.bytes.len() >= 1 << 16 {
                self.put()?;
                self.bytes.clear();
            }
        }
        self.put()
    }

    fn put(&mut self) -> Result<(), LayerError> {
        self.hash.update(&self.bytes);
        self.sink.write(&self.bytes)
    }
}
