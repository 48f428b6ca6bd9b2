// SPDX-License-Identifier: Apache-2.0
//! A real layer against what `umoci` unpacks of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::reader::{Image, Node};
use super::tools::{has, run};
use super::{image_bytes, skip};
use crate::image::layer::Limits;

/// Compares a real layer entry by entry with what `umoci` unpacks. `MVM_TEST_LAYER` names the
/// tar of one, such as `mmdebstrap --variant=minbase bookworm layer.tar` makes.
#[test]
fn a_real_layer_is_what_umoci_unpacks() {
    let Some(layer) = std::env::var_os("MVM_TEST_LAYER") else {
        return skip("MVM_TEST_LAYER names no layer");
    };
    if !rustix::process::geteuid().is_root() {
        return skip("needs root to unpack with owners");
    }
    if !has("umoci") {
        return skip("umoci is not installed");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (oci, tree) = (dir.path().join("oci"), dir.path().join("tree"));
    let image = format!("{}:x", oci.display());
    run(Command::new("umoci").arg("init").arg("--layout").arg(&oci));
    run(Command::new("umoci").args(["new", "--image", &image]));
    run(Command::new("umoci").args(["raw", "add-layer", "--image", &image]).arg(&layer));
    run(Command::new("umoci").args(["raw", "unpack", "--image", &image]).arg(&tree));
    let tar = fs::read(layer).expect("the layer");
    let (bytes, _) = image_bytes(&tar, &Limits::default()).expect("accepted");
    let ours = Image::read(bytes).nodes;
    let mut theirs = BTreeMap::new();
    walk(&tree, &mut Vec::new(), &mut theirs);
    let names = |nodes: &BTreeMap<Vec<u8>, Node>| nodes.keys().cloned().collect::<Vec<_>>();
    assert!(names(&ours) == names(&theirs));
    for (path, ours) in &ours {
        let theirs = &theirs[path];
        // Numbers of inodes differ; sizes of directories are each file system's own.
        let mut ours = ours.clone();
        ours.nid = theirs.nid;
        if ours.is(0o040_000) {
            ours.size = theirs.size;
        }
        assert!(ours == *theirs, "{}: {ours:?} {theirs:?}", path.escape_ascii());
    }
    println!("compared {} entries", theirs.len());
}

fn walk(dir: &Path, path: &mut Vec<u8>, found: &mut BTreeMap<Vec<u8>, Node>) {
    let meta = fs::symlink_metadata(dir).expect("metadata");
    let mode = meta.mode() as u16;
    let data = match mode >> 12 {
        8 => fs::read(dir).expect("content"),
        10 => fs::read_link(dir).expect("target").as_os_str().as_bytes().to_vec(),
        _ => Vec::new(),
    };
    let mut xattrs = BTreeMap::new();
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(dir, &mut names).expect("attributes");
    for name in names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(dir, name, &mut value).expect("attribute");
        value.truncate(length);
        xattrs.insert(name.to_vec(), value);
    }
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let node = Node {
        nid: 0,
        mode,
        uid: meta.uid(),
        gid: meta.gid(),
        nlink: meta.nlink() as u32,
        mtime: (meta.mtime(), meta.mtime_nsec() as u32),
        size: meta.size(),
        device: minor & 0xff | major << 8 | (minor & !0xff) << 12,
        xattrs,
        data,
        holes: Vec::new(),
        chunk: 0,
    };
    found.insert(path.clone(), node);
    if mode >> 12 == 4 {
        for entry in fs::read_dir(dir).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            walk(&dir.join(name), path, found);
            path.truncate(length);
        }
    }
}
