// SPDX-License-Identifier: Apache-2.0
//! A tar of a hostile guest, unpacked beside a file that nobody may touch: the bytes are the
//! tar, or they choose entries that mean harm.
#![no_main]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mvm_files::archive::{Entry, Kind, Writer};
use mvm_files::{Into, Notes, Rules, unpack};

const KINDS: [Kind; 7] = [
    Kind::File,
    Kind::Directory,
    Kind::Symlink,
    Kind::HardLink,
    Kind::Fifo,
    Kind::CharDevice,
    Kind::Directory,
];
const NAMES: [&str; 16] = [
    ".",
    "t",
    "t/a",
    "t/b",
    "t/a/b",
    "t/a/b/c",
    "t/b/file",
    "t/./a",
    "t//a",
    "/t/a",
    "t/../t/a",
    "../victim/file",
    "t/a/../../victim",
    "planted",
    "planted/file",
    "t/planted/file",
];
const LINKS: [&str; 8] =
    ["a", "..", "../../victim", "../victim/file", "/", "t/a", "t/b", "planted"];

/// Its precious file, and where tars go.
fn place() -> &'static tempfile::TempDir {
    static PLACE: OnceLock<tempfile::TempDir> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir(place.path().join("victim")).expect("a directory");
        fs::write(place.path().join("victim/file"), "precious").expect("a file");
        place
    })
}

fn made_of(choices: &[u8]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for choice in choices.chunks_exact(3).take(64) {
        let kind = KINDS[usize::from(choice[0]) % KINDS.len()];
        let name = NAMES[usize::from(choice[1]) % NAMES.len()];
        let link = LINKS[usize::from(choice[2]) % LINKS.len()];
        let size = if kind == Kind::File { name.len() as u64 } else { 0 };
        let entry = Entry {
            path: name.into(),
            link: link.into(),
            kind,
            mode: u16::from(choice[0]) << 4 & 0o7777,
            uid: 1,
            gid: 1,
            mtime: (1, 0),
            size,
            device: (1, 3),
            xattrs: Vec::new(),
            sparse: None,
        };
        tar.begin(&entry).expect("memory");
        if size > 0 {
            tar.data(name.as_bytes()).expect("memory");
            tar.pad(size).expect("memory");
        }
    }
    tar.finish().expect("memory")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let made = if how % 2 == 0 { rest.to_vec() } else { made_of(rest) };
    let place = place().path();
    let target = place.join("target");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir(&target).expect("a directory");
    symlink("../victim", target.join("planted")).expect("a link");
    let into = if how % 4 < 2 { Into::Place(&target) } else { Into::Below(&target) };
    let rules = Rules { owners: how % 8 < 4, ..Rules::default() };
    let _ = unpack(&made[..], into, rules, &mut Notes::default());
    let victim = fs::metadata(place.join("victim/file")).expect("it is there");
    assert_eq!((victim.nlink(), victim.len()), (1, 8));
    assert_eq!(fs::read_dir(place.join("victim")).expect("a directory").count(), 1);
    assert_eq!(fs::read_dir(place).expect("a directory").count(), 2);
});
