// SPDX-License-Identifier: Apache-2.0
//! Files over SSH: scp, sftp, and what rsync and git make of a session.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bytes;
use crate::openssh::{OpenSsh, expect, fed};
use crate::support::Home;

pub fn files(home: &Home, openssh: &OpenSsh) {
    let tree = home.path().join("tree");
    fs::create_dir_all(tree.join("sub")).expect("a directory");
    let all = bytes(2_000_000);
    fs::write(tree.join("sub/bytes"), &all).expect("a file");
    let back = home.path().join("back");
    let (tree, back_text) = (tree.to_str().expect("a name"), back.to_str().expect("a name"));
    expect(&openssh.run("scp", ["-r", "-p", tree, "root@box:/root/"]), 0, "");
    expect(&openssh.run("ssh", ["root@box", "wc -c < /root/tree/sub/bytes"]), 0, "2000000\n");
    expect(&openssh.run("scp", ["root@box:tree/sub/bytes", back_text]), 0, "");
    assert!(fs::read(&back).expect("the copy") == all);
    // As a user, with a user's rights.
    let refused = openssh.run("scp", [back_text, "box:/etc/mine"]);
    assert!(!refused.status.success());
    let batch =
        b"mkdir /tmp/d\nls -l /tmp\nput /etc/hostname /tmp/d/x\nchmod 600 /tmp/d/x\n".to_vec();
    let session = fed(openssh.command("sftp").args(["-b", "-", "box"]), batch);
    assert!(session.status.success(), "{}", String::from_utf8_lossy(&session.stderr));
    let line = "stat -c '%u %a' /tmp/d/x";
    expect(&openssh.run("ssh", ["box", line]), 0, "1000 600\n");
}

/// Brings a program of the host's into the VM, with the libraries that it was
/// made for: no image has it. What starts it there.
fn bring(openssh: &OpenSsh, program: &str) -> String {
    let path = format!("/usr/bin/{program}");
    let libraries = Command::new("ldd").arg(&path).output().expect("ldd");
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let mut from: Vec<String> =
        text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    from.push(path);
    let directory = format!("/opt/{program}");
    expect(&openssh.run("ssh", ["root@box", "mkdir", &directory]), 0, "");
    let target = format!("root@box:{directory}");
    let words = from.iter().map(String::as_str).chain([target.as_str()]);
    expect(&openssh.run("scp", words), 0, "");
    let linker = from.iter().find(|name| name.contains("ld-linux")).expect("a linker");
    let linker = linker.rsplit('/').next().unwrap_or_default();
    format!("{directory}/{linker} --library-path {directory} {directory}/{program}")
}

pub fn rsync(home: &Home, openssh: &OpenSsh) {
    let there = bring(openssh, "rsync");
    let source = home.path().join("tree/");
    let copy = |target: &str, from: &Path| {
        let output = Command::new("rsync")
            .args(["-a", "-e", &openssh.shell(), "--rsync-path", &there])
            .arg(format!("{}/", from.display()))
            .arg(target)
            .output()
            .expect("rsync, which scripts/setup installs");
        expect(&output, 0, "");
    };
    copy("root@box:/root/synced", &source);
    fs::write(source.join("more"), "more").expect("a file");
    copy("root@box:/root/synced", &source);
    let line = "cd /root/synced && cat more && wc -c < sub/bytes";
    expect(&openssh.run("ssh", ["root@box", line]), 0, "more2000000\n");
}

/// A repository in the VM: pushed to, and cloned from.
pub fn git(home: &Home, openssh: &OpenSsh) {
    let there = bring(openssh, "git");
    // By the names that git calls on the other side, and that one calls itself.
    let scripts = format!(
        "cd /usr/local/bin && printf '#!/bin/sh\\nexec {there} \"$@\"\\n' >git && \
         for c in receive upload; do \
         printf \"#!/bin/sh\\nexec git $c-pack \\\"\\$@\\\"\\n\" >git-$c-pack; done && \
         chmod 755 git git-* && git init -q --bare -b main /root/repo.git"
    );
    expect(&openssh.run("ssh", ["root@box", &scripts]), 0, "");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=me", "-c", "user.email=me@here"])
            .args(arguments)
            .current_dir(home.path())
            .env("GIT_SSH_COMMAND", openssh.shell())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null())
            .output()
            .expect("git, which scripts/setup installs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    git(&["init", "-q", "-b", "main", "one"]);
    let all = bytes(1_000_000);
    fs::write(home.path().join("one/bytes"), &all).expect("a file");
    git(&["-C", "one", "add", "."]);
    git(&["-C", "one", "commit", "-q", "-m", "first"]);
    git(&["-C", "one", "push", "-q", "root@box:repo.git", "main"]);
    git(&["clone", "-q", "ssh://root@box/root/repo.git", "other"]);
    assert!(fs::read(home.path().join("other/bytes")).expect("the clone") == all);
    let head = git(&["-C", "one", "rev-parse", "HEAD"]);
    assert_eq!(
        git(&["-C", "other", "ls-remote", "origin", "HEAD"]),
        format!("{}\tHEAD\n", head.trim())
    );
}
