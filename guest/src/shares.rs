// SPDX-License-Identifier: Apache-2.0
//! Directories and files of the host in the guest. Their devices are mounted in
//! the initramfs, where the image has no say; what is to be seen of them is
//! cloned off, and put into its place once the new root is entered, so that no
//! link of the image leads out of it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use mvm_proto::Share;
use mvm_proto::share::Kind;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, move_mount,
    open_tree, unmount,
};

use crate::error::{Failure, Step};
use crate::mounts::make_directories;
use crate::tmpfs::depth;

/// Where the devices are mounted in the initramfs, by their tags.
const DEVICES: &str = "/s";

/// The most that 9p over virtio carries in a message: 125 pages of its 128
/// descriptors, in bytes with the header's allowance that the kernel makes.
const NINE_P_MESSAGE: u32 = 512_000;

/// A volume of the workload on its way into the new root.
pub struct Volume {
    target: PathBuf,
    /// `None`: a directory of the VM's own disk.
    tree: Option<Tree>,
}

/// A mount that is nowhere yet.
struct Tree {
    mount: OwnedFd,
    is_directory: bool,
}

/// Mounts the devices, in the initramfs.
pub fn open(shares: &[Share]) -> Result<Vec<Volume>, Failure> {
    let mut devices = BTreeMap::new();
    for share in shares.iter().filter(|share| !is_own(share)) {
        // A device is writable if anything on it is.
        let read_only = devices.entry(&*share.tag).or_insert((share, true));
        read_only.1 &= share.read_only;
    }
    for (share, read_only) in devices.values() {
        mount_device(share, *read_only)?;
    }
    let volumes = shares.iter().map(Volume::open).collect::<Result<Vec<_>, _>>()?;
    for tag in devices.keys() {
        // The clones hold it.
        let path = Path::new(DEVICES).join(tag);
        unmount(&path, UnmountFlags::DETACH).step(|| format!("let go of the share {tag}"))?;
    }
    Ok(volumes)
}

fn is_own(share: &Share) -> bool {
    share.kind.enum_value_or_default() == Kind::OWN_DISK
}

fn mount_device(share: &Share, read_only: bool) -> Result<(), Failure> {
    let step = || format!("mount the share {}", share.tag);
    let (kind, options) = match share.kind.enum_value_or_default() {
        Kind::NINE_P => {
            // mmap: close-to-open consistency with the host, and writable shared
            // mappings, which databases need and none refuses. But what is
            // known of a file is forgotten with its name, which a file that is
            // mounted keeps: there the host's changes would never be seen.
            let cache = if share.file { "none" } else { "mmap" };
            let options = "trans=virtio,version=9p2000.L";
            ("9p", format!("{options},msize={NINE_P_MESSAGE},cache={cache}"))
        }
        Kind::VIRTIO_FS => ("virtiofs", String::new()),
        Kind::OWN_DISK => return Ok(()),
    };
    let mut flags = MountFlags::NODEV;
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    let path = Path::new(DEVICES).join(one_name(&share.tag).step(step)?);
    make_directories(&path)?;
    let options = CString::new(options).step(step)?;
    mount(&share.tag, &path, kind, flags, options.as_c_str()).step(step)
}

/// A name without a path in it.
fn one_name(name: &str) -> io::Result<&str> {
    match Path::new(name).components().collect::<Vec<_>>()[..] {
        [Component::Normal(only)] if only == name => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name"))),
    }
}

impl Volume {
    fn open(share: &Share) -> Result<Self, Failure> {
        let target = PathBuf::from(OsStr::from_bytes(&share.target));
        let step = || format!("open the volume for {}", target.display());
        if !target.is_absolute() {
            return Err(Failure::invalid(step(), "its target is not an absolute path"));
        }
        if is_own(share) {
            return Ok(Self { target, tree: None });
        }
        let mut source = Path::new(DEVICES).join(&share.tag);
        if !share.name.is_empty() {
            source.push(one_name(&share.name).step(step)?);
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let mount = open_tree(CWD, &source, flags).step(step)?;
        let is_directory =
            File::from(mount.try_clone().step(step)?).metadata().step(step)?.is_dir();
        Ok(Self { target, tree: Some(Tree { mount, is_directory }) })
    }

    /// How deep its target is: see `tmpfs::depth`.
    pub fn depth(&self) -> usize {
        depth(self.target.as_os_str().as_bytes())
    }

    /// Puts it where the workload wants it, in the new root.
    pub fn attach(&self) -> Result<(), Failure> {
        let target = &*self.target;
        let step = || format!("mount a volume at {}", target.display());
        let Some(tree) = &self.tree else {
            make_directory(target)?;
            return mount_bind(target, target).step(step);
        };
        match tree.is_directory {
            true => make_directory(target)?,
            false => make_file(target)?,
        }
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
        move_mount(&tree.mount, "", CWD, target, flags).step(step)
    }
}

/// Something to mount a directory on.
fn make_directory(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(Failure::invalid(
            format!("mount a directory at {}", path.display()),
            "it is a file in the image",
        )),
        _ => make_directories(path),
    }
}

/// Something to mount a file on.
fn make_file(path: &Path) -> Result<(), Failure> {
    let step = || format!("mount a file at {}", path.display());
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Failure::invalid(step(), "it is a directory in the image"))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make_directories)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o644);
            options.open(path).map(drop).step(step)
        }
        Err(e) => Err(Failure::new(step(), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(one_name("v0").is_ok() && one_name("with,comma and space").is_ok());
        for bad in ["", ".", "..", "/", "a/b", "../x", "a/", "./a"] {
            assert!(one_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_made_where_a_file_can_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/deep/app.json");
        make_file(&path).unwrap();
        fs::write(&path, "kept").unwrap();
        make_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        let error = make_file(directory.path()).unwrap_err().to_string();
        assert!(error.contains("directory in the image"), "{error}");
        let error = make_directory(&path).unwrap_err().to_string();
        assert!(error.contains("file in the image"), "{error}");
        assert!(make_file(&path.join("below")).is_err());
    }
}
