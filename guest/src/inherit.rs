// SPDX-License-Identifier: Apache-2.0
//! Attributes of directories that a layer names things in without an entry for
//! them. Overlayfs shows the uppermost directory's own, so that a layer with
//! `tmp/x` and no `tmp/` would make 0755 of 1777; here they get those of the
//! nearest layer below that has an entry, as container runtimes unpack them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mvm_proto::Layer;
use rustix::fs::{
    CWD, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, fchmod, fchown, fstat,
    futimens, openat2,
};
use rustix::io::Errno;

use crate::error::{Failure, Step};

/// Copies attributes where the uppermost layer that has a directory only
/// implies it. `mounted` are the layers, bottom first, as `table`; `root` is
/// the overlay of them all. A directory that is inherited is copied up.
pub fn apply(mounted: &[PathBuf], table: &[Layer], root: &Path) -> Result<(), Failure> {
    let implied: Vec<BTreeSet<&[u8]>> =
        table.iter().map(|layer| layer.implied_dirs.iter().map(Vec::as_slice).collect()).collect();
    let all: BTreeSet<&[u8]> = implied.iter().flatten().copied().collect();
    // In order of names: parents come before what is in them.
    for path in all {
        if let Some(source) = source(mounted, &implied, path) {
            let shown = String::from_utf8_lossy(path).into_owned();
            copy(&source, root, path).step(|| format!("give {shown} its attributes"))?;
        }
    }
    Ok(())
}

/// The directory in the nearest layer that has an entry for it, below one
/// that only implies it.
fn source(mounted: &[PathBuf], implied: &[BTreeSet<&[u8]>], path: &[u8]) -> Option<OwnedFd> {
    let mut implied_above = false;
    for (layer, implied) in mounted.iter().zip(implied).rev() {
        match open(layer, path) {
            Ok(_) if implied.contains(path) => implied_above = true,
            Ok(directory) => return implied_above.then_some(directory),
            // Not in this layer: the next one may have it.
            Err(Errno::NOENT) => {}
            // Something else in its place hides what is below.
            Err(_) => return None,
        }
    }
    None
}

fn copy(source: &OwnedFd, root: &Path, path: &[u8]) -> Result<(), Errno> {
    let target = match open(root, path) {
        Ok(target) => target,
        // Removed or replaced by a layer above.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let theirs = fstat(source)?;
    fchown(&target, Some(Uid::from_raw(theirs.st_uid)), Some(Gid::from_raw(theirs.st_gid)))?;
    fchmod(&target, Mode::from_raw_mode(theirs.st_mode))?;
    let seconds = |tv_sec, nanoseconds| Timespec {
        tv_sec,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    futimens(
        &target,
        &Timestamps {
            last_access: seconds(theirs.st_atime, theirs.st_atime_nsec),
            last_modification: seconds(theirs.st_mtime, theirs.st_mtime_nsec),
        },
    )
}

/// A directory by its path below `base`, through no symlink: in another layer
/// the same name may be one.
fn open(base: &Path, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::openat(CWD, base, flags, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(&base, OsStr::from_bytes(path), flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn directory(layer: &Path, path: &str, mode: u32) {
        fs::create_dir_all(layer.join(path)).unwrap();
        fs::set_permissions(layer.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn implies(path: &str) -> Layer {
        Layer { implied_dirs: vec![path.into()], ..Layer::default() }
    }

    /// Layers as directories; the "overlay" is one more that has every path.
    #[test]
    fn attributes_come_from_the_nearest_entry_below() {
        let home = tempfile::tempdir().unwrap();
        let layer = |name: &str| {
            let path = home.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (low, middle, top, root) = (layer("0"), layer("1"), layer("2"), layer("r"));
        for base in [&low, &root] {
            directory(base, "tmp", if base == &low { 0o1777 } else { 0o755 });
            directory(base, "own", if base == &low { 0o700 } else { 0o755 });
        }
        directory(&middle, "tmp", 0o755);
        directory(&middle, "own", 0o755);
        directory(&top, "own", 0o750);
        std::os::unix::fs::symlink("own", root.join("link")).unwrap();
        directory(&low, "link", 0o777);
        directory(&middle, "link", 0o755);
        let mut implied = implies("tmp");
        implied.implied_dirs.extend([b"own".to_vec(), b"link".to_vec(), b"gone".to_vec()]);
        let table = [Layer::default(), implied, Layer::default()];
        apply(&[low, middle, top], &table, &root).unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o7777;
        assert_eq!(mode("tmp"), 0o1777);
        assert_eq!(mode("own"), 0o755, "the top layer has an entry: nothing is inherited");
        assert!(fs::symlink_metadata(root.join("link")).unwrap().is_symlink());
    }
}
