// SPDX-License-Identifier: Apache-2.0
//! The guest's initramfs, built by the build script and carried in this
//! program: one file to install. Hypervisors want a file, so it is written to
//! the cache once, under the name of its content.

use std::io;
use std::path::{Path, PathBuf};

use crate::state::{make_private_dir, replace_file};

/// An uncompressed cpio archive with mvm-init.
pub static INITRAMFS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/initramfs"));

/// SHA-256 of `INITRAMFS` in hexadecimal.
pub const DIGEST: &str = env!("MVM_INITRAMFS_DIGEST");

/// The initramfs as a file in `cache`, which is made if it is missing.
pub fn path(cache: &Path) -> io::Result<PathBuf> {
    let path = cache.join(format!("initramfs-{DIGEST}"));
    // A file of this name was renamed into place whole; another length is
    // another's doing.
    let whole = |file: std::fs::Metadata| file.is_file() && file.len() == INITRAMFS.len() as u64;
    if !path.metadata().is_ok_and(whole) {
        make_private_dir(cache)?;
        replace_file(&path, INITRAMFS)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_once_and_again_if_it_is_cut() {
        let cache = tempfile::tempdir().unwrap();
        let directory = cache.path().join("made");
        let first = path(&directory).unwrap();
        let written = first.metadata().unwrap().modified().unwrap();
        assert_eq!(std::fs::read(&first).unwrap(), INITRAMFS);
        assert_eq!(path(&directory).unwrap(), first);
        assert_eq!(first.metadata().unwrap().modified().unwrap(), written);
        std::fs::write(&first, b"cut").unwrap();
        path(&directory).unwrap();
        assert_eq!(std::fs::read(&first).unwrap(), INITRAMFS);
    }
}
