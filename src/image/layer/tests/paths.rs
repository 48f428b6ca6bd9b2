// SPDX-License-Identifier: Apache-2.0
//! Which paths are taken, which are refused, and what symlinks on the way mean.

use super::tar_maker::Entry;
use super::{Tar, image, refusal, refusal_with, try_with};
use crate::image::layer::Limits;

fn named(name: &[u8]) -> Tar {
    Tar::new().entry(&Entry { name, ..Entry::default() })
}

#[test]
fn slashes_and_dots_do_not_count() {
    for name in ["a/b", "/a/b", "./a/b", "//a//b", "/./a/././b", "././/./a/b"] {
        assert_eq!(image(&named(name.as_bytes())).paths(), ["a", "a/b"]);
    }
    assert_eq!(image(&Tar::new().dir("/a/b/./")).paths(), ["a", "a/b"]);
}

#[test]
fn names_are_bytes() {
    let name = b"caf\xe9/\xff\n\\ \x7f";
    let image = image(&named(name));
    assert!(image.nodes.contains_key(&name[..]));
}

#[test]
fn long_names_and_paths() {
    let longest = "n".repeat(255);
    assert_eq!(image(&named(longest.as_bytes())).paths(), [&*longest]);
    let message = refusal(&named(&[b'n'; 256]));
    assert!(message.ends_with("a name in it is longer than 255 bytes"), "{message}");
    assert!(message.len() < 400);
    let deep = "d/".repeat(2047) + "f";
    assert_eq!(image(&named(deep.as_bytes())).paths().len(), 2048);
    assert!(refusal(&named((deep + "/gg").as_bytes())).contains("too long"));
}

#[test]
fn very_deep_trees_do_not_recurse() {
    let limits = Limits { max_path: 1 << 20, ..Limits::default() };
    let path = "d/".repeat(20_000) + "f";
    let tar = named(path.as_bytes());
    let (bytes, summary) = super::image_bytes(&tar.finished(), &limits).expect("accepted");
    assert_eq!(summary.inodes, 20_002);
    assert!(!bytes.is_empty());
}

#[test]
fn escapes_are_refused_by_name() {
    for name in ["..", "../x", "a/../b", "/..", "a/..", "./../x"] {
        let message = refusal(&named(name.as_bytes()));
        assert_eq!(message, format!("refused path {name:?}: it holds a .. component"));
    }
    let nul = Tar::new().pax(&[("path", b"a\0b")]).file("x", b"");
    assert_eq!(refusal(&nul), r#"refused path "a\0b": it holds a NUL byte"#);
    // Names that only look like it are fine.
    assert_eq!(image(&named(b"..a/...")).paths(), ["..a", "..a/..."]);
}

#[test]
fn the_root_stays_a_directory() {
    for name in ["", ".", "/", "./"] {
        for flag in [b'0', b'1', b'2', b'3', b'6'] {
            let tar = Tar::new().entry(&Entry {
                name: name.as_bytes(),
                flag,
                link: b"x",
                ..Entry::default()
            });
            assert!(refusal(&tar).contains("root"));
        }
    }
}

#[test]
fn nothing_lies_below_a_file() {
    for tar in [
        Tar::new().file("f", b""),
        Tar::new().hardlink("f", "g"),
        Tar::new().entry(&Entry { name: b"f", flag: b'3', device: (1, 3), ..Entry::default() }),
    ] {
        let tar = Tar { bytes: [Tar::new().file("g", b"").bytes, tar.bytes].concat() };
        let message = refusal(&tar.file("f/x", b""));
        assert_eq!(message, r#""f/x" lies below "f", which is not a directory"#);
    }
}

#[test]
fn symlinks_on_the_way_are_followed_inside_the_layer() {
    let tar = Tar::new()
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .file("lib/x", b"1")
        .symlink("abs", "/usr/lib")
        .file("abs/y", b"2")
        .symlink("usr/up", "../../../../etc")
        .file("usr/up/passwd", b"3")
        .symlink("dangling", "not/there")
        .file("dangling/z", b"4")
        .hardlink("linked", "lib/x");
    let image = image(&tar);
    assert_eq!(image.get("usr/lib/x").data, b"1");
    assert_eq!(image.get("usr/lib/y").data, b"2");
    assert_eq!(image.get("etc/passwd").data, b"3");
    assert_eq!(image.get("not/there/z").data, b"4");
    assert_eq!(image.get("linked"), image.get("usr/lib/x"));
    // The links are what they were.
    assert_eq!(image.get("lib").data, b"usr/lib");
    assert_eq!(image.get("usr/up").data, b"../../../../etc");
}

#[test]
fn the_last_component_is_never_followed() {
    let tar = Tar::new().file("t", b"target").symlink("s", "t").file("s", b"new");
    let image = image(&tar);
    assert_eq!((&image.get("t").data[..], &image.get("s").data[..]), (&b"target"[..], &b"new"[..]));
}

#[test]
fn a_changed_link_changes_the_way() {
    let tar = Tar::new()
        .symlink("s", "one")
        .file("s/a", b"")
        .symlink("s", "two")
        .file("s/b", b"")
        .file("s/c", b"");
    let image = image(&tar);
    assert!(image.has("one/a") && image.has("two/b") && image.has("two/c"));
}

#[test]
fn loops_and_long_ways_are_refused() {
    let refused = |tar: Tar| {
        let message = refusal(&tar);
        assert!(message.contains("symlinks"), "{message}");
    };
    refused(Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", b""));
    refused(Tar::new().symlink("a", "a/a").file("a/x", b""));
    refused(Tar::new().symlink("a", &"x/".repeat(1000)).file("a/x", b""));
    let mut tar = Tar::new();
    for n in 0..41 {
        tar = tar.symlink(&n.to_string(), &(n + 1).to_string());
    }
    refused(tar.clone().file("0/x", b""));
    assert_eq!(image(&tar.file("1/x", b"")).get("41/x").size, 0);
}

#[test]
fn implied_directories_count_as_entries() {
    let limits = Limits { max_entries: 100, ..Limits::default() };
    let deep = "d/".repeat(200) + "f";
    let message = refusal_with(&named(deep.as_bytes()), &limits);
    assert!(message.ends_with("the layer has more than 100 entries"), "{message}");
    assert!(try_with(&named(b"a/b"), &limits).is_ok());
}
