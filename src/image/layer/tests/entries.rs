// SPDX-License-Identifier: Apache-2.0
//! Every kind of entry with its metadata, and entries that come twice.

use super::tar_maker::Entry;
use super::{Tar, image, named, refusal, summary};
use crate::image::layer::{Limits, convert, looks_whole};

#[test]
fn kinds_and_metadata() {
    let special = |name, flag, device| Entry {
        name,
        flag,
        device,
        mode: 0o620,
        uid: 5,
        gid: 6,
        ..Entry::default()
    };
    let tar = Tar::new()
        .entry(&Entry {
            name: b"./",
            flag: b'5',
            mode: 0o1777,
            uid: 7,
            gid: 8,
            mtime: 5,
            ..Entry::default()
        })
        .entry(&Entry {
            name: b"./bin/su",
            mode: 0o106_755,
            uid: 70_000,
            gid: 4_000_000_000,
            data: b"elf",
            ..Entry::default()
        })
        .entry(&Entry {
            name: b"link",
            flag: b'2',
            link: b"/a/../b",
            mode: 0o600,
            ..Entry::default()
        })
        .entry(&special(b"null", b'3', (1, 3)))
        .entry(&special(b"disk", b'4', (259, 1_000_000)))
        .entry(&special(b"pipe", b'6', (0, 0)))
        .entry(&Entry { name: b"old", mtime: -1, flag: 0, ..Entry::default() })
        .entry(&Entry { name: b"v7dir/", flag: 0, ..Entry::default() });
    let image = image(&tar);
    let root = image.get("");
    assert_eq!((root.mode, root.uid, root.gid), (0o041_777, 7, 8));
    assert_eq!(root.mtime, (5, 0));
    let su = image.get("bin/su");
    assert_eq!((su.mode, su.uid, su.gid), (0o106_755, 70_000, 4_000_000_000));
    assert_eq!((&su.data[..], su.size, su.nlink), (&b"elf"[..], 3, 1));
    assert_eq!(su.mtime, (1_700_000_000, 0));
    let link = image.get("link");
    assert_eq!((link.mode, &link.data[..]), (0o120_777, &b"/a/../b"[..]));
    let null = image.get("null");
    assert_eq!((null.mode, null.device), (0o020_620, 0x103));
    // Major 259; minor 1000000 = 0xf4240 in two parts.
    let packed = 0x40 | 259 << 8 | 0xf_4200 << 12;
    assert_eq!(image.get("disk").device, packed);
    assert_eq!(image.get("disk").mode, 0o060_620);
    let pipe = image.get("pipe");
    assert_eq!((pipe.mode, pipe.uid, pipe.gid), (0o010_620, 5, 6));
    assert_eq!(image.get("old").mtime, (-1, 0));
    assert_eq!(image.get("v7dir").mode, 0o040_644);
}

#[test]
fn files_of_all_sizes() {
    let mut tar = Tar::new();
    let sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 1 << 20, (3 << 20) + 7];
    let content = |size: usize| (0..size).map(|i| (i * 7 + size) as u8).collect::<Vec<_>>();
    for size in sizes {
        tar = tar.file(&format!("f{size}"), &content(size));
    }
    let image = image(&tar);
    for size in sizes {
        assert!(image.get(&format!("f{size}")).data == content(size), "{size}");
    }
}

#[test]
fn symlinks_of_all_lengths() {
    let mut tar = Tar::new();
    let lengths = [1, 100, 101, 255, 256, 4095];
    for length in lengths {
        tar = tar.symlink(&format!("l{length}"), &"t".repeat(length));
    }
    let image = image(&tar);
    for length in lengths {
        assert_eq!(image.get(&format!("l{length}")).data, vec![b't'; length]);
    }
    assert!(refusal(&Tar::new().symlink("l", &"t".repeat(4096))).contains("target"));
    assert!(refusal(&Tar::new().symlink("l", "")).contains("target"));
}

#[test]
fn hard_links() {
    let tar = Tar::new()
        .file("a", b"one")
        .hardlink("b/c", "./a")
        .file("d", b"two")
        .hardlink("d", "/a")
        .symlink("s", "nowhere")
        .hardlink("s2", "s")
        .hardlink("a", "a");
    let image = image(&tar);
    assert_eq!(image.get("a").nlink, 3);
    assert_eq!(image.get("b/c"), image.get("a"));
    assert_eq!(image.get("d"), image.get("a"));
    assert_eq!(image.get("s2"), image.get("s"));
    assert_eq!(image.get("s2").data, b"nowhere");
}

#[test]
fn a_link_keeps_what_was_replaced_later() {
    let tar = Tar::new().file("a", b"one").hardlink("b", "a").file("a", b"two");
    let image = image(&tar);
    assert_eq!((&image.get("b").data[..], image.get("b").nlink), (&b"one"[..], 1));
    assert_eq!(image.get("a").data, b"two");
}

#[test]
fn links_to_nothing_are_refused_by_both_names() {
    let message = refusal(&Tar::new().hardlink("x", "gone/y"));
    assert_eq!(message, r#"cannot link "x" to "gone/y": the layer has no such file before it"#);
    for target in ["later", "w", "d", "", "/", "../a", "n\u{0}"] {
        let tar = Tar::new().dir("d").file(".wh.w", b"").pax(&[("linkpath", target.as_bytes())]);
        let message = refusal(&tar.hardlink("x", "?").file("later", b""));
        assert!(target.is_empty() || message.contains("link"), "{message}");
    }
}

#[test]
fn the_last_of_equal_names_wins() {
    let tar = Tar::new()
        .file("f", b"one")
        .file("f", b"second")
        .dir("d")
        .file("d/kept", b"")
        .entry(&Entry { name: b"d", flag: b'5', mode: 0o700, uid: 9, ..Entry::default() })
        .dir("e")
        .file("e/x/y", b"")
        .file("e", b"now a file")
        .symlink("s", "f")
        .dir("s")
        .file("s/in", b"");
    let image = image(&tar);
    assert_eq!(image.get("f").data, b"second");
    assert_eq!((image.get("d").mode, image.get("d").uid), (0o040_700, 9));
    assert!(image.has("d/kept") && !image.has("e/x"));
    assert_eq!(image.get("e").data, b"now a file");
    assert!(image.has("s/in"));
    // A directory that was something else before does not show what lies below.
    assert!(image.get("s").is_opaque() && !image.get("d").is_opaque());
}

#[test]
fn a_directory_that_comes_back_is_empty() {
    let tar = Tar::new().file("d/old", b"").file("d", b"").dir("d").file("d/new", b"");
    let image = image(&tar);
    assert_eq!(image.paths(), ["d", "d/new"]);
}

#[test]
fn missing_parents() {
    let (image, summary) = summary(&Tar::new().file("a/b/c", b"").dir("a/d").dir("a/d/e"));
    for path in ["a", "a/b"] {
        let node = image.get(path);
        assert_eq!((node.mode, node.uid, node.gid), (0o040_755, 0, 0));
        assert_eq!(node.mtime, (0, 0));
    }
    assert_eq!(summary.implied_dirs, [b"a".to_vec(), b"a/b".to_vec()]);
    let (_, summary) = self::summary(&Tar::new().file("a/b", b"").dir("a"));
    assert!(summary.implied_dirs.is_empty());
}

#[test]
fn large_directories() {
    for (count, length) in [(1, 255), (13, 255), (15, 255), (16, 255), (2000, 20), (9000, 4)] {
        let mut tar = Tar::new();
        let name = |n: usize| format!("{n:0length$}");
        // Not in their order, and some sort before "." and "..".
        for n in (0..count).rev() {
            tar = tar.file(&format!("d/{}", name(n)), b"");
        }
        tar = tar.file("d/!", b"").file("d/.-", b"").file("d/...", b"").file("d/.\u{1}", b"");
        let image = image(&tar);
        assert_eq!(image.paths().len(), count + 5);
        assert!((0..count).all(|n| image.has(&format!("d/{}", name(n)))));
    }
}

#[test]
fn an_empty_layer() {
    let (image, summary) = summary(&Tar::new());
    assert!(image.paths().is_empty());
    assert_eq!(image.get("").mode, 0o040_755);
    assert_eq!((summary.entries, summary.inodes), (0, 1));
    let (_kept, file) = named();
    assert!(convert(&b""[..], &file, &Limits::default()).is_ok());
}

#[test]
fn equal_input_gives_equal_images() {
    let mut tar = Tar::new();
    for n in 0..500 {
        let xattrs = [("SCHILY.xattr.user.b", &[n as u8][..]), ("SCHILY.xattr.user.a", b"2")];
        tar = tar.pax(&xattrs).file(&format!("{}/{n}", n % 7), &[n as u8; 50]);
    }
    let limits = Limits::default();
    let one = super::image_bytes(&tar.finished(), &limits).expect("accepted");
    let two = super::image_bytes(&tar.finished(), &limits).expect("accepted");
    assert!(one == two);
    let other = super::image_bytes(&tar.file("x", b"").finished(), &limits).expect("accepted");
    let uuid = |bytes: &[u8]| bytes[1024 + 48..1024 + 64].to_vec();
    assert_ne!(uuid(&one.0), uuid(&other.0));
}

#[test]
fn half_an_image_is_none() {
    let (kept, file) = named();
    assert!(!looks_whole(&file).expect("readable"));
    let tar = Tar::new().file("f", &[1; 9000]);
    let cut = &tar.bytes[..2000];
    assert!(convert(cut, &file, &Limits::default()).is_err());
    assert!(!looks_whole(&file).expect("readable"));
    let (kept_2, file) = named();
    convert(&tar.finished()[..], &file, &Limits::default()).expect("accepted");
    assert!(looks_whole(&file).expect("readable"));
    file.set_len(file.metadata().expect("metadata").len() - 4096).expect("cut");
    assert!(!looks_whole(&file).expect("readable"));
    drop((kept, kept_2));
}
