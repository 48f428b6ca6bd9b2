// SPDX-License-Identifier: Apache-2.0
//! GNU and pax extensions: long names, exact times, large numbers, attributes.

use super::tar_maker::{Entry, record};
use super::{Tar, image, refusal, refusal_with, summary};
use crate::image::layer::Limits;

#[test]
fn gnu_long_names_and_links() {
    let name = "long/".repeat(60) + "name";
    let target = "t/".repeat(120) + "target";
    let image = image(&Tar::new().symlink(&name, &target));
    assert_eq!(image.get(&name).data, target.as_bytes());
}

#[test]
fn ustar_prefix() {
    let mut block = [0; 512];
    block[..4].copy_from_slice(b"name");
    block[156] = b'5';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[345..351].copy_from_slice(b"pre/fi");
    let image = image(&Tar::new().block(block));
    assert_eq!(image.paths(), ["pre", "pre/fi", "pre/fi/name"]);
}

#[test]
fn pax_overrides() {
    let tar = Tar::new()
        .pax(&[
            ("path", b"real"),
            ("uid", b"3000000000"),
            ("gid", b"70000"),
            ("size", b"5"),
            ("mtime", b"1234567890.123456789"),
            ("comment", b"a\nb"),
        ])
        .raw(&Entry { name: b"other", data: b"12345", size: Some(1), ..Entry::default() })
        .pax(&[("linkpath", b"to"), ("path", b"gone"), ("path", b"")])
        .raw(&Entry { name: b"link", flag: b'2', link: b"elsewhere", ..Entry::default() });
    let image = image(&tar);
    let real = image.get("real");
    assert_eq!((real.uid, real.gid, &real.data[..]), (3_000_000_000, 70_000, &b"12345"[..]));
    assert_eq!(real.mtime, (1_234_567_890, 123_456_789));
    assert_eq!(image.get("link").data, b"to");
    assert_eq!(image.paths(), ["link", "real"]);
}

#[test]
fn times() {
    for (text, time) in [
        ("0", (0, 0)),
        ("1.5", (1, 500_000_000)),
        ("1.0000000019", (1, 1)),
        ("-1", (-1, 0)),
        ("-1.5", (-2, 500_000_000)),
        ("-0.25", (-1, 750_000_000)),
        ("253402300800.000000001", (253_402_300_800, 1)),
    ] {
        let image = image(&Tar::new().pax(&[("mtime", text.as_bytes())]).file("f", b""));
        assert_eq!(image.get("f").mtime, time, "{text}");
    }
    for text in ["", " ", "x", "1.x", "--1", "99999999999999999999", "1e9"] {
        let tar = Tar::new().pax(&[("mtime", text.as_bytes())]).file("f", b"");
        if text.is_empty() {
            assert_eq!(image(&tar).get("f").mtime, (1_700_000_000, 0));
        } else {
            assert_eq!(
                refusal(&tar),
                r#""f": its pax mtime is no time"#.replace('f', "PaxHeaders/x")
            );
        }
    }
}

#[test]
fn global_headers_are_skipped() {
    let data = record("path", b"wrong");
    let tar = Tar::new().raw(&Entry {
        name: b"pax_global_header",
        flag: b'g',
        data: &data,
        ..Entry::default()
    });
    assert_eq!(image(&tar.file("f", b"")).paths(), ["f"]);
}

#[test]
fn attributes() {
    let capability = [1, 0, 0, 2, 0, b'\n', 0, 0, 0, b'=', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let acl = [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255];
    let long = "n".repeat(250);
    let long = format!("SCHILY.xattr.user.{long}");
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.empty", b""),
            ("SCHILY.xattr.user.twice", b"1"),
            ("SCHILY.xattr.user.twice", b"2"),
            ("SCHILY.xattr.trusted.t", b"root's"),
            ("SCHILY.xattr.system.posix_acl_access", &acl),
            (&long, &[7; 60_000]),
        ])
        .file("f", b"")
        .pax(&[("SCHILY.xattr.system.posix_acl_default", &acl)])
        .dir("d")
        .pax(&[("SCHILY.xattr.security.ima", b"sig")])
        .symlink("s", "f");
    let (image, summary) = summary(&tar);
    let xattrs = &image.get("f").xattrs;
    assert_eq!(xattrs.len(), 6);
    assert_eq!(xattrs[&b"security.capability"[..]], capability);
    assert_eq!(xattrs[&b"user.empty"[..]], b"");
    assert_eq!(xattrs[&b"user.twice"[..]], b"2");
    assert_eq!(xattrs[&b"trusted.t"[..]], b"root's");
    assert_eq!(xattrs[&b"system.posix_acl_access"[..]], acl);
    assert_eq!(xattrs[&long.as_bytes()[13..]], [7; 60_000]);
    assert_eq!(image.get("d").xattrs[&b"system.posix_acl_default"[..]], acl);
    assert_eq!(image.get("s").xattrs[&b"security.ima"[..]], b"sig");
    assert_eq!(summary.dropped_xattrs, 0);
}

#[test]
fn attributes_and_data_behind_one_inode() {
    // Inode, attributes and tail in all proportions to the end of a block.
    let mut tar = Tar::new();
    for n in (0..8200).step_by(97) {
        tar = tar
            .pax(&[("SCHILY.xattr.user.x", &vec![b'v'; n])])
            .dir(&format!("d{n}"))
            .file(&format!("d{n}/file"), b"x")
            .pax(&[("SCHILY.xattr.trusted.x", &vec![b'v'; n])])
            .symlink(&format!("s{n}"), &"t".repeat(n % 250 + 1));
    }
    let image = image(&tar);
    for n in (0..8200).step_by(97) {
        assert_eq!(image.get(&format!("d{n}")).xattrs[&b"user.x"[..]].len(), n);
        assert!(image.has(&format!("d{n}/file")));
        assert_eq!(image.get(&format!("s{n}")).data.len(), n % 250 + 1);
    }
}

#[test]
fn attributes_the_overlay_would_obey_are_dropped() {
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.metacopy", b""),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlayed", b"not one of them"),
            ("SCHILY.xattr.com.apple.provenance", b"x"),
            ("SCHILY.xattr.system.nfs4_acl", b"x"),
        ])
        .dir("d")
        .pax(&[("SCHILY.xattr.user.x", b"1"), ("SCHILY.xattr.system.posix_acl_access", b"")])
        .symlink("s", "x");
    let (image, summary) = summary(&tar);
    assert_eq!(image.get("d").xattrs.keys().collect::<Vec<_>>(), [&b"trusted.overlayed"[..]]);
    assert!(image.get("s").xattrs.is_empty());
    assert_eq!(summary.dropped_xattrs, 7);
}

#[test]
fn attributes_that_cannot_be_kept_are_refused() {
    let refused = |name: &str, value: &[u8]| {
        let key = format!("SCHILY.xattr.{name}");
        refusal(&Tar::new().pax(&[(&key, value)]).file("f", b""))
    };
    assert_eq!(refused("user.", b""), r#""f": extended attribute "user.": it has no name"#);
    assert!(refused(&format!("user.{}", "n".repeat(251)), b"").contains("longer than 255"));
    assert!(refused("user.x", &[0; 65_536]).contains("longer than 65535"));
    assert!(refused("user.a\0b", b"").contains("NUL"));
    assert!(refused("system.posix_acl_access", b"garbage").contains("no POSIX ACL"));
    let many: Vec<_> = (0..5).map(|n| format!("SCHILY.xattr.user.{n}")).collect();
    let many: Vec<_> = many.iter().map(|k| (&k[..], &[1; 60_000][..])).collect();
    assert!(refusal(&Tar::new().pax(&many).file("f", b"")).contains("too long together"));
    let mut tar = Tar::new();
    for n in 0..100 {
        tar = tar.pax(&[("SCHILY.xattr.user.x", &[n; 500])]).file("f", b"");
    }
    let limits = Limits { max_xattr_bytes: 10_000, ..Limits::default() };
    assert!(refusal_with(&tar, &limits).contains("more than 10000 bytes of extended attributes"));
    // Equal sets are kept once.
    let mut tar = Tar::new();
    for n in 0..100 {
        tar = tar.pax(&[("SCHILY.xattr.user.x", &[1; 500])]).file(&format!("{n}"), b"");
    }
    assert!(super::try_with(&tar, &limits).is_ok());
}
