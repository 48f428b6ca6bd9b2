// SPDX-License-Identifier: Apache-2.0
//! Trees that survive, and tars that mean harm; told with GNU's tools.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Into, Rules, unpack};
use crate::archive::{Entry, Kind, SparseMap, Writer};
use crate::error::{Error, Notes};
use crate::pack::{As, pack};

fn entry(kind: Kind, path: &str) -> Entry {
    Entry {
        path: path.into(),
        link: Vec::new(),
        kind,
        mode: 0o755,
        uid: 1,
        gid: 2,
        mtime: (1_600_000_000, 5),
        size: 0,
        device: (1, 3),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn link(kind: Kind, path: &str, to: &str) -> Entry {
    Entry { link: to.into(), ..entry(kind, path) }
}

/// A tar of these; files hold their own names.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for entry in entries {
        match entry.kind {
            Kind::File if entry.size == 0 => {
                let size = entry.path.len() as u64;
                tar.begin(&Entry { size, path: entry.path.clone(), ..clone(entry) }).unwrap();
                tar.data(&entry.path).unwrap();
                tar.pad(size).unwrap();
            }
            _ => tar.begin(entry).unwrap(),
        }
    }
    tar.finish().unwrap()
}

fn clone(entry: &Entry) -> Entry {
    Entry {
        path: entry.path.clone(),
        link: entry.link.clone(),
        xattrs: entry.xattrs.clone(),
        sparse: None,
        ..*entry
    }
}

fn to(place: &Path, tar: &[u8], rules: Rules) -> (Result<(), Error>, Vec<String>) {
    let mut notes = Notes::default();
    let outcome = unpack(tar, Into::Place(place), rules, &mut notes);
    (outcome, notes.lines().collect())
}

fn packed(path: &Path, what: &As) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    let mut notes = Notes::default();
    pack(path, what, &mut tar, &mut notes).unwrap();
    assert_eq!(notes.lines().collect::<Vec<_>>(), Vec::<String>::new());
    tar.finish().unwrap()
}

/// What `tar` and `getfattr` say of a tree.
fn said(tree: &Path) -> String {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(arguments).current_dir(tree).output().expect(program);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listing = "find . -printf '%p %y %m %U:%G %s %n %T@ %l\\n' | grep -v '^. ' | sort";
    let content = "find . -type f -print0 | sort -z | xargs -0 sha256sum";
    let attributes = "find . -type f -o -type d | sort | xargs getfattr -d -m - --absolute-names";
    [listing, content, attributes].map(|script| run("sh", &["-c", script])).concat()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn tree() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    fs::create_dir_all(tree.join("a/deep/er")).unwrap();
    fs::write(tree.join("a/file"), vec![7; 700_000]).unwrap();
    fs::write(tree.join("a/empty"), "").unwrap();
    fs::write(tree.join("a/deep").join("n".repeat(250)), "long").unwrap();
    fs::hard_link(tree.join("a/file"), tree.join("hard")).unwrap();
    symlink("/etc/passwd", tree.join("absolute")).unwrap();
    symlink("../../..", tree.join("up")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    fs::write(tree.join("setuid"), "x").unwrap();
    fs::set_permissions(tree.join("setuid"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(tree.join("a/deep"), fs::Permissions::from_mode(0o1777)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("fifo"),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(1 << 26).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (1 << 26) - 3).unwrap();
    if is_root() {
        std::os::unix::fs::chown(tree.join("a/empty"), Some(1234), Some(5678)).unwrap();
        std::os::unix::fs::lchown(tree.join("dangling"), Some(99), Some(98)).unwrap();
        let device = rustix::fs::makedev(1, 3);
        let kind = rustix::fs::FileType::CharacterDevice;
        let null = tree.join("null");
        rustix::fs::mknodat(rustix::fs::CWD, null, kind, 0o600.into(), device).unwrap();
    }
    // /tmp may have none of these.
    let flags = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::setxattr(tree.join("a/file"), "user.note", b"a\nb\0c", flags);
    let _ = rustix::fs::setxattr(tree.join("a/deep"), "user.big", &[9; 3000], flags);
    fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
    (root, tree)
}

#[test]
fn a_tree_survives() {
    let (root, tree) = tree();
    let bytes = packed(&tree, &As::named(b"tree"));
    assert!(bytes.len() < 4 << 20, "holes are no bytes: {}", bytes.len());
    let (outcome, notes) =
        to(&root.path().join("copy"), &bytes, Rules { owners: is_root(), ..Rules::default() });
    outcome.unwrap();
    assert_eq!(notes, Vec::<String>::new());
    let copy = root.path().join("copy");
    if is_root() {
        assert_eq!(said(&copy), said(&tree));
    }
    let sparse = fs::metadata(copy.join("sparse")).unwrap();
    assert!(sparse.len() == 1 << 26 && sparse.blocks() < 1000);
    let inode = |name: &str| fs::metadata(copy.join(name)).unwrap().ino();
    assert_eq!(inode("hard"), inode("a/file"));
    // Again, over what is there.
    let (outcome, _) =
        to(&root.path().join("."), &bytes, Rules { owners: true, ..Rules::default() });
    outcome.unwrap();
    let other = fs::read_dir(&copy).unwrap().flatten().map(|e| e.file_name());
    assert!(other.into_iter().all(|name| !name.to_string_lossy().starts_with(".mvm")));
    for tree in [&tree, &copy] {
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let (root, tree) = tree();
    let archive = root.path().join("t.tar");
    fs::write(&archive, packed(&tree, &As::named(b"tree"))).unwrap();
    let copy = root.path().join("gnu");
    fs::create_dir(&copy).unwrap();
    let mut command = Command::new("tar");
    command.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"]);
    let done = command.arg(&archive).arg("-C").arg(&copy).status().unwrap();
    assert!(done.success());
    if is_root() {
        assert_eq!(said(&copy.join("tree")), said(&tree));
    }
    for tree in [&tree, &copy.join("tree")] {
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn rights_go_with_the_owner() {
    let root = tempfile::tempdir().unwrap();
    let suid = Entry { mode: 0o6755, ..entry(Kind::File, "t/suid") };
    let bytes = tar(&[entry(Kind::Directory, "t"), suid, entry(Kind::CharDevice, "t/null")]);
    let (outcome, notes) = to(&root.path().join("mine"), &bytes, Rules::default());
    outcome.unwrap();
    assert!(notes.len() == 1 && notes[0].contains("a device"), "{notes:?}");
    let made = fs::metadata(root.path().join("mine/suid")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o755);
    assert_eq!(made.uid(), rustix::process::geteuid().as_raw());
    assert!(!root.path().join("mine/null").exists());
    if is_root() {
        let rules = Rules { owners: true, ..Rules::default() };
        to(&root.path().join("theirs"), &bytes, rules).0.unwrap();
        let made = fs::metadata(root.path().join("theirs/suid")).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o6755, 1, 2));
        assert_eq!(fs::metadata(root.path().join("theirs/null")).unwrap().rdev(), 0x103);
    }
}

/// A hostile tar, unpacked beside something that nobody may touch.
fn attack(entries: &[Entry]) -> String {
    let root = tempfile::tempdir().unwrap();
    let (victim, target) = (root.path().join("victim"), root.path().join("target"));
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "precious").unwrap();
    fs::create_dir(&target).unwrap();
    symlink("../victim", target.join("planted")).unwrap();
    symlink("../victim/file", target.join("planted-file")).unwrap();
    let (outcome, _) = to(&target, &tar(entries), Rules::default());
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "precious");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    assert_eq!(fs::metadata(victim.join("file")).unwrap().nlink(), 1);
    outcome.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn nothing_is_written_elsewhere() {
    let dir = |path: &str| entry(Kind::Directory, path);
    let file = |path: &str| entry(Kind::File, path);
    for (entries, why) in [
        (vec![dir("t"), file("t/../../victim/file")], "leads up"),
        (vec![dir("t"), file("../victim/file")], "leads up"),
        (vec![file("/../victim/file")], "leads up"),
        (vec![dir("t"), file("victim/file")], "not in the tree"),
        (vec![dir("t"), file("/victim/file")], "not in the tree"),
        (vec![file("a/b")], "the first entry"),
        (vec![dir(".."), file("../x")], "leads up"),
        (
            vec![dir("t"), link(Kind::Symlink, "t/l", "../../victim"), file("t/l/file")],
            "not a directory",
        ),
        (
            vec![dir("t"), link(Kind::Symlink, "t/l", "../../victim"), dir("t/l"), file("t/l/x")],
            "cannot overwrite",
        ),
        (vec![dir("t"), link(Kind::HardLink, "t/h", "../victim/file")], "leads up"),
        (vec![dir("t"), link(Kind::HardLink, "t/h", "victim/file")], "not in the tree"),
        (vec![dir("t"), link(Kind::HardLink, "t/h", "t/none")], "no such file"),
        (
            vec![
                dir("t"),
                link(Kind::Symlink, "t/l", "../../victim/file"),
                link(Kind::HardLink, "t/h", "t/l"),
                file("t/h"),
            ],
            "",
        ),
        // In the target since before.
        (vec![dir("."), file("planted/file")], "not a directory"),
        (vec![dir("."), dir("planted"), file("planted/new")], "cannot overwrite"),
        (vec![dir("."), file("planted-file")], ""),
        (vec![file("planted-file")], ""),
        (vec![dir("."), file(&"x/".repeat(3000))], "longer than"),
        (vec![dir("t"), file("t/x"), file("t/x/y")], "not a directory"),
        (vec![dir("t"), dir("t/x"), file("t/x")], "cannot overwrite a directory"),
        (vec![dir("t"), file("t/x"), dir("t/x")], "cannot overwrite"),
        (vec![dir("t"), file("t")], "cannot overwrite a directory"),
        (vec![], "nothing to copy"),
    ] {
        let shown = format!("{:?}", entries.iter().map(|e| &e.path).collect::<Vec<_>>());
        let error = attack(&entries);
        assert!(error.contains(why) && error.is_empty() == why.is_empty(), "{shown}: {error}");
    }
}

#[test]
fn half_a_file_gets_no_name() {
    let root = tempfile::tempdir().unwrap();
    let bytes = tar(&[entry(Kind::Directory, "t"), entry(Kind::File, "t/one")]);
    let mut lying = bytes[..bytes.len() - 1024].to_vec();
    let more = tar(&[Entry { size: 1 << 50, ..entry(Kind::File, "t/two") }]);
    lying.extend_from_slice(&more[..more.len() - 1024]);
    lying.extend_from_slice(&[1; 5000]);
    let (outcome, _) = to(&root.path().join("t"), &lying, Rules::default());
    assert!(outcome.unwrap_err().to_string().contains("ends in the middle of \"t/two\""));
    let names: Vec<_> = fs::read_dir(root.path().join("t")).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read(root.path().join("t/one")).unwrap(), b"t/one");
    // A hole of any size is none of anyone's business; data have to be there.
    let sparse = SparseMap::new([(0, 4)], 1 << 60, 4);
    let huge = Entry { size: 1 << 60, sparse, ..entry(Kind::File, "huge") };
    let mut tar = Writer::new(Vec::new());
    tar.begin(&huge).unwrap();
    let (outcome, _) = to(&root.path().join("huge"), &tar.finish().unwrap(), Rules::default());
    assert!(outcome.is_err() && !root.path().join("huge").exists());
}

/// What the kernel moves is the same as what is read, and is missed when it ends.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_as_good_as_its_bytes() {
    use std::io::Write;
    let (root, tree) = tree();
    let bytes = packed(&tree, &As::named(b"tree"));
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let from = tree.clone();
    let packing = std::thread::spawn(move || {
        let mut tar = Writer::new(fs::File::from(writer));
        let what = As::named(b"tree");
        crate::pack::pack_pipe(&from, &what, &mut tar, &mut Notes::default()).unwrap();
        tar.finish().unwrap();
    });
    let mut sent = Vec::new();
    std::io::Read::read_to_end(&mut fs::File::from(reader), &mut sent).unwrap();
    packing.join().unwrap();
    assert!(sent == bytes);
    for (length, whole) in [(bytes.len(), true), (bytes.len() / 2, false)] {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let part = bytes[..length].to_vec();
        let writing = std::thread::spawn(move || fs::File::from(writer).write_all(&part));
        let place = root.path().join("piped");
        let rules = Rules { owners: is_root(), ..Rules::default() };
        let into = Into::Place(&place);
        let outcome = super::unpack_pipe(reader.into(), into, rules, &mut Notes::default());
        writing.join().unwrap().unwrap();
        assert_eq!(outcome.is_ok(), whole, "{outcome:?}");
        if whole && is_root() {
            assert_eq!(said(&place), said(&tree));
        }
    }
}

#[test]
fn trusted_tars_follow_links_where_they_are_asked_to() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("usr")).unwrap();
    symlink("usr", root.path().join("bin")).unwrap();
    let bytes = tar(&[entry(Kind::File, "bin/tool"), entry(Kind::File, "new/dir/file")]);
    let below = |rules| unpack(&bytes[..], Into::Below(root.path()), rules, &mut Notes::default());
    assert!(below(Rules::default()).is_err());
    below(Rules { follow: true, ..Rules::default() }).unwrap();
    assert!(root.path().join("usr/tool").exists() && root.path().join("new/dir/file").exists());
}

#[test]
fn names_and_owners_are_as_asked() {
    let (root, tree) = tree();
    let what = As { owners: Some((3, 4)), mode: Some(0o640), ..As::named(b"x") };
    let bytes = packed(&tree.join("a/file"), &what);
    let mut entries = crate::archive::Entries::new(&bytes[..]);
    let first = entries.next().unwrap().unwrap();
    assert_eq!((first.uid, first.gid, first.mode, &first.path[..]), (3, 4, 0o640, &b"x"[..]));
    // A link, or what it leads to; and never through one below.
    symlink("a/file", tree.join("to-file")).unwrap();
    for (follow, kind) in [(false, Kind::Symlink), (true, Kind::File)] {
        let what = As { follow, ..As::named(b"x") };
        let bytes = packed(&tree.join("to-file"), &what);
        let first = crate::archive::Entries::new(&bytes[..]).next().unwrap().unwrap();
        assert_eq!(first.kind, kind);
    }
    symlink("a", tree.join("to-dir")).unwrap();
    let slash = packed(&tree.join("to-dir/"), &As::named(b"to-dir"));
    let first = crate::archive::Entries::new(&slash[..]).next().unwrap().unwrap();
    assert_eq!((first.kind, &first.path[..]), (Kind::Directory, &b"to-dir/"[..]));
    fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    drop(root);
}
