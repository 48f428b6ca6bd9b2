// SPDX-License-Identifier: Apache-2.0
//! Damaged tars, tars that lie about lengths, and the limits.

use std::io::{self, Read};

use mvm_files::archive::TarError;

use super::tar_maker::Entry;
use super::{Tar, image, image_bytes, refusal, refusal_with};
use crate::image::layer::{LayerError, Limits, convert};

fn error(bytes: &[u8]) -> String {
    match image_bytes(bytes, &Limits::default()) {
        Ok((_, summary)) => panic!("accepted: {summary:?}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn what_is_no_tar() {
    assert_eq!(error(&[b'x'; 4096]), "not a tar archive: no valid header at byte 0");
    assert_eq!(error(b"<html>"), "the tar ends in the middle of \"a header\"");
    let mut bytes = Tar::new().file("f", b"").file("g", b"").bytes;
    bytes[512 + 3] ^= 1;
    assert_eq!(error(&bytes), "not a tar archive: no valid header at byte 512");
    let mut bytes = Tar::new().file("f", b"").bytes;
    bytes.resize(1024, 0);
    bytes.extend_from_slice(&Tar::new().file("g", b"").bytes);
    assert_eq!(error(&bytes), "not a tar archive: no valid header at byte 1024");
}

#[test]
fn every_truncation() {
    let tar = Tar::new().dir("d").file("d/f", &[7; 700]).symlink(&"s".repeat(150), "t");
    let bytes = tar.finished();
    let end = tar.bytes.len();
    let mut accepted = Vec::new();
    for length in 0..=bytes.len() {
        match image_bytes(&bytes[..length], &Limits::default()) {
            Ok(_) => accepted.push(length),
            Err(LayerError::Tar(TarError::Truncated { .. })) => {}
            Err(e) if e.to_string().ends_with("no entry behind it") => {}
            Err(other) => panic!("{length}: {other}"),
        }
    }
    // Behind a whole entry, its padding or not, and anywhere in the blocks that end the tar,
    // but not inside a header.
    let mut expected = vec![0, 512];
    expected.extend(1024 + 700..=1024 + 1024);
    expected.push(end);
    expected.extend(end + 512..=end + 1024);
    assert_eq!(accepted, expected);
}

#[test]
fn what_follows_the_archive_is_read() {
    struct Counting<'a>(&'a [u8], &'a mut usize);
    impl Read for Counting<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(into)?;
            *self.1 += n;
            Ok(n)
        }
    }
    let mut bytes = Tar::new().file("f", b"x").finished();
    bytes.extend_from_slice(&[b'z'; 5_000_000]);
    let mut read = 0;
    let file = tempfile::tempfile().expect("a temporary file");
    convert(Counting(&bytes, &mut read), &file, &Limits::default()).expect("accepted");
    assert_eq!(read, bytes.len());
    let limits = Limits { max_bytes: 1_000_000, ..Limits::default() };
    let error = convert(&bytes[..], &file, &limits).expect_err("too much");
    assert!(error.to_string().contains("bytes behind it"), "{error}");
}

#[test]
fn failing_streams_and_files() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cut"))
        }
    }
    let file = tempfile::tempfile().expect("a temporary file");
    let error = convert(Failing, &file, &Limits::default()).expect_err("cut");
    assert!(matches!(error, LayerError::Tar(TarError::Read(_))), "{error}");
    let (_kept, named) = super::named();
    let read_only = std::fs::File::open(_kept.path()).expect("open");
    let error = convert(&b""[..], &read_only, &Limits::default()).expect_err("read-only");
    assert!(matches!(error, LayerError::Write(_)), "{error}");
    drop(named);
}

#[test]
fn readers_that_give_little() {
    struct Dripping<'a>(&'a [u8], usize);
    impl Read for Dripping<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = into.len().min(self.1 % 700 + 1);
            self.0.read(&mut into[..n])
        }
    }
    let tar = Tar::new().file("f", &[3; 100_000]).symlink(&"s".repeat(200), "t").finished();
    let (whole, _) = image_bytes(&tar, &Limits::default()).expect("accepted");
    let mut file = tempfile::tempfile().expect("a temporary file");
    convert(Dripping(&tar, 0), &file, &Limits::default()).expect("accepted");
    let mut dripped = Vec::new();
    io::Seek::seek(&mut file, io::SeekFrom::Start(0)).expect("seek");
    file.read_to_end(&mut dripped).expect("read");
    assert!(whole == dripped);
}

#[test]
fn limits() {
    let limits = Limits { max_entries: 3, max_bytes: 10_000, max_path: 10, ..Limits::default() };
    let tar = Tar::new().file("a", b"").file("b", b"").file("c", b"");
    assert!(super::try_with(&tar, &limits).is_ok());
    let message = refusal_with(&tar.clone().file("d", b""), &limits);
    assert_eq!(message, r#""d": the layer has more than 3 entries"#);
    // Also when they all are one.
    let message = refusal_with(&tar.file("a", b""), &limits);
    assert_eq!(message, r#""a": the layer has more than 3 entries"#);
    let message = refusal_with(&Tar::new().file("a", &[0; 10_001]), &limits);
    assert_eq!(message, r#""a": the layer has more than 10000 bytes of file data"#);
    // In whole blocks, since that is what the disk gets.
    let message = refusal_with(&Tar::new().file("a", b"1").file("b", &[0; 5000]), &limits);
    assert!(message.contains("\"b\""), "{message}");
    let message = refusal_with(&Tar::new().file("longer/than", b""), &limits);
    assert_eq!(message, r#"refused path "longer/than": it is too long"#);
}

#[test]
fn a_stated_size_is_refused_before_it_is_written() {
    for size in [1 << 40, 1 << 62, u64::MAX / 2] {
        let tar = Tar::new().raw(&Entry { name: b"f", size: Some(size), ..Entry::default() });
        assert!(refusal(&tar).contains("bytes of file data"));
    }
}

#[test]
fn extended_headers_are_capped() {
    for flag in [b'x', b'L', b'K'] {
        let tar =
            Tar::new().raw(&Entry { name: b"h", flag, size: Some(1 << 33), ..Entry::default() });
        assert!(refusal(&tar).contains("1048576 bytes in one extended header"));
    }
}

#[test]
fn damaged_extended_headers() {
    for data in [
        &b"x path=a\n"[..],
        b"999 path=a\n",
        b"8 path=a\n",
        b"8 path=a",
        b"8 patha\n",
        b"0 path=a\n",
        b"99999999999999999999999 path=a\n",
        b"\n",
    ] {
        let tar = Tar::new().raw(&Entry { name: b"h", flag: b'x', data, ..Entry::default() });
        let message = refusal(&tar.file("f", b""));
        assert_eq!(message, "\"h\": its extended header is damaged");
    }
}

#[test]
fn extended_headers_need_an_entry() {
    let alone = Tar::new().file("f", b"").pax(&[("path", b"x")]);
    assert!(refusal(&alone).contains("no entry behind it"));
}

#[test]
fn bad_numbers() {
    let with = |at: usize, bytes: &[u8], flag: u8| {
        let mut block = [0; 512];
        block[..1].copy_from_slice(b"f");
        block[156] = flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&Tar::new().block(block))
    };
    assert_eq!(with(100, b"9", b'0'), "\"f\": its mode is no number");
    assert_eq!(with(108, b"x", b'0'), "\"f\": its uid is no valid user ID");
    assert_eq!(with(108, &[0xff; 8], b'0'), "\"f\": its uid is no valid user ID");
    let last = [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(with(116, &last, b'0'), "\"f\": its gid is no valid group ID");
    assert_eq!(with(124, &[0xff; 12], b'0'), "\"f\": its size is no number");
    assert_eq!(with(136, b"1x", b'0'), "\"f\": its time is no number");
    assert_eq!(with(329, b"10000", b'3'), "\"f\": its device number is out of range");
    assert_eq!(with(337, b"4000000", b'4'), "\"f\": its device number is out of range");
    assert_eq!(with(329, &[0xff; 8], b'3'), "\"f\": its device number is negative");
    let uid = Tar::new().pax(&[("uid", b"4294967295")]).file("f", b"");
    assert_eq!(refusal(&uid), "\"f\": its uid is no valid user ID");
}

#[test]
fn unknown_types_are_named() {
    for flag in *b"VMDNXs9" {
        let tar = Tar::new().raw(&Entry { name: b"f", flag, ..Entry::default() });
        let flag = char::from(flag);
        assert_eq!(refusal(&tar), format!("\"f\": tar entries of type {flag:?} are not supported"));
    }
}

#[test]
fn messages_are_fit_for_a_terminal() {
    let tar = Tar::new().file("../\u{1b}[2J\n\u{202e}", b"");
    let message = refusal(&tar);
    assert!(message.is_ascii() && !message.contains('\u{1b}'), "{message}");
    assert!(refusal(&Tar::new().file("../é", b"")).contains('é'));
}

#[test]
fn kinds_without_data_have_none() {
    // A size in their header is not followed by data, as Go's reader has it.
    let mut tar = Tar::new().file("f", b"x");
    for flag in *b"123456" {
        tar = tar.raw(&Entry {
            name: &[b'n', flag],
            flag,
            link: b"f",
            device: (1, 1),
            size: Some(512),
            ..Entry::default()
        });
    }
    assert_eq!(image(&tar.file("last", b"y")).get("last").data, b"y");
}
