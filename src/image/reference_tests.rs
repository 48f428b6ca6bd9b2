// SPDX-License-Identifier: Apache-2.0
//! The tables of distribution's and Docker's own reference tests, and ours.

use super::ReferenceErrorKind as Kind;
use super::*;
use crate::image::digest::Algorithm;

const HEX: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

#[test]
fn normalizes_as_docker_does() {
    let digest = format!("@sha256:{HEX}");
    for (text, full, familiar) in [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker/docker", "docker.io/docker/docker:latest", "docker/docker:latest"),
        ("library/debian/x", "docker.io/library/debian/x:latest", "library/debian/x:latest"),
        (
            "127.0.0.1:5000/docker/docker",
            "127.0.0.1:5000/docker/docker:latest",
            "127.0.0.1:5000/docker/docker:latest",
        ),
        ("localhost/busybox", "localhost/busybox:latest", "localhost/busybox:latest"),
        ("localhost:5000/busybox:1", "localhost:5000/busybox:1", "localhost:5000/busybox:1"),
        ("[::1]:5000/a/b:t", "[::1]:5000/a/b:t", "[::1]:5000/a/b:t"),
        ("[2001:db8::1]/a", "[2001:db8::1]/a:latest", "[2001:db8::1]/a:latest"),
        ("Uppercase/lowercase", "Uppercase/lowercase:latest", "Uppercase/lowercase:latest"),
        ("a.b/c:1.0-x_Y", "a.b/c:1.0-x_Y", "a.b/c:1.0-x_Y"),
        (
            "xn--n3h.com/my__app/a-b--c",
            "xn--n3h.com/my__app/a-b--c:latest",
            "xn--n3h.com/my__app/a-b--c:latest",
        ),
        ("foo_bar.com:8080", "docker.io/library/foo_bar.com:8080", "foo_bar.com:8080"),
        ("test.com:8080", "docker.io/library/test.com:8080", "test.com:8080"),
    ] {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(full.parse::<Reference>().unwrap(), reference, "the full form means the same");
        assert_eq!(
            familiar.parse::<Reference>().unwrap(),
            reference,
            "the short form means the same"
        );
    }
    let pinned: Reference = format!("alpine{digest}").parse().unwrap();
    assert_eq!(pinned.tag(), None, "a digest needs no tag");
    assert_eq!(pinned.familiar(), format!("alpine{digest}"));
    let both: Reference = format!("alpine:3{digest}").parse().unwrap();
    assert_eq!(both.to_string(), format!("docker.io/library/alpine:3{digest}"));
}

#[test]
fn refuses_what_the_grammar_refuses() {
    let long = "a".repeat(256);
    let long_tag = format!("a:{}", "t".repeat(129));
    let endless = "a".repeat(1 << 20);
    for (text, kind) in [
        ("", Kind::Empty),
        (" ", Kind::Empty),
        (endless.as_str(), Kind::TooLong),
        (long.as_str(), Kind::NameTooLong),
        ("https://github.com/docker/docker", Kind::Scheme),
        (HEX, Kind::ImageId),
        ("docker/Docker", Kind::Uppercase),
        ("Docker", Kind::Uppercase),
        ("-docker/docker", Kind::Repository),
        ("docker///docker", Kind::Repository),
        ("docker.io/docker/Docker", Kind::Uppercase),
        ("docker.io/docker///docker", Kind::Repository),
        ("-docker.io/docker", Kind::Registry),
        ("docker-", Kind::Repository),
        ("a._b", Kind::Repository),
        ("a___b", Kind::Repository),
        ("a..b", Kind::Repository),
        ("a/../b", Kind::Repository),
        ("../a", Kind::Registry),
        ("a/", Kind::Repository),
        ("/a", Kind::Repository),
        ("a b", Kind::Repository),
        ("a\n", Kind::Repository),
        ("é", Kind::Repository),
        ("repo?x=1", Kind::Repository),
        ("repo#x", Kind::Repository),
        ("a:", Kind::Tag),
        ("a:.x", Kind::Tag),
        ("a:-x", Kind::Tag),
        ("a:x y", Kind::Tag),
        ("a:b:c", Kind::Tag),
        (long_tag.as_str(), Kind::Tag),
        ("localhost:0/a", Kind::Port),
        ("localhost:/a", Kind::Port),
        ("localhost:65536/a", Kind::Port),
        ("localhost:+80/a", Kind::Port),
        ("user@localhost:5000/a", Kind::Digest(DigestError::Algorithm)),
        ("[::1/a", Kind::Registry),
        ("[fe80::1%eth0]:5000/a", Kind::Registry),
        ("a@", Kind::Digest(DigestError::Form)),
        ("a@sha1:abcd", Kind::Digest(DigestError::Algorithm)),
    ] {
        let error = text.parse::<Reference>().expect_err(text);
        assert_eq!(error.kind, kind, "{text}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn knows_loopback() {
    for (text, loopback) in [
        ("localhost/a", true),
        ("localhost:5000/a", true),
        ("127.0.0.1:5000/a", true),
        ("127.8.9.1/a", true),
        ("[::1]:5000/a", true),
        ("[::1]/a", true),
        ("[::2]/a", false),
        ("128.0.0.1/a", false),
        ("localhost.example.com/a", false),
        ("127.0.0.1.example.com/a", false),
        ("alpine", false),
    ] {
        assert_eq!(text.parse::<Reference>().unwrap().is_loopback(), loopback, "{text}");
    }
}

#[test]
fn serializes_as_one_string() {
    let reference: Reference = "alpine".parse().unwrap();
    let json = serde_json::to_string(&reference).unwrap();
    assert_eq!(json, r#""docker.io/library/alpine:latest""#);
    assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
    assert!(serde_json::from_str::<Reference>(r#""A B""#).is_err());
}

#[test]
fn takes_what_just_fits() {
    let tag = "t".repeat(128);
    let path = "a".repeat(255 - "docker.io/library/".len());
    let digest = format!("sha256:{HEX}");
    let long = format!("{path}:{tag}@sha512:{HEX}{HEX}");
    for (text, registry, repository, tagged, pinned) in [
        (format!("a:{tag}"), "docker.io", "library/a", Some(tag.as_str()), false),
        (long, "docker.io", &format!("library/{path}"), Some(&tag), true),
        (format!("[::1]:5000/a:1@{digest}"), "[::1]:5000", "a", Some("1"), true),
        (format!("h:65535/a/b@{digest}"), "h:65535", "a/b", None, true),
        ("localhost/a/b/c:_".into(), "localhost", "a/b/c", Some("_"), false),
        ("LocalHost:1/a".into(), "LocalHost:1", "a", Some("latest"), false),
        ("127.0.0.1/a:V1.0-RC_1".into(), "127.0.0.1", "a", Some("V1.0-RC_1"), false),
        ("localhost".into(), "docker.io", "library/localhost", Some("latest"), false),
        ("a:5000".into(), "docker.io", "library/a", Some("5000"), false),
    ] {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reference.registry(), registry, "{text}");
        assert_eq!(reference.repository(), repository, "{text}");
        assert_eq!((reference.tag(), reference.digest().is_some()), (tagged, pinned), "{text}");
        assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "{text}");
    }
}

#[test]
fn refuses_what_is_one_too_many() {
    let path = "a".repeat(256 - "docker.io/library/".len());
    let digest = format!("sha256:{HEX}");
    for (text, kind) in [
        (path, Kind::NameTooLong),
        (format!("ghcr.io/Owner/app@{digest}"), Kind::Uppercase),
        (format!("a:@{digest}"), Kind::Tag),
        (format!("a@{digest}@{digest}"), Kind::Digest(DigestError::Hex(Algorithm::Sha256))),
        (format!("a@{digest}:1"), Kind::Digest(DigestError::Hex(Algorithm::Sha256))),
        (format!("a@{}", digest.to_uppercase()), Kind::Digest(DigestError::Algorithm)),
        (format!("@{digest}"), Kind::Repository),
        ("a:b/c".into(), Kind::Port),
        ("[::1]/A".into(), Kind::Uppercase),
        ("::1/a".into(), Kind::Registry),
        ("[::1]:/a".into(), Kind::Port),
        ("a:ü".into(), Kind::Tag),
    ] {
        let error = text.parse::<Reference>().expect_err(&text);
        assert_eq!(error.kind, kind, "{text}");
    }
}

/// Found by fuzzing: `er.io/x` would be another registry.
#[test]
fn a_path_that_looks_like_a_registry_stays_behind_one() {
    let reference = "docker.io/er.io/x".parse::<Reference>().unwrap();
    assert_eq!(reference.familiar(), "docker.io/er.io/x:latest");
    assert_eq!("docker.io/library/er.io".parse::<Reference>().unwrap().familiar(), "er.io:latest");
}
