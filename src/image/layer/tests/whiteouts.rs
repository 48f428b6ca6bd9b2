// SPDX-License-Identifier: Apache-2.0
//! Whiteouts and opaque directories (OCI image-spec, layer.md), in any order.

use super::tar_maker::Entry;
use super::{Tar, image, refusal, summary};

#[test]
fn a_whiteout_becomes_a_device() {
    let (image, summary) = summary(&Tar::new().file("a/.wh.gone", b"ignored data").file("b", b"x"));
    let gone = image.get("a/gone");
    assert!(gone.is_whiteout());
    assert_eq!(image.paths(), ["a", "a/gone", "b"]);
    assert_eq!(image.get("b").data, b"x");
    assert_eq!((summary.whiteouts, summary.root_opaque), (1, false));
}

#[test]
fn any_type_of_entry_can_be_a_whiteout() {
    let tar = Tar::new().symlink(".wh.a", "x").dir(".wh.b/").hardlink(".wh.c", "nothing");
    let image = image(&tar);
    for name in ["a", "b", "c"] {
        assert!(image.get(name).is_whiteout());
    }
    assert_eq!(image.get("a").nlink, 3);
}

#[test]
fn a_real_entry_wins_over_its_whiteout() {
    for tar in [
        Tar::new().file("f", b"real").file(".wh.f", b""),
        Tar::new().file(".wh.f", b"").file("f", b"real"),
    ] {
        let image = image(&tar);
        assert_eq!(image.get("f").data, b"real");
        assert_eq!(image.paths(), ["f"]);
    }
}

#[test]
fn a_directory_with_a_whiteout_of_its_own_name_is_opaque() {
    for tar in [
        Tar::new().dir("d").file("d/x", b"").file(".wh.d", b""),
        Tar::new().file(".wh.d", b"").dir("d").file("d/x", b""),
        Tar::new().file(".wh.d", b"").file("d/x", b""),
        Tar::new().file("d/x", b"").file(".wh.d", b"").dir("d"),
    ] {
        let (image, summary) = summary(&tar);
        assert!(image.get("d").is_opaque());
        assert_eq!(image.paths(), ["d", "d/x"]);
        assert!(summary.implied_dirs.is_empty());
    }
}

#[test]
fn opaque_in_any_order() {
    let described = Entry { name: b"d", flag: b'5', mode: 0o750, ..Entry::default() };
    for tar in [
        Tar::new().entry(&described).file("d/x", b"").file("d/.wh..wh..opq", b""),
        Tar::new().file("d/.wh..wh..opq", b"").entry(&described).file("d/x", b""),
        Tar::new().file("d/.wh..wh..opq", b"").file("d/x", b"").entry(&described),
    ] {
        let (image, summary) = summary(&tar);
        assert!(image.get("d").is_opaque());
        assert!(summary.implied_dirs.is_empty());
        assert_eq!(image.get("d").mode, 0o040_750);
        assert!(image.has("d/x") && !image.get("d/x").is_opaque());
    }
}

#[test]
fn an_opaque_directory_keeps_its_own_attributes() {
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.k", b"v"), ("SCHILY.xattr.trusted.overlay.opaque", b"x")])
        .dir("d")
        .file("d/.wh..wh..opq", b"");
    let image = image(&tar);
    let xattrs = &image.get("d").xattrs;
    assert_eq!(xattrs.len(), 2);
    assert_eq!(xattrs[&b"user.k"[..]], b"v");
    assert!(image.get("d").is_opaque());
}

#[test]
fn an_opaque_directory_without_an_entry_is_implied() {
    // Its content is hidden, but the directory below is still the model of this one.
    let (image, summary) = summary(&Tar::new().file("d/.wh..wh..opq", b"").file("d/x", b""));
    assert!(image.get("d").is_opaque());
    assert_eq!(summary.implied_dirs, [b"d".to_vec()]);
}

#[test]
fn an_opaque_root_is_told() {
    let (image, summary) = summary(&Tar::new().file(".wh..wh..opq", b"").file("f", b""));
    assert!(summary.root_opaque);
    assert!(image.get("").is_opaque());
}

#[test]
fn whiteouts_that_hide_nothing_are_left_out() {
    // overlayfs hides whiteouts only in directories that it merges.
    let tar = Tar::new()
        .file("d/.wh..wh..opq", b"")
        .file("d/.wh.x", b"")
        .file("d/sub/.wh.y", b"")
        .file("d/sub/z", b"");
    assert_eq!(image(&tar).paths(), ["d", "d/sub", "d/sub/z"]);
}

#[test]
fn whiteouts_below_files_and_whiteouts_are_ignored() {
    for tar in [
        Tar::new().file("f", b"x").file("f/.wh.a", b"").file("f/g/.wh..wh..opq", b""),
        Tar::new().file("f/.wh.a", b"").file("f", b"x"),
        Tar::new().file("f/g/.wh.a", b"").file("f", b"x"),
    ] {
        let image = image(&tar);
        assert_eq!(image.paths(), ["f"]);
        assert_eq!(image.get("f").data, b"x");
    }
    for tar in [
        Tar::new().file(".wh.d", b"").file("d/.wh.a", b"").file("d/e/.wh..wh..opq", b""),
        Tar::new().file("d/.wh.a", b"").file(".wh.d", b""),
        Tar::new().file("d/e/.wh.a", b"").file("d/e/.wh..wh..opq", b"").file(".wh.d", b""),
    ] {
        let image = image(&tar);
        assert_eq!(image.paths(), ["d"]);
        assert!(image.get("d").is_whiteout());
    }
    // As soon as something real is there, it stays.
    let tar = Tar::new().file("d/e/.wh.a", b"").file("d/e/f", b"").file(".wh.d", b"");
    assert_eq!(image(&tar).paths(), ["d", "d/e", "d/e/f"]);
}

#[test]
fn whiteouts_go_through_symlinks_like_entries() {
    let image = image(&Tar::new().dir("usr/lib").symlink("lib", "usr/lib").file("lib/.wh.x", b""));
    assert!(image.get("usr/lib/x").is_whiteout());
}

#[test]
fn a_device_0_0_is_a_whiteout() {
    let tar = Tar::new().entry(&Entry { name: b"f", flag: b'3', ..Entry::default() });
    let (image, summary) = summary(&tar);
    assert!(image.get("f").is_whiteout());
    assert_eq!(summary.whiteouts, 1);
}

#[test]
fn aufs_bookkeeping_is_ignored() {
    let tar = Tar::new()
        .dir(".wh..wh.plnk")
        .file(".wh..wh.plnk/12.34", b"data")
        .file(".wh..wh.aufs", b"")
        .file("d/.wh..wh.orph/x", b"")
        .file("f", b"x");
    assert_eq!(image(&tar).paths(), ["f"]);
}

#[test]
fn whiteouts_of_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh../", ".wh.a/b", "a/.wh.b/.wh.c"] {
        let message = refusal(&Tar::new().file(name, b""));
        assert!(message.starts_with("refused path"), "{message}");
        assert!(message.contains("whiteout"), "{message}");
    }
}
