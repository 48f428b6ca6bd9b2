// SPDX-License-Identifier: Apache-2.0
//! The root file system: read-only EROFS layers below, a writable ext4 above,
//! overlayfs over both, and the move from the initramfs into it.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use mvm_proto::{Layer, MAX_LAYERS, RootFs};
use rustix::mount::{MountFlags, mount, mount_bind, mount_move};

use crate::devices;
use crate::error::{Failure, Step};
use crate::{inherit, mounts};

/// Where the parts are, in the initramfs: 127 of the first must fit into the
/// one page that mount(2) takes.
const LAYERS: &str = "/l";
const UPPER_DISK: &str = "/u";
const NEW_ROOT: &str = "/r";

/// discard: what the guest deletes goes back to the host's sparse file.
/// noinit_itable: the file is zeros already, and writing them would fill it.
/// Access times are the overlay's business (it ignores those flags here).
const UPPER_OPTIONS: &str = "discard,noinit_itable,errors=remount-ro";

/// Assembles the root in the initramfs and makes it this process's. Returns
/// the upper disk's file system, to be made clean at the end.
pub fn enter(config: &RootFs) -> Result<File, Failure> {
    let layers = mount_layers(&config.layers_device, &config.layers)?;
    let upper = mount_upper(&config.upper_device)?;
    let content = Path::new(UPPER_DISK).join("upper");
    make_directory(&content)?;
    let settled = Path::new(UPPER_DISK).join("settled");
    // What the VM has since made of its directories is its own affair.
    let first = !settled.exists();
    if let Some(top) = layers.last() {
        if first {
            // A directory in both has the upper's attributes, the root too.
            copy_attributes(top, &content)?;
        }
        mount_overlay(&layers, &content)?;
        if first {
            inherit::apply(&layers, &config.layers, Path::new(NEW_ROOT))?;
        }
    } else {
        mount_bind(&content, NEW_ROOT).step(|| "mount the upper disk as the root")?;
    }
    make_directory(&settled)?;
    switch()?;
    Ok(upper)
}

fn mount_layers(device: &str, layers: &[Layer]) -> Result<Vec<PathBuf>, Failure> {
    if layers.is_empty() {
        return Ok(Vec::new());
    }
    if layers.len() > MAX_LAYERS {
        let why = format!("{} of them, at most {MAX_LAYERS} can be", layers.len());
        return Err(Failure::invalid("mount the layers", why));
    }
    let path = devices::find(device)?;
    let disk = File::open(&path).step(|| format!("open {}", path.display()))?;
    let mut mounted = Vec::with_capacity(layers.len());
    for (number, layer) in (1..).zip(layers) {
        devices::add_partition(&disk, number, layer.offset, layer.length).step(|| {
            let (start, length) = (layer.offset, layer.length);
            format!("add layer {number} of {device}, {length} bytes from {start}")
        })?;
        let source = devices::partition_path(&path, number);
        let target = Path::new(LAYERS).join(number.to_string());
        make_directory(&target)?;
        mount(&source, &target, "erofs", MountFlags::RDONLY, None)
            .step(|| format!("mount layer {number} of {device}"))?;
        mounted.push(target);
    }
    Ok(mounted)
}

fn mount_upper(device: &str) -> Result<File, Failure> {
    let source = devices::find(device)?;
    let options = CString::new(UPPER_OPTIONS).step(|| "options of the upper disk")?;
    mount(&source, UPPER_DISK, "ext4", MountFlags::empty(), options.as_c_str())
        .step(|| format!("mount the upper disk {device}"))?;
    File::open(UPPER_DISK).step(|| "open the upper disk")
}

/// redirect_dir: renaming a directory of the image works, as on any disk,
/// instead of failing with EXDEV.
fn mount_overlay(layers: &[PathBuf], content: &Path) -> Result<(), Failure> {
    let work = Path::new(UPPER_DISK).join("work");
    make_directory(&work)?;
    let mut options = String::from("redirect_dir=on,lowerdir=");
    for (n, layer) in layers.iter().rev().enumerate() {
        options.push_str(if n == 0 { "" } else { ":" });
        options.push_str(&layer.to_string_lossy());
    }
    options.push_str(&format!(",upperdir={},workdir={}", content.display(), work.display()));
    let options = CString::new(options).step(|| "options of the overlay")?;
    mount("overlay", NEW_ROOT, "overlay", MountFlags::empty(), options.as_c_str())
        .step(|| format!("mount the overlay of {} layers", layers.len()))
}

/// The initramfs cannot be unmounted; it is covered and left. This program's
/// name stays there: only what has one can be mounted elsewhere (/dev/mvm).
fn switch() -> Result<(), Failure> {
    mounts::unmount_early()?;
    rustix::process::chdir(NEW_ROOT).step(|| "enter the new root")?;
    mount_move(".", "/").step(|| "move the new root")?;
    rustix::process::chroot(".").step(|| "change the root")?;
    rustix::process::chdir("/").step(|| "enter the root")
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::new(format!("make {}", path.display()), e))
        }
        _ => Ok(()),
    }
}

fn copy_attributes(from: &Path, to: &Path) -> Result<(), Failure> {
    let step = || "give the root the owner and mode of the top layer";
    let theirs = fs::metadata(from).step(step)?;
    chown(to, Some(theirs.uid()), Some(theirs.gid())).step(step)?;
    fs::set_permissions(to, Permissions::from_mode(theirs.mode() & 0o7777)).step(step)
}
