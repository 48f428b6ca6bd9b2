// SPDX-License-Identifier: Apache-2.0
//! The writable disk of a VM: a sparse ext4 image. An empty one of each size is
//! made once and copied from then on, holes and all, which takes milliseconds
//! whatever the size.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mkext4::sink::RegionSink;
use mkext4::{FsBuilder, Options};

use crate::state::make_private_dir;
use crate::sys;

/// Sizes that make sense: an ext4 with a journal, and what its block numbers
/// of 32 bits can hold.
pub const MIN_MIB: u64 = 64;
pub const MAX_MIB: u64 = 16 << 20;
/// 64 GiB, sparse.
pub const DEFAULT_MIB: u64 = 64 << 10;

/// Part of a template's name: raised when what is written changes.
const FORMAT: &str = "ext4-2";

/// Makes an empty disk of `mib` MiB at `path`. `templates` is a directory that
/// all VMs of a store share.
pub fn create(path: &Path, mib: u64, templates: &Path) -> io::Result<()> {
    let template = template(mib, templates)?;
    sys::copy_sparse(&template, path)
}

fn template(mib: u64, templates: &Path) -> io::Result<PathBuf> {
    let path = templates.join(format!("{FORMAT}-{mib}.img"));
    if path.exists() {
        return Ok(path);
    }
    make_private_dir(templates)?;
    let temporary = templates.join(format!(".{FORMAT}-{mib}.{}.new", std::process::id()));
    let made = format(&temporary, mib)
        .and_then(|()| File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, &path));
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made.map(|()| path)
}

fn format(path: &Path, mib: u64) -> io::Result<()> {
    // The UUID tells nobody anything: the disk is the VM's only ext4.
    let mut options = Options::new(mib << 20, *b"mvm-upper-disk\0\0", 0);
    options.reserved_percent = 0;
    options.label = Some("mvm-upper".into());
    let layout = FsBuilder::new(options).and_then(FsBuilder::seal).map_err(io::Error::other)?;
    let file = File::create(path)?;
    file.set_len(layout.image_len())?;
    let mut sink = SparseFile(file);
    let writer = layout.writer(&mut sink).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(())
}

/// A new file of the image's length, all hole: zeros need no writing, and most
/// of the bitmaps are zeros. (The crate's own sink is for Unix only.)
struct SparseFile(File);

/// The file system's block: what a hole may be as small as.
const BLOCK: usize = 4096;

impl RegionSink for SparseFile {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        for block in bytes.chunks(BLOCK) {
            if block.iter().any(|&byte| byte != 0) {
                self.0.seek(SeekFrom::Start(at))?;
                self.0.write_all(block)?;
            }
            at += block.len() as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_sparse_sound_and_quick() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("upper.img");
        create(&path, DEFAULT_MIB, &dir.path().join("templates")).unwrap();
        let begun = std::time::Instant::now();
        fs::remove_file(&path).unwrap();
        create(&path, DEFAULT_MIB, &dir.path().join("templates")).unwrap();
        eprintln!("64 GiB upper disk in {:?}", begun.elapsed());
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), DEFAULT_MIB << 20);
        #[cfg(unix)]
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 1 << 20);
        let check = std::process::Command::new("e2fsck").arg("-fn").arg(&path).output();
        match check {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(e) => crate::skip::skip_because(&format!("e2fsck cannot be run: {e}")),
        }
    }
}
