// SPDX-License-Identifier: Apache-2.0
//! How much disk things take.

use std::fs;
use std::path::Path;

use crate::sys;

/// Bytes that a file, or all files below a directory, take on the disk. What
/// cannot be read, or goes meanwhile, counts as nothing.
pub fn allocated_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return sys::allocated_bytes(&metadata);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| allocated_bytes(&entry.path())).sum()
}
