// SPDX-License-Identifier: Apache-2.0
//! One layer's tar stream becomes one read-only EROFS image, in process and in one pass.
//!
//! The rules for entries that disagree, and why the image looks as it does, are in
//! `docs/LAYERS.md`. This knows nothing of images, registries or other layers.

mod build;
mod data;
mod dirs;
mod error;
mod format;
mod image;
mod index;
mod path;
mod read;
mod resolve;
mod sink;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;
mod xattr;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

pub use error::{LayerError, Name};
pub use read::{Node, Reader};

use mvm_files::archive::Entries;

use build::Builder;
use format::{BLOCK, Super};
use sink::Sink;

/// Names the image's layout. Part of the key under which an image is stored: it changes when
/// the same tar gives other bytes.
pub const FORMAT: &str = "erofs-1";

/// What one layer may ask for before it is refused. Memory is 64 MiB and 256 bytes per entry
/// (names and symlink targets of more than 150 bytes on average come on top).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Entries of the tar, and likewise names and inodes of the image, which missing parent
    /// directories add to.
    pub max_entries: u64,
    /// Bytes of file data in the image, and of what may follow the archive in the stream.
    pub max_bytes: u64,
    /// Bytes of one path.
    pub max_path: usize,
    /// Bytes of all distinct sets of extended attributes, which stay in memory.
    pub max_xattr_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 10_000_000,
            max_bytes: 256 << 30,
            max_path: 4096,
            max_xattr_bytes: 32 << 20,
        }
    }
}

/// What a layer was found to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Entries of the tar.
    pub entries: u64,
    /// Inodes of the image.
    pub inodes: u64,
    /// Whiteouts of the image.
    pub whiteouts: u64,
    /// Bytes of the image taken by file data, in whole blocks.
    pub data_bytes: u64,
    /// Size of the image, a multiple of 4096.
    pub image_bytes: u64,
    /// Extended attributes left out.
    pub dropped_xattrs: u64,
    /// The root is opaque: the layers below must not be mounted at all, since overlayfs does
    /// not look for this mark on the root of a layer.
    pub root_opaque: bool,
    /// Directories (paths without a leading slash) that the tar has no entry for, though
    /// something lies in them. They are 0755 and root's here, but ought to look as in the
    /// nearest layer below that has them; overlayfs shows the uppermost. Parents come before
    /// what is in them; the list ends at 1 MiB of paths.
    pub implied_dirs: Vec<Vec<u8>>,
}

/// Reads one uncompressed layer tar to the end of the stream and writes a whole image to `out`,
/// a fresh, empty file that can seek. Fsync and naming are the caller's; after an error what is
/// in `out` is no image. The same tar always gives the same bytes.
///
/// # Errors
/// [`LayerError`]: the stream or the file failed, or the tar is damaged, breaks a rule or a limit.
pub fn convert(tar: impl Read, out: &File, limits: &Limits) -> Result<Summary, LayerError> {
    let mut sink = Sink::new(out);
    // Room for the superblock, which is written last, so that half an image is none.
    sink.zeros(BLOCK)?;
    let mut entries = Entries::new(tar);
    let mut builder = Builder::new(sink, limits);
    while let Some(entry) = entries.next()? {
        builder.apply(&entry, &mut entries)?;
    }
    entries.drain(limits.max_bytes)?;
    drop(entries);
    image::finish(builder, out, label())
}

/// Whether a file is an image that this version wrote to its end: superblock, checksum, format
/// and size. Reads one block and moves the file's position.
///
/// # Errors
/// Reading failed, other than by the end of the file.
pub fn looks_whole(mut file: &File) -> io::Result<bool> {
    let mut block = [0; BLOCK as usize];
    file.seek(SeekFrom::Start(0))?;
    match file.read_exact(&mut block) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        done => done?,
    }
    let size = file.seek(SeekFrom::End(0))?;
    let blocks = Super::blocks_of(&block, &label());
    Ok(blocks.is_some_and(|blocks| u64::from(blocks) * BLOCK == size))
}

/// The format's name as the image's volume name.
fn label() -> [u8; 16] {
    let mut label = [0; 16];
    let name = FORMAT.as_bytes();
    label[..name.len()].copy_from_slice(name);
    label
}
