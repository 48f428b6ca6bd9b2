// SPDX-License-Identifier: Apache-2.0
//! A root directory becomes an image, and comes out of it as it was.

#[allow(dead_code)]
#[path = "support/plain.rs"]
mod plain;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use plain::{Home, files};

/// Runs a tool that must succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output
}

/// All that a directory can hold comes out of the image as it went in.
#[cfg(unix)]
#[test]
fn a_root_directory() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let home = Home::new();
    let root = home.path().join("root");
    let long = "n".repeat(150);
    fs::create_dir_all(root.join("etc").join(&long)).unwrap();
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    fs::write(root.join("etc/file"), "text\n").unwrap();
    fs::set_permissions(root.join("etc/file"), PermissionsExt::from_mode(0o4750)).unwrap();
    fs::hard_link(root.join("etc/file"), root.join("etc/name")).unwrap();
    fs::write(root.join("etc").join(&long).join(&long), "deep").unwrap();
    symlink("/etc/".to_owned() + &long, root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    run(Command::new("mkfifo").arg(root.join("pipe")));
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let attribute = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::setxattr(root.join("etc/file"), "user.mvm", b"v", attribute);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(root.join("etc/file"), Some(3_000_000), Some(7)).unwrap();
        fs::set_permissions(root.join("etc/file"), PermissionsExt::from_mode(0o4750)).unwrap();
        run(Command::new("mknod").arg(root.join("null")).args(["c", "1", "3"]));
    }
    let source = format!("dir:{}", root.display());
    let id = home.mvm(["pull", "-q", &source]).ok();
    assert_eq!(home.mvm(["pull", "-q", &source]).ok(), id, "the same tree is the same image");
    assert_eq!(home.images(), [format!("<none>:<none> {}", id.trim())]);
    home.verify();

    // What tar makes of it again.
    let archive = home.path().join("saved.tar");
    home.mvm(["save", "--format=docker-archive", "-o", archive.to_str().unwrap(), id.trim()]).ok();
    let unpacked = home.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    run(Command::new("tar").arg("-C").arg(home.path()).arg("-xf").arg(&archive));
    let layer = files(home.path())
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "tar") && *f != archive);
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-pxf"]).arg(layer.unwrap());
    run(tar.arg("-C").arg(&unpacked));
    assert!(!unpacked.join("socket").exists(), "nobody would listen on it");
    fs::remove_file(root.join("socket")).unwrap();
    let list = |of: &Path| {
        let format = "%P %y %m %n %U %G %T@ %l %s\\n";
        let mut find = Command::new("find");
        find.arg(of).args(["-type", "d", "-printf", "%P %m %U %G\\n", "-o", "-printf", format]);
        let text = String::from_utf8(run(&mut find).stdout).unwrap();
        // Times are in whole seconds.
        let line = |line: &str| match line.split_once('.') {
            Some((start, rest)) => format!("{start} {}", rest.trim_start_matches(char::is_numeric)),
            None => line.to_owned(),
        };
        let mut lines: Vec<_> = text.lines().map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(list(&unpacked), list(&root));
    assert_eq!(fs::read(unpacked.join("etc/name")).unwrap(), b"text\n");
    assert!(fs::metadata(unpacked.join("pipe")).unwrap().file_type().is_fifo());
    let attribute = |of: &Path| {
        let mut value = [0; 8];
        rustix::fs::getxattr(of.join("etc/file"), "user.mvm", &mut value[..]).map(|_| value)
    };
    assert_eq!(attribute(&unpacked), attribute(&root));

    fs::write(root.join("etc/.wh.file"), "").unwrap();
    home.mvm(["pull", &source]).refused("means a removed file");
    home.mvm(["pull", &format!("dir:{}/link", root.display())]).refused("does not exist");
    home.mvm(["pull", &format!("dir:{}/etc/file", root.display())]).refused("is no directory");
    home.verify();
}
