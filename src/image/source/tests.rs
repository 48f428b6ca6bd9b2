// SPDX-License-Identifier: Apache-2.0
//! Limits that no test could reach with the real ones.

use std::io::Write;

use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::archive::read::MAX_OPEN;
use super::archive::{Archive, ArchiveLimits};
use super::files::Files;
use crate::image::digest::Digest;
use crate::image::error::Error;
use crate::image::manifest::Blob;
use crate::image::progress::Quiet;
use crate::image::store::Store;

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, *text).unwrap();
    }
    tar.into_inner().unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    store.prepare().unwrap();
    (home, store)
}

fn read(bytes: &[u8], limits: ArchiveLimits) -> Result<Archive, Error> {
    let (_home, store) = store();
    Archive::read(bytes, "it".into(), &store, &limits, &Quiet)
}

fn unfinished(home: &tempfile::TempDir) -> usize {
    std::fs::read_dir(home.path().join("blobs/ingest")).unwrap().count() - 1
}

#[test]
fn a_bomb_is_stopped() {
    let zeros = tar(&[("blobs/large", &vec![0; 8 << 20])]);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&zeros).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 20_000);
    let limits = ArchiveLimits { bytes: 1 << 20, ..ArchiveLimits::default() };
    let error = read(&bomb, limits).err().unwrap();
    assert!(matches!(&error, Error::Source(SourceError::Limit { what: "bytes", .. })), "{error}");
    assert!(read(&bomb, ArchiveLimits::default()).is_ok());
}

#[test]
fn names_are_limited() {
    let long = "n".repeat(3000);
    let limits = ArchiveLimits { name_bytes: 2000, ..ArchiveLimits::default() };
    let error = read(&tar(&[(&long, b"")]), limits).err().unwrap();
    assert!(error.to_string().contains("bytes of names"), "{error}");
}

/// Each unfinished file is open, and there are not that many descriptors.
#[test]
fn many_large_files() {
    let (home, store) = store();
    let body = |at: u32| [&at.to_le_bytes()[..], &[1; 300 << 10]].concat();
    let bodies: Vec<(String, Vec<u8>)> =
        (0..MAX_OPEN as u32 + 30).map(|at| (format!("f{at}"), body(at))).collect();
    let files: Vec<(&str, &[u8])> = bodies.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    let archive =
        Archive::read(&tar(&files)[..], "it".into(), &store, &ArchiveLimits::default(), &Quiet)
            .unwrap();
    assert_eq!(unfinished(&home), MAX_OPEN);
    for (name, body) in &bodies {
        let blob = archive.facts(name).unwrap().unwrap().blob;
        assert_eq!(blob, Blob { digest: Digest::of(body), size: body.len() as u64 });
        archive.put(name, &blob, &store, &CancellationToken::new()).unwrap();
        assert!(store.has_blob(&blob));
        assert_eq!(archive.read(name, 1 << 20).unwrap().unwrap(), *body);
    }
    drop(archive);
    assert_eq!(unfinished(&home), 0);
}

#[test]
fn what_is_not_wanted_goes() {
    let (home, store) = store();
    let bytes = tar(&[("a", &[1; 300 << 10]), ("b", b"small")]);
    let archive =
        Archive::read(&bytes[..], "it".into(), &store, &ArchiveLimits::default(), &Quiet).unwrap();
    assert_eq!(unfinished(&home), 1);
    assert_eq!(archive.read("./b", 5).unwrap().unwrap(), b"small");
    assert!(matches!(archive.read("b", 4), Err(Error::TooLarge { .. })));
    assert!(archive.read("c", 4).unwrap().is_none());
    let wrong = Blob { digest: Digest::of(b"else"), size: 5 };
    let put = archive.put("b", &wrong, &store, &CancellationToken::new());
    assert!(matches!(put, Err(Error::Source(SourceError::Digest { .. }))));
    drop(archive);
    assert_eq!(unfinished(&home), 0);
    assert_eq!(std::fs::read_dir(home.path().join("blobs/blobs/sha256")).unwrap().count(), 0);
}
