// SPDX-License-Identifier: Apache-2.0
//! Files between the host and VMs, running or not, and files that VMs are made with.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Home, Output, Process, slower};
use crate::{image, need, ready, status_of};

/// `mvm exec box sh -c SCRIPT`.
fn inside(home: &Home, script: &str) -> Output {
    home.mvm(["exec", "box", "sh", "-c", script]).run()
}

fn cp(home: &Home, words: &[&str]) -> Output {
    home.mvm(["cp"]).args(words).run()
}

/// Runs a script of the host in a directory; what it prints.
fn sh(directory: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(directory).output();
    let output = output.expect("run sh");
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What other tools say of a tree: owners, modes, times, links, content, attributes.
fn said(tree: &Path) -> String {
    let listing = "find . -mindepth 1 -printf '%p %y %m %U:%G %s %n %T@ %l\\n' | sort";
    let content = "find . -type f | sort | xargs sha256sum";
    let attributes = "find . -type f -o -type d | sort | xargs getfattr -d -m - --absolute-names";
    [listing, content, attributes].map(|script| sh(tree, script)).concat()
}

/// As the kernel has an ACL (Linux, posix_acl_xattr.h): `user::rw-`,
/// `user:1000:r--`, `group::---`, `mask::r--`, `other::---`.
const ACL: &str =
    "0x0200000001000600ffffffff02000400e803000004000000ffffffff10000400ffffffff20000000ffffffff";

/// One of everything that root can make.
fn tree(at: &Path) -> PathBuf {
    let make = "mkdir -p tree/sub/deep tree/empty; echo text >tree/file; echo x >tree/suid
        head -c 3000000 /dev/urandom >tree/sub/big; ln tree/file tree/sub/hard
        ln -s /etc/passwd tree/absolute; ln -s ../../.. tree/up; ln -s nowhere tree/dangling
        mkfifo tree/fifo; mknod tree/null c 1 3; truncate -s 64M tree/holes
        echo end >>tree/holes; touch tree/sub/$(printf '%0250d' 7)
        chown 1000:1001 tree/file; chown -h 7:8 tree/dangling; chmod 4755 tree/suid
        chmod 1777 tree/empty; chmod 500 tree/sub/deep; touch -d @1.5 tree/sub
        setfattr -n user.note -v value tree/file; setcap cap_net_raw+ep tree/sub/big";
    let rules = format!(
        "echo secret >tree/acl; chmod 600 tree/acl; setfattr -n system.posix_acl_access -v {ACL} tree/acl
        mkdir tree/acls; setfattr -n system.posix_acl_default -v {ACL} tree/acls"
    );
    sh(at, make);
    sh(at, &rules);
    at.join("tree")
}

#[test]
fn files_go_both_ways() {
    let home = need!(ready());
    let work = home.make_volume("work");
    let shared = home.make_volume("shared");
    let at = |name: &str| work.join(name).to_str().expect("UTF-8").to_owned();
    let volume = format!("{}:/ro:ro", shared.display());
    let made = ["run", "-d", "--name", "box", "--tmpfs", "/small:size=2m", "-v", &volume];
    home.mvm(made).args([&image("busybox"), "sleep", "1000"]).run().status(0);
    let tree = tree(&work);

    // There and back again, nothing is lost.
    cp(&home, &["-a", &at("tree"), "box:/srv"]).status(0).stdout("");
    cp(&home, &["-a", "box:/srv", &at("back")]).status(0).stdout("");
    assert_eq!(said(&work.join("back")), said(&tree));
    let blocks = fs::metadata(work.join("back/holes")).expect("a file").blocks();
    assert!(blocks < 1000, "{blocks} blocks");
    let attributes = sh(&tree, "getfattr -d -m - -e hex acl acls");
    for name in ["access", "default"] {
        let line = format!("system.posix_acl_{name}={ACL}\n");
        assert!(attributes.contains(&line), "{attributes}");
    }
    // And holds there: for who is named, and no other; for what comes later, too.
    inside(&home, "echo later >/srv/acls/later").status(0);
    for file in ["/srv/acl", "/srv/acls/later"] {
        home.mvm(["exec", "-u", "1000", "box", "cat", file]).run().status(0);
        home.mvm(["exec", "-u", "1001", "box", "cat", file]).run().status(1).stdout("");
    }
    // Without -a they are root's there, and ours here, who get no rights from the VM.
    cp(&home, &[&at("tree"), "box:/plain"]).status(0);
    inside(&home, "cd /plain; stat -c '%u:%g %a' file suid; rm -r /plain")
        .stdout("0:0 644\n0:0 4755\n");
    inside(&home, "chown 5:6 /srv/suid").status(0);
    let taken = cp(&home, &["box:/srv", &at("mine")]);
    taken.status(0).stderr_has("\"srv/null\" is left out");
    let suid = fs::metadata(work.join("mine/suid")).expect("a file");
    assert_eq!((suid.mode() & 0o7777, suid.uid()), (0o755, 0));

    landing(&home, &work);
    tars(&home, &work);
    bad_places(&home, &work, &shared);
    broken_off(&home, &work);
    let left = "find / -xdev -name '.mvm-cp*'; ls -A /small /ro";
    inside(&home, left).stdout("/ro:\n\n/small:\nfits\n");
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.is_quiet();
}

/// The rules of `docker cp`; all of them are tested in mvm-files.
fn landing(home: &Home, work: &Path) {
    let at = |name: &str| work.join(name).to_str().expect("UTF-8").to_owned();
    sh(work, "mkdir -p d/e; echo one >d/e/f; ln -s d/e/f link; echo two >a:b");
    for (source, target, there) in [
        ("d/e/f", "/new", "/new"),
        ("d/e/f", "/tmp", "/tmp/f"),
        ("d/e/f", "/tmp/", "/tmp/f"),
        ("d/e", "/newdir", "/newdir/f"),
        ("d/e/", "/tmp", "/tmp/e/f"),
        ("d/e/.", "/newdir", "/newdir/f"),
        ("d/.", "relative", "/relative/e/f"),
    ] {
        cp(home, &[&at(source), &format!("box:{target}")]).status(0);
        inside(home, &format!("cat {there} && rm {there}")).stdout("one\n");
    }
    cp(home, &[&at("link"), "box:/tmp"]).status(0);
    cp(home, &["-L", &at("link"), "box:/tmp/followed"]).status(0);
    inside(home, "readlink /tmp/link; cat /tmp/followed").stdout("d/e/f\none\n");
    let colon = home.mvm(["cp", "./a:b", "box:/"]).command().current_dir(work).status();
    assert!(colon.expect("run mvm").success());
    inside(home, "cat /a:b").stdout("two\n");
    for (source, target, why) in [
        ("d/e/f", "box:/none/", "no such directory"),
        ("d/e/f", "box:/none/x", "no such directory to copy to"),
        ("d/e", "box:/etc/passwd", "cannot copy a directory to a file"),
        ("d/e/f", "box:/etc/passwd/", "not a directory"),
        ("none", "box:/", "no such file"),
        ("d/e/f", "nobody:/", "no such VM"),
        ("d/e/f", ":/", "names no VM"),
        ("d/e/f", &at("x"), "no VM is given"),
    ] {
        cp(home, &[&at(source), target]).status(1).one_error(why);
    }
    cp(home, &["box:/none", &at("x")]).status(1).one_error("cannot read \"/none\": no such file");
    cp(home, &["box:/a", "box:/b"]).status(1).one_error("between VMs is not supported");
    cp(home, &["box:/etc/passwd", &at("none/")]).status(1).one_error("no such directory");
    assert!(!work.join("x").exists());
    // What the kernel makes up can be had, and is in no tree.
    cp(home, &["box:/proc/version", &at("version")]).status(0);
    assert!(sh(work, "cat version").starts_with("Linux version"));
    cp(home, &["box:/", &at("root")]).status(0);
    let root = sh(work, "ls root/proc root/sys root/dev root/etc/passwd 2>&1 || true");
    assert!(root.contains("root/etc/passwd") && root.contains("root/proc:\n\n"), "{root}");
}

fn tars(home: &Home, work: &Path) {
    sh(work, "mkdir -p in/bin; echo tool >in/bin/tool; tar -cf in.tar -C in .");
    let tar = fs::read(work.join("in.tar")).expect("a tar");
    home.mvm(["cp", "-", "box:/"]).stdin(tar).run().status(0);
    let out = home.mvm(["cp", "box:/bin/tool", "-"]).run();
    fs::write(work.join("out.tar"), out.status(0).stdout_bytes()).expect("write a file");
    assert_eq!(sh(work, "tar -xOf out.tar tool; tar -tf out.tar"), "tool\ntool\n");
    let garbage = home.mvm(["cp", "-", "box:/"]).stdin(vec![b'x'; 5000]).run();
    garbage.status(1).one_error("not a tar archive");
    home.mvm(["cp", "-", "box:/none"]).stdin("").run().status(1).one_error("no such directory");
}

fn bad_places(home: &Home, work: &Path, shared: &Path) {
    let at = |name: &str| work.join(name).to_str().expect("UTF-8").to_owned();
    // A link that leads out of the target, planted before.
    sh(work, "mkdir victim target target/tree; echo precious >victim/file");
    symlink(work.join("victim"), work.join("target/tree/sub")).expect("a link");
    inside(home, "mkdir -p /t/tree/sub; echo evil >/t/tree/sub/file").status(0);
    cp(home, &["box:/t/tree", &at("target")]).status(1).one_error("cannot overwrite");
    assert_eq!(sh(work, "cat victim/file; ls victim"), "precious\nfile\n");
    // Read-only, and full; what was there stays.
    cp(home, &[&at("d/e/f"), "box:/ro/"]).status(1).one_error("read-only file system");
    assert_eq!(fs::read_dir(shared).expect("a directory").count(), 0);
    sh(work, "mkdir many; echo small >many/fits; head -c 3000000 /dev/zero >many/large");
    cp(home, &[&at("many/fits"), "box:/small"]).status(0);
    let full = cp(home, &[&format!("{}/.", at("many")), "box:/small"]);
    full.status(1).one_error("no space left").stderr_has("make room in the VM");
    inside(home, "cat /small/fits; ls /small").stdout("small\nfits\n");
    let mounted = home.path().join("full");
    let size = format!("mkdir {0}; mount -t tmpfs -o size=1m tmpfs {0}", mounted.display());
    sh(work, &size);
    let full = cp(home, &["box:/srv/sub/big", mounted.to_str().expect("UTF-8")]);
    let left = fs::read_dir(&mounted).expect("a directory").count();
    sh(work, &format!("umount {}", mounted.display()));
    full.status(1).one_error("no space left");
    assert_eq!(left, 0);
}

/// Files that change, and copies that are ended.
fn broken_off(home: &Home, work: &Path) {
    inside(home, "head -c 20000000 /dev/zero >/tmp/shrinks").status(0);
    let running = home.mvm(["cp", "box:/tmp/shrinks", "-"]).unread().spawn();
    // As much of it is on its way as there is room for.
    std::thread::sleep(slower(Duration::from_secs(1)));
    inside(home, "truncate -s 100 /tmp/shrinks; rm -f /tmp/shrinks").status(0);
    running.read_stdout();
    let output = running.finish();
    output.status(1).stderr_has("became smaller");
    fs::write(work.join("shrunk.tar"), output.stdout_bytes()).expect("write a file");
    assert_eq!(sh(work, "tar -xOf shrunk.tar shrinks | wc -c"), "20000000\n");

    let tar = {
        let made = "mkdir half; echo whole >half/1; head -c 900000 /dev/zero >half/2; tar --sort=name -cf half.tar half";
        sh(work, made);
        fs::read(work.join("half.tar")).expect("a tar")
    };
    for (signal, status) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let mut running = home.mvm(["cp", "-", "box:/tmp"]).spawn();
        let stdin = running.stdin.as_mut().expect("a pipe");
        stdin.write_all(&tar[..500_000]).expect("write to mvm");
        let deadline = Instant::now() + slower(Duration::from_secs(20));
        while inside(home, "ls -A /tmp/half").stdout_text().lines().count() < 2 {
            assert!(Instant::now() < deadline, "nothing comes");
        }
        running.signal(signal);
        let output = running.finish();
        match status {
            Some(status) => output.status(status),
            None => output.killed_by(signal),
        };
        while inside(home, "ls -A /tmp/half").stdout_text() != "1\n" {
            assert!(Instant::now() < deadline, "half a file is left");
        }
        inside(home, "cat /tmp/half/1; rm -r /tmp/half").stdout("whole\n");
    }
}

#[test]
fn an_ordinary_user_gets_files_of_its_own() {
    let home = need!(Home::of_ordinary_user());
    let work = home.make_volume("work");
    let busybox = image("busybox");
    home.mvm(["run", "-d", "--name", "box", &busybox, "sleep", "1000"]).run().status(0);
    let make =
        "mkdir -p /t/closed; echo a >/t/closed/file; chown -R 5:6 /t; chmod 4755 /t/closed/file
        chmod 500 /t/closed; mknod /t/null c 1 3";
    inside(&home, make).status(0);
    for (archive, target) in [(&[][..], "plain"), (&["-a"], "archive")] {
        let target = work.join(target);
        let mut words = archive.to_vec();
        words.extend(["box:/t", target.to_str().expect("UTF-8")]);
        let output = cp(&home, &words);
        output.status(0).stderr_has("\"t/null\" is left out");
        if !archive.is_empty() {
            output.stderr_has("not all owners could be kept");
        }
        let owner = fs::metadata(&work).expect("a directory").uid();
        let file = fs::metadata(target.join("closed/file")).expect("a file");
        assert_eq!((file.mode() & 0o7777, file.uid()), (0o755, owner));
        let closed = fs::metadata(target.join("closed")).expect("a directory");
        assert_eq!(closed.mode() & 0o7777, 0o500);
        fs::set_permissions(target.join("closed"), fs::Permissions::from_mode(0o700))
            .expect("ours");
    }
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.is_quiet();
}

fn is_vmm(process: &Process) -> bool {
    ["qemu-system", "__runner"].iter().any(|name| process.command.contains(name))
}

#[test]
fn files_of_vms_that_do_not_run() {
    let home = need!(ready());
    let work = home.make_volume("work");
    let shared = home.make_volume("shared");
    fs::write(shared.join("host"), "shared\n").expect("write a file");
    fs::write(work.join("one"), "one\n").expect("write a file");
    let one = work.join("one").to_str().expect("UTF-8").to_owned();
    let back = work.join("back").to_str().expect("UTF-8").to_owned();
    let volume = format!("{}:/v", shared.display());
    let script = "cat /srv; exit 3";
    let create = ["create", "--name", "box", "-v", &volume, &image("busybox"), "sh", "-c", script];
    home.mvm(create).run().status(0);

    // Never started: its first start finds what was copied.
    cp(&home, &[&one, "box:/srv/"]).status(1).one_error("no such directory");
    cp(&home, &[&one, "box:/srv"]).status(0);
    inside(&home, "true").status(1).one_error("not running");
    assert_eq!(status_of(&home, "box"), "created");
    home.mvm(["start", "-a", "box"]).run().status(3).stdout("one\n");
    let look = |format: &str| home.mvm(["inspect", "-f", format, "box"]).run().stdout_text();
    let all = "{{.State.Status}} {{.State.ExitCode}} {{.State.StartedAt}} {{.State.FinishedAt}}";
    assert!(look(all).starts_with("exited 3"), "{}", look(all));

    let mut tar = home.mvm(["cp", "-", "box:/"]).spawn();
    let before = look(all);
    // While it is held, it looks as it is, and `start` waits.
    let deadline = Instant::now() + slower(Duration::from_secs(30));
    while !home.processes().iter().any(is_vmm) {
        assert!(Instant::now() < deadline, "nothing boots");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(look(all), before);
    home.mvm(["exec", "box", "true"]).run().status(1).one_error("not running");
    let starting = home.mvm(["start", "-a", "box"]).spawn();
    sh(&work, "mkdir -p t/new; echo new >t/new/file; tar -cf t.tar -C t .");
    let bytes = fs::read(work.join("t.tar")).expect("a tar");
    tar.stdin.take().expect("a pipe").write_all(&bytes).expect("write to mvm");
    tar.finish().status(0);
    starting.finish().status(3);

    // Out of one that has ended, volumes and all; its record says what it said.
    let before = look(all);
    cp(&home, &["box:/new/file", &back]).status(0);
    assert_eq!(fs::read_to_string(&back).expect("a file"), "new\n");
    cp(&home, &["box:/v/host", &back]).status(0);
    assert_eq!(fs::read_to_string(&back).expect("a file"), "shared\n");
    assert_eq!(look(all), before);
    home.mvm(["logs", "box"]).run().status(0).stdout("one\none\n");

    // Killed in the middle, the VM is as it was.
    let mut running = home.mvm(["cp", "-", "box:/"]).spawn();
    running.stdin.as_mut().expect("a pipe").write_all(&bytes[..2000]).expect("write to mvm");
    while !home.processes().iter().any(is_vmm) {
        assert!(Instant::now() < deadline, "nothing boots");
    }
    running.kill();
    running.finish().killed_by(Signal::KILL);
    home.is_quiet();
    assert_eq!(look(all), before);
    home.mvm(["start", "-a", "box"]).run().status(3);
    home.mvm(["rm", "box"]).run().status(0);

    // What was not synced is lost with its monitor; that it is dead is not.
    let run = ["run", "-d", "--name", "box", &image("busybox"), "sleep", "1000"];
    home.mvm(run).run().status(0);
    inside(&home, "echo synced >/kept; sync").status(0);
    home.process("__monitor").kill();
    home.is_quiet();
    for _ in 0..2 {
        assert_eq!(status_of(&home, "box"), "dead");
        cp(&home, &["box:/kept", &back]).status(0);
    }
    assert_eq!(fs::read_to_string(&back).expect("a file"), "synced\n");
    home.mvm(["start", "box"]).run().status(0);
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.is_quiet();
}

#[test]
fn files_are_injected_once() {
    let home = need!(ready());
    let work = home.make_volume("work");
    sh(&work, "mkdir -p d/e; echo conf >d/e/f; echo key >key; chmod 600 key");
    let at = |name: &str| work.join(name).to_str().expect("UTF-8").to_owned();
    let (dir, key) = (format!("{}:/opt/", at("d")), format!("{}:/etc/app/key:0440:7:8", at("key")));
    let busybox = image("busybox");
    let run = ["run", "--rm", "--read-only", "-u", "1000", "--inject", &dir, "--inject", &key];
    let script = "stat -c '%n %u:%g %a' /opt/d/e/f /etc/app/key /etc/app; cat /opt/d/e/f; touch /x";
    let output = home.mvm(run).args([&busybox, "sh", "-c", script]).run();
    output.status(1).stdout("/opt/d/e/f 0:0 644\n/etc/app/key 7:8 440\n/etc/app 0:0 755\nconf\n");

    // Read when it is made, and put there once.
    let create = ["create", "--name", "box", "--inject", &key, &busybox, "sh", "-c"];
    let script = "cat /etc/app/key; echo changed >/etc/app/key";
    home.mvm(create).args([script]).run().status(0);
    fs::remove_file(work.join("key")).expect("remove a file");
    let kept = sh(home.path(), "find data/vms -name inject.tar -printf '%m\\n'");
    assert_eq!(kept, "600\n");
    home.mvm(["start", "-a", "box"]).run().status(0).stdout("key\n");
    home.mvm(["start", "-a", "box"]).run().status(0).stdout("changed\n");
    assert_eq!(sh(home.path(), "find data/vms -name inject.tar"), "");
    home.mvm(["rm", "box"]).run().status(0);

    for (inject, why) in [
        (format!("{}:/etc", at("d/e/f")), "cannot overwrite a directory"),
        (format!("{}:/proc/x", at("d/e/f")), "in the VM: cannot write"),
        (format!("{}:/x", at("none")), "no such file"),
        (format!("{}:x", at("d")), "an absolute path"),
    ] {
        let output = home.mvm(["run", "--rm", "--inject", &inject, &busybox, "true"]).run();
        output.fails_with(why);
    }
    assert!(home.vms().is_empty());
    home.is_quiet();
}
