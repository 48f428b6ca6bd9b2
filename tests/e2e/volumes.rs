// SPDX-License-Identifier: Apache-2.0
//! Directories of the host in the guest.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support::{Account, Home};
use crate::{image, need, ready, sh};

/// Owner, group and permissions, of the link itself if it is one.
fn owner(path: &Path) -> (u32, u32, u32) {
    let found = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

/// Makes a file of this user.
fn file(account: &Account, path: &Path, mode: u32) {
    fs::write(path, "host\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    account.give(path);
}

#[test]
fn volumes_are_shared_and_read_only_means_it() {
    let home = need!(ready());
    let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A comma and a colon-free odd name: they pass through QEMU's options.
    let open_path = open.path().join("with,comma and space");
    fs::create_dir(&open_path).unwrap();
    fs::write(open_path.join("from-host"), "host\n").unwrap();
    fs::write(closed.path().join("kept"), "kept\n").unwrap();
    let rw = format!("{}:/rw", open_path.display());
    let ro = format!("{}:/deep/er/ro:ro", closed.path().display());
    let script = "cat /rw/from-host /deep/er/ro/kept
        mkdir /rw/made; echo guest >/rw/made/from-guest; mv /rw/from-host /rw/moved
        echo no >/deep/er/ro/kept || echo refused
        mount -o remount,rw /deep/er/ro 2>/dev/null; umount /deep/er/ro 2>/dev/null
        tag=$(cat /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag | tr '\\0' '\\n')
        for t in $tag; do mkdir -p /again/$t; mount -t 9p -o trans=virtio,version=9p2000.L,rw $t /again/$t; done
        tag=$(cat /sys/fs/virtiofs/*/tag)
        for t in $tag; do mkdir -p /again/$t; mount -t virtiofs -o rw $t /again/$t; done
        ls -d /again/* | wc -l
        for d in /deep/er/ro /again/*; do [ -f $d/kept ] && { echo no >$d/kept; rm $d/kept; touch $d/new; }; done
        exit 0";
    // With every right that the guest has to give.
    let output = sh(&home, &["--privileged", "-v", &rw, "-v", &ro], script).run();
    output.status(0).stdout("host\nkept\nrefused\n2\n");
    assert_eq!(fs::read_to_string(open_path.join("made/from-guest")).unwrap(), "guest\n");
    assert!(open_path.join("moved").exists() && !open_path.join("from-host").exists());
    assert_eq!(fs::read_to_string(closed.path().join("kept")).unwrap(), "kept\n");
    assert_eq!(fs::read_dir(closed.path()).unwrap().count(), 1);
}

#[test]
fn a_volume_that_cannot_be_is_refused_before_the_boot() {
    let home = need!(ready());
    for volume in ["/no/such/directory:/v", "/tmp:relative", "/tmp:/v:odd", "/tmp:/"] {
        sh(&home, &["-v", volume], "true").run().status(125).stdout("").stderr_has("error:");
    }
    assert!(home.vms().is_empty());
}

/// What root makes in the guest is the host user's, who is not root; and what
/// may only be read stays as it is.
#[test]
fn the_guests_root_works_for_the_host_user() {
    let home = need!(Home::of_ordinary_user());
    let (uid, gid) = (home.account().uid, home.account().gid);
    let (open, closed) = (home.make_volume("open"), home.make_volume("closed"));
    file(home.account(), &open.join("private"), 0o600);
    file(home.account(), &closed.join("private"), 0o600);
    let script = "cd /open
        stat -c '%u %g %a' private; cat private; echo guest >>private
        echo new >file; mkdir dir; ln -s file link; ln file hard; echo in >dir/in; mv dir moved
        chown 0:0 file && chmod 751 file; touch -d @86400 file
        echo no >/closed/private || echo refused; rm /closed/private || echo refused
        touch /closed/new || echo refused; cat /closed/private";
    let volumes = [format!("{}:/open", open.display()), format!("{}:/closed:ro", closed.display())];
    let output = sh(&home, &["-v", &volumes[0], "-v", &volumes[1]], script).run();
    output.status(0).stdout("0 0 600\nhost\nrefused\nrefused\nrefused\nhost\n");
    assert_eq!(owner(&open.join("file")), (uid, gid, 0o751));
    assert_eq!(owner(&open.join("moved")), (uid, gid, 0o755));
    assert_eq!(owner(&open.join("moved/in")), (uid, gid, 0o644));
    assert_eq!(owner(&open.join("link")), (uid, gid, 0o777));
    assert_eq!(owner(&open.join("private")), (uid, gid, 0o600));
    assert_eq!(fs::read_to_string(open.join("private")).unwrap(), "host\nguest\n");
    assert_eq!(fs::metadata(open.join("hard")).unwrap().mtime(), 86400);
    assert_eq!(fs::read_to_string(closed.join("private")).unwrap(), "host\n");
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 1);
}

/// A workload that is not root can do what the host user can, and what it
/// makes is that user's.
#[test]
fn a_workload_that_is_not_root_has_the_host_users_files() {
    let home = need!(Home::of_ordinary_user());
    let (uid, gid) = (home.account().uid, home.account().gid);
    let open = home.make_volume("open");
    for (name, mode) in [("private", 0o600), ("program", 0o755), ("read-only", 0o444)] {
        file(home.account(), &open.join(name), mode);
    }
    fs::create_dir(open.join("dir")).unwrap();
    file(home.account(), &open.join("dir/doomed"), 0o600);
    home.account().give(&open.join("dir"));
    let script = "cd /open; id -u; id -g
        stat -c '%u %g %a' private program; cat private; echo guest >>private
        echo no 2>/dev/null >read-only || echo refused; chmod 640 read-only; echo yes >read-only
        rm dir/doomed; rmdir dir; mkdir made; echo new >made/file; ln -s made link
        umask 077; echo new >closed; mv program made/program; touch -d @86400 made/program";
    let volume = format!("{}:/open", open.display());
    let output = sh(&home, &["-u", "33:44", "-v", &volume], script).run();
    output.status(0).stdout("33\n44\n33 44 600\n33 44 755\nhost\nrefused\n");
    assert_eq!(owner(&open.join("private")), (uid, gid, 0o600));
    assert_eq!(fs::read_to_string(open.join("private")).unwrap(), "host\nguest\n");
    assert_eq!(owner(&open.join("read-only")), (uid, gid, 0o640));
    assert_eq!(owner(&open.join("made")), (uid, gid, 0o755));
    assert_eq!(owner(&open.join("made/file")), (uid, gid, 0o644));
    assert_eq!(owner(&open.join("made/program")), (uid, gid, 0o755));
    assert_eq!(owner(&open.join("link")), (uid, gid, 0o777));
    assert_eq!(owner(&open.join("closed")), (uid, gid, 0o600));
    assert!(!open.join("dir").exists() && !open.join("program").exists());
}

/// With Docker's meaning: numbers are the same inside and outside.
#[test]
fn roots_volumes_keep_their_owners() {
    let home = need!(ready());
    if !home.account().is_root() {
        crate::skip!("needs root: an ordinary user's files have one owner");
    }
    let open = home.make_volume("open");
    fs::write(open.join("theirs"), "host\n").unwrap();
    chown(open.join("theirs"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(open.join("theirs"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "cd /open; stat -c '%u %g %a' theirs; cat theirs; echo guest >>theirs
        echo root >root; echo given >given; chown 33:44 given; chmod 600 given
        mknod device c 1 3 2>/dev/null || echo refused";
    let volume = format!("{}:/open", open.display());
    let output = sh(&home, &["-v", &volume], script).run();
    output.status(0).stdout("1000 1001 600\nhost\nrefused\n");
    assert_eq!(owner(&open.join("theirs")), (1000, 1001, 0o600));
    assert_eq!(owner(&open.join("root")), (0, 0, 0o644));
    assert_eq!(owner(&open.join("given")), (33, 44, 0o600));
    let script = "cd /open; cat given; echo mine >mine; mkdir dir; ln -s x link
        cat theirs 2>/dev/null || echo refused; rm -f root && echo removed";
    let output = sh(&home, &["-u", "33:44", "-v", &volume], script).run();
    output.status(0).stdout("given\nrefused\nremoved\n");
    assert_eq!(owner(&open.join("mine")), (33, 44, 0o644));
    assert_eq!(owner(&open.join("dir")), (33, 44, 0o755));
    assert_eq!(owner(&open.join("link")), (33, 44, 0o777));
}

/// Single files, and more volumes than any VMM has slots, are shown from one
/// share; of the host there is nothing else in it.
#[test]
fn files_and_twenty_directories_for_an_ordinary_user() {
    let home = need!(Home::of_ordinary_user());
    many_volumes(&home, &["-u", "33:44"], (33, 44));
}

#[test]
fn files_and_twenty_directories_for_root() {
    let home = need!(ready());
    many_volumes(&home, &["--read-only"], (0, 0));
}

fn many_volumes(home: &Home, options: &[&str], inside: (u32, u32)) {
    const DIRECTORIES: usize = 20;
    let account = home.account();
    let made = home.make_volume("made");
    let mut volumes = Vec::new();
    for n in 0..DIRECTORIES {
        let directory = home.make_volume(&format!("d{n}"));
        file(account, &directory.join("name"), 0o600);
        let mode = if n % 2 == 0 { "rw" } else { "ro" };
        volumes.push(format!("{}:/v/{n}:{mode}", directory.display()));
    }
    for (name, mode) in [("conf.json", 0o600), ("kept", 0o644), ("beside", 0o600)] {
        file(account, &made.join(name), mode);
    }
    // The deeper one first, and a place that the image has.
    volumes.push(format!("{}:/v/0/conf.json", made.join("conf.json").display()));
    volumes.push(format!("{}:/etc/passwd:ro", made.join("kept").display()));
    volumes.push("/own/place".into());
    let flags: Vec<&str> = volumes.iter().flat_map(|volume| ["-v", volume]).collect();
    let script =
        "cat /v/*/name | wc -l; stat -c '%u %g %a' /v/0/conf.json; cat /v/0/conf.json /etc/passwd
        echo guest >>/v/0/conf.json; echo no 2>/dev/null >/etc/passwd || echo refused
        for n in 0 1; do touch /v/$n/new 2>/dev/null || echo refused; done
        rm -f /v/0/conf.json 2>/dev/null || echo busy; ls -d /own/place; [ $(id -u) != 0 ] || touch /own/place/new
        grep -c ' /s/' /proc/mounts; echo ready; read line
        n=0; until grep -q again /v/0/conf.json || [ $n = 20 ]; do sleep 1; n=$((n + 1)); done
        cat /v/0/conf.json";
    let busybox = image("busybox");
    let words = ["run", "--rm", "-i"].iter().chain(options).chain(&flags).copied();
    let mut running = home.mvm(words).args([&busybox, "sh", "-c", script]).spawn();
    running.wait_for_stdout("ready\n");
    // What the host does is seen at once on QEMU, after 5 s at most on libkrun.
    let conf = made.join("conf.json");
    assert_eq!(fs::read_to_string(&conf).unwrap(), "host\nguest\n");
    let mut writer = fs::OpenOptions::new().append(true).open(&conf).unwrap();
    std::io::Write::write_all(&mut writer, b"host again\n").unwrap();
    let mut stdin = running.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"go on\n").expect("write to mvm");
    drop(stdin);
    let (uid, gid) = inside;
    running.finish().status(0).stdout(format!(
        "{DIRECTORIES}\n{uid} {gid} 600\nhost\nhost\nrefused\nrefused\nbusy\n/own/place\n0\nready\n\
         host\nguest\nhost again\n"
    ));
    assert_eq!(owner(&home.path().join("d0/new")), (account.uid, account.gid, 0o644));
    assert_eq!(owner(&conf), (account.uid, account.gid, 0o600));
    assert_eq!(fs::read_to_string(made.join("kept")).unwrap(), "host\n");
    assert!(!home.path().join("d1/new").exists());
}

/// What the guest's kernel finds when it looks past the mounts.
#[test]
fn a_share_of_parts_has_nothing_else_in_it() {
    let home = need!(ready());
    let directory = home.make_volume("private");
    for name in ["shown", "hidden"] {
        file(home.account(), &directory.join(name), 0o600);
    }
    let shown = format!("{}:/etc/app/shown", directory.join("shown").display());
    let script = "umount /etc/app/shown
        mkdir /again; mount -t 9p -o trans=virtio,version=9p2000.L files /again 2>/dev/null ||
            mount -t virtiofs files /again
        ls -A /again; cat /again/0
        for d in /again /again/..; do ls -A $d | grep -E 'hidden|private'; touch $d/new; rm -f $d/0; done 2>/dev/null
        ln /again/0 /again/1 2>/dev/null; mv /again/0 /again/1 2>/dev/null; echo guest >/again/0; ls -A /again";
    let output = sh(&home, &["--privileged", "--mount", &mounted(&shown)], script).run();
    output.status(0).stdout("0\nhost\n0\n");
    assert_eq!(fs::read_to_string(directory.join("shown")).unwrap(), "guest\n");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
}

/// As `--mount` takes it.
fn mounted(volume: &str) -> String {
    let (source, target) = volume.split_once(':').expect("a volume");
    format!("type=bind,\"source={source}\",target={target}")
}

/// It was there when the VM was made.
#[test]
fn a_volume_that_vanished_or_became_a_link_is_no_volume() {
    let home = need!(ready());
    let directory = home.make_volume("place");
    let conf = directory.join("conf");
    file(home.account(), &conf, 0o600);
    let volume = format!("{}:/conf", conf.display());
    home.mvm(["create", "--name", "box", "-v", &volume, &image("busybox"), "true"]).run().status(0);
    fs::remove_file(&conf).unwrap();
    home.mvm(["start", "-a", "box"]).run().status(1).one_error("is gone");
    std::os::unix::fs::symlink("/etc/shadow", &conf).unwrap();
    home.mvm(["start", "-a", "box"]).run().status(1).one_error("a link leads elsewhere");
    fs::remove_file(&conf).unwrap();
    file(home.account(), &conf, 0o600);
    home.mvm(["start", "-a", "box"]).run().status(0);
    home.mvm(["rm", "box"]).run().status(0);
    assert_eq!(fs::read_to_string(&conf).unwrap(), "host\n");
}
