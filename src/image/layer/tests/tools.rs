// SPDX-License-Identifier: Apache-2.0
//! Images against the tools of EROFS itself.

use std::fs;
use std::process::Command;

use super::{Tar, named, skip};
use crate::image::layer::{Limits, convert};

pub(super) fn has(tool: &str) -> bool {
    Command::new(tool).arg("--help").output().is_ok()
}

/// Runs a tool that must succeed.
pub(super) fn run(command: &mut Command) {
    let output = command.output().expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

#[test]
fn fsck_finds_nothing() {
    if !has("fsck.erofs") {
        return skip("fsck.erofs is not installed (erofs-utils)");
    }
    let mut tar = Tar::new()
        .dir("d")
        .file("d/f", &[5; 10_000])
        .hardlink("d/g", "d/f")
        .symlink("s", "d/f")
        .symlink("long", &"t".repeat(3000))
        .file(".wh.gone", b"")
        .file("d/.wh..wh..opq", b"")
        .pax(&[("SCHILY.xattr.user.large", &[1; 9000]), ("SCHILY.xattr.user.b", b"2")])
        .file("x", b"");
    for n in 0..3000 {
        tar = tar.file(&format!("many/{n}"), b"");
    }
    let (kept, file) = named();
    convert(&tar.finished()[..], &file, &Limits::default()).expect("accepted");
    run(Command::new("fsck.erofs").arg(kept.path()));
    let into = tempfile::tempdir().expect("a temporary directory");
    let tree = into.path().join("tree");
    let extract = format!("--extract={}", tree.display());
    run(Command::new("fsck.erofs").args([&extract, "--no-preserve"]).arg(kept.path()));
    assert_eq!(fs::read(tree.join("d/g")).expect("extracted"), [5; 10_000]);
    assert_eq!(fs::read_dir(tree.join("many")).expect("extracted").count(), 3000);
    assert_eq!(fs::read_link(tree.join("long")).expect("extracted").as_os_str().len(), 3000);
}
